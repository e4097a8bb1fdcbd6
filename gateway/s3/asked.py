"""What a GetObject or HeadObject asks for besides the path: range, conditions, overrides, checksums."""

import re
from dataclasses import dataclass
from typing import Final

from gateway.s3 import ranges
from gateway.s3.codes import Refusal
from gateway.s3.conditions import Conditions
from gateway.s3.request import Target
from regioncache.http.messages import Request
from regioncache.origins.base import MOST_PARTS
from regioncache.pages import Wanted

_ENCRYPTION: Final = (
    b"x-amz-server-side-encryption",
    b"x-amz-server-side-encryption-aws-kms-key-id",
    b"x-amz-server-side-encryption-customer-algorithm",
    b"x-amz-server-side-encryption-customer-key",
    b"x-amz-server-side-encryption-customer-key-md5",
)
OF_INTEREST: Final = frozenset(
    (
        b"range",
        b"if-range",
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"if-unmodified-since",
        b"x-amz-checksum-mode",
        *_ENCRYPTION,
    )
)
"""A request with none of these headers and without a query asks for the whole object and nothing else."""

_CONTROL = re.compile("[\x00-\x1f\x7f]")
OVERRIDES: Final = {
    f"response-{name}": name
    for name in (
        "content-type",
        "content-language",
        "expires",
        "cache-control",
        "content-disposition",
        "content-encoding",
    )
}
"""Query names that replace a header of the reply -> that header (S3 API reference, GetObject)."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One read. `wanted` is None for the whole object; `overrides` are headers that the reply shall carry instead.

    `part`, from 1, is asked for in place of a range.
    """

    wanted: Wanted | None = None
    if_range: bytes | None = None
    conditions: Conditions | None = None
    checksums: bool = False
    part: int | None = None
    overrides: tuple[tuple[str, str], ...] = ()

    @property
    def looks_first(self) -> bool:
        """Whether metadata alone may well settle it, so that no byte is fetched before it is known."""
        changes = self.conditions is not None and self.conditions.asks_for_change
        return changes or (self.wanted is not None and self.if_range is not None)

    @property
    def newest(self) -> bool:
        """Whether the client compares with the newest version there is (line-rules, Shield: If-None-Match)."""
        return self.conditions is not None and self.conditions.if_none_match is not None


PLAIN: Final = Asked()


def read_asked(request: Request, target: Target) -> Asked:
    """Returns what the headers and the query ask for.

    Raises:
        Refusal: NotImplemented for encryption headers and other versions, InvalidArgument for what no header can hold.
    """
    headers = request.first
    overrides: tuple[tuple[str, str], ...] = ()
    part: int | None = None
    if target.query:
        check_version(target.query.get("versionId"))
        overrides, part = _overrides(target.query), _part(target.query.get("partNumber"))
    if OF_INTEREST.isdisjoint(headers):
        return Asked(overrides=overrides, part=part) if overrides or part is not None else PLAIN
    if any(name in headers for name in _ENCRYPTION):
        raise Refusal("NotImplemented", "objects encrypted with a client's key are not served")
    span = headers.get(b"range")
    if span is not None and part is not None:
        raise Refusal("InvalidRequest", "Cannot specify both Range header and partNumber query parameter.")
    return Asked(
        wanted=ranges.wanted(span) if span is not None else None,
        if_range=headers.get(b"if-range"),
        conditions=_conditions(headers),
        checksums=headers.get(b"x-amz-checksum-mode", b"").upper() == b"ENABLED",
        part=part,
        overrides=overrides,
    )


def check_version(version: str | None) -> None:
    """Buckets here have no versions: `null` is the object. Raises `Refusal` InvalidArgument for any other id."""
    if version is not None and version != "null":
        details = (("ArgumentName", "versionId"), ("ArgumentValue", version))
        raise Refusal("InvalidArgument", "Invalid version id specified", details)


def _part(number: str | None) -> int | None:
    if number is None:
        return None
    if not (number.isascii() and number.isdigit() and len(number) <= 5 and 1 <= int(number) <= MOST_PARTS):
        message = f"Part number must be an integer between 1 and {MOST_PARTS}, inclusive"
        raise Refusal("InvalidArgument", message, (("ArgumentName", "partNumber"), ("ArgumentValue", number)))
    return int(number)


def _conditions(headers: dict[bytes, bytes]) -> Conditions | None:
    conditions = Conditions(
        headers.get(b"if-match"),
        headers.get(b"if-none-match"),
        headers.get(b"if-modified-since"),
        headers.get(b"if-unmodified-since"),
    )
    return conditions if conditions.any else None


def _overrides(query: dict[str, str]) -> tuple[tuple[str, str], ...]:
    asked = tuple((OVERRIDES[name], value) for name, value in query.items() if name in OVERRIDES and value)
    for name, value in asked:
        if _CONTROL.search(value):
            details = (("ArgumentName", f"response-{name}"),)
            raise Refusal("InvalidArgument", "a header cannot hold control characters", details)
    return asked
