"""Conditional reads: If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, with RFC 9110's precedence.

If-Match stands before If-Unmodified-Since, If-None-Match before If-Modified-Since (RFC 9110, 13.2.2). ETags without
quotes are taken as S3 takes them; a date that is none is as if it were not there.
"""

from dataclasses import dataclass

from gateway.s3.codes import Refusal
from gateway.s3.dates import parse_http_date


@dataclass(frozen=True, slots=True)
class Conditions:
    """The condition headers of one request, as sent; None where absent."""

    if_match: bytes | None = None
    if_none_match: bytes | None = None
    if_modified_since: bytes | None = None
    if_unmodified_since: bytes | None = None

    @property
    def any(self) -> bool:
        """Whether there is a condition at all."""
        return self.asks_for_change or self.if_match is not None or self.if_unmodified_since is not None

    @property
    def asks_for_change(self) -> bool:
        """True where the likely answer is "not modified", for which no byte of the object is needed."""
        return self.if_none_match is not None or self.if_modified_since is not None

    def changed(self, etag: str, last_modified: float) -> bool:
        """Returns whether this version shall be sent; False means "not modified".

        Args:
            etag: the version's ETag with its quotes.
            last_modified: seconds since the epoch; HTTP knows whole seconds only.

        Raises:
            Refusal: PreconditionFailed.
        """
        modified = int(last_modified)
        if self.if_match is not None:
            if not _matches(self.if_match, etag, weak=False):
                raise _failed("If-Match")
        elif self.if_unmodified_since is not None:
            limit = parse_http_date(self.if_unmodified_since)
            if limit is not None and modified > limit:
                raise _failed("If-Unmodified-Since")
        if self.if_none_match is not None:
            return not _matches(self.if_none_match, etag, weak=True)
        if self.if_modified_since is not None:
            limit = parse_http_date(self.if_modified_since)
            return limit is None or modified > limit
        return True


def range_holds(if_range: bytes, etag: str, last_modified: float) -> bool:
    """Whether a Range still counts under If-Range: only for exactly this version (RFC 9110, 13.1.5)."""
    if if_range.startswith((b'"', b"W/")):
        return _matches(if_range, etag, weak=False)
    limit = parse_http_date(if_range)
    return int(last_modified) == limit if limit is not None else _bare(if_range) == _bare(etag.encode())


def _matches(value: bytes, etag: str, *, weak: bool) -> bool:
    """Whether a list of ETags holds `etag`; `weak` compares W/"x" and "x" as equal (RFC 9110, 8.8.3.2)."""
    if value.strip() == b"*":
        return True
    ours = etag.encode("latin-1", "replace")
    if ours.startswith(b"W/") and not weak:
        return False
    bare = _bare(ours.removeprefix(b"W/"))
    for part in value.split(b","):
        theirs = part.strip()
        if theirs.startswith(b"W/"):
            if not weak:
                continue
            theirs = theirs[2:]
        if _bare(theirs) == bare:
            return True
    return False


def _bare(tag: bytes) -> bytes:
    return tag.strip().strip(b'"')


def _failed(header: str) -> Refusal:
    return Refusal("PreconditionFailed", details=(("Condition", header),))
