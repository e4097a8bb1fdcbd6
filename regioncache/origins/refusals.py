"""What a store's error answer says, and whether asking once more may help: the pure part of the S3 origin's faults.

S3's codes are those of its API reference (Error responses); other stores use some of them, and some write none.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from regioncache.http.client import Base
from regioncache.origins.base import DIGITS

_CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "TokenRefreshRequired",
        "InvalidToken",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""The credentials themselves are refused, whatever is asked with them; AccessDenied is about the object."""
_CLOCKS = frozenset({"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"})
_KEYS = frozenset({"KeyTooLongError", "InvalidURI", "InvalidObjectName", "XMinioInvalidObjectName", "400"})
"""Codes of a 400 that speak of the key (versitygw writes the bare status for `a//` and `../a`); others may speak of
our credentials."""
_ELEMENT = re.compile(rb"<(Code|Region|Endpoint)>([^<]{1,255})</")
_HOST_ENDS = re.compile(r"[/?#]")
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_REGION = re.compile(r"[a-z0-9-]{1,63}")
_SKEW_SECONDS = 60.0
"""A clock that is further off is worth naming."""
LONGEST_RETRY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer. `code` and `endpoint` are S3's own words, empty where it wrote none; `ahead_seconds` is how far
    our clock was ahead of the store's."""

    status: int
    code: str = ""
    endpoint: str = ""
    signing_region: str = ""
    location: str = ""
    retry_after: float = 1.0
    size: int = 0
    ahead_seconds: float = 0.0

    @classmethod
    def parse(cls, status: int, header: Callable[[bytes], bytes | None], body: bytes, now: float) -> "Refusal":
        """Reads an answer. `header` gives a header by its name in lower case, `now` is seconds since the epoch."""
        said = {name.decode(): text.decode("utf-8", "replace") for name, text in _ELEMENT.findall(body)}
        region = (header(b"x-amz-bucket-region") or b"").decode("latin-1") or said.get("Region", "")
        return cls(
            status,
            said.get("Code", ""),
            said.get("Endpoint", ""),
            region if _REGION.fullmatch(region) else "",
            (header(b"location") or b"").decode("latin-1"),
            _retry_after(header(b"retry-after")),
            _total(header(b"content-range")),
            _ahead(header(b"date"), now),
        )

    @property
    def redirects(self) -> bool:
        """Whether it sends the question elsewhere."""
        return self.status in {301, 302, 303, 307, 308}

    @property
    def of_key(self) -> bool:
        """Whether the store takes no such key."""
        return self.status == 400 and self.code in _KEYS

    @property
    def of_credentials(self) -> bool:
        """Whether the credentials are refused, whatever is asked with them."""
        return self.code in _CREDENTIALS

    @property
    def lasts(self) -> bool:
        """Whether every other question would be refused too. A wrong signature may be one key's: proxies tidy keys."""
        return self.of_clocks or (self.of_credentials and self.code != "SignatureDoesNotMatch")

    @property
    def other_region(self) -> bool:
        """Whether it names the region that requests must be signed for."""
        return self.code == "AuthorizationHeaderMalformed" and bool(self.signing_region)

    @property
    def named(self) -> str:
        """The store's word for it, in brackets."""
        return f" ({self.code})" if self.code and self.code.isalnum() else ""

    @property
    def of_clocks(self) -> bool:
        """Whether the store's clock and ours are too far apart."""
        return self.code in _CLOCKS

    @property
    def skew(self) -> str:
        """Says by how much the clocks differ, as far as the store told its time."""
        if abs(self.ahead_seconds) < _SKEW_SECONDS:
            return "the origin's clock and ours differ"
        way = "ahead of" if self.ahead_seconds > 0 else "behind"
        return f"our clock is {abs(self.ahead_seconds):.0f} s {way} the origin's"

    def elsewhere(self, base: Base) -> str:
        """Where it redirects to, in words: empty where that is the same host."""
        found, _ = _split(self.location)
        if found and found.lower() == str(base):
            return ""
        return found or ("" if self.location.startswith("/") else self.endpoint or "an address that it does not name")

    def target(self) -> bytes:
        """The exact target to ask for on the same host. Nothing on this path tidies it: `a/../b` is a key.

        Only what cannot stand in a request line is percent-encoded: some stores write such names as they are.
        """
        return quote(_split(self.location)[1].encode("latin-1"), safe=_PRINTABLE).encode()


def _split(location: str) -> tuple[str, str]:
    """`scheme://host[:port]` (empty where there is none), and the target behind it."""
    scheme, found, rest = location.partition("://")
    if not found:
        return "", location.partition("#")[0]
    host = _HOST_ENDS.split(rest, maxsplit=1)[0]
    target = rest[len(host) :].partition("#")[0]
    try:
        origin = str(Base.parse(f"{scheme}://{host}"))
    except ValueError:
        origin = f"{scheme}://{host}"
    return origin, target if target.startswith("/") else f"/{target}"


def _retry_after(value: bytes | None) -> float:
    return min(float(value), LONGEST_RETRY_SECONDS) if value is not None and value.isdigit() else 1.0


def _total(content_range: bytes | None) -> int:
    total = (content_range or b"").rpartition(b"/")[2]
    return int(total) if total.isdigit() and len(total) <= DIGITS else 0


def _ahead(date: bytes | None, now: float) -> float:
    try:
        return now - parsedate_to_datetime((date or b"").decode("latin-1")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0
