"""The Range header: one range of bytes, or the whole object.

S3 serves one range; several ranges, other units and what cannot be read mean the whole object (RFC 9110, 14.2 lets a
server ignore the field). HTTP's inclusive ends stop here: `Wanted` is half-open.
"""

from regioncache.pages import Wanted

_DIGITS = 19
"""The most digits looked at: objects end long before 10^19 bytes, and int() of a long string is slow."""


def wanted(value: bytes) -> Wanted | None:
    """Returns the range that a Range header asks for, or None where it means the whole object."""
    unit, equals, span = value.partition(b"=")
    if not equals or unit.strip().lower() != b"bytes":
        return None
    first, dash, last = span.strip(b" \t").partition(b"-")
    if not dash:
        return None
    if not first:
        return Wanted(suffix=_number(last)) if last.isdigit() else None
    if not first.isdigit() or not (last.isdigit() or not last):
        return None
    start = _number(first)
    if not last:
        return Wanted(start)
    end = _number(last) + 1
    return Wanted(start, end) if start < end else None


def content_range(start: int, end: int, size: int) -> bytes:
    """The Content-Range of the bytes [start, end) of an object of `size` bytes."""
    return b"bytes %d-%d/%d" % (start, end - 1, size)


def _number(digits: bytes) -> int:
    digits = digits.lstrip(b"0") or b"0"
    return int(digits) if len(digits) <= _DIGITS else 10**_DIGITS
