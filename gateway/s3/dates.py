"""HTTP's dates and S3's: RFC 9110 form in headers, ISO 8601 with milliseconds in lists. Formatting is remembered."""

from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime

_KEPT = 8192
"""Formatted dates kept: some 1 MB. When it is full it starts anew; a miss costs 3 us."""


class HttpDates:
    """Formats whole seconds since the epoch as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7)."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[int, str] = {}

    def __call__(self, at: float) -> str:
        """Returns the date of `at`, seconds since the epoch, cut to whole seconds."""
        second = int(at)
        date = self._kept.get(second)
        if date is None:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            date = self._kept[second] = formatdate(second, usegmt=True)
        return date


def parse_http_date(value: bytes) -> float | None:
    """Returns seconds since the epoch, or None for what is no date: a condition with such a date is ignored."""
    try:
        date = parsedate_to_datetime(value.decode("ascii"))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    try:
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


class IsoDates:
    """Formats seconds since the epoch as `2009-10-12T17:50:30.000Z`, as S3 writes dates in lists.

    Minutes are remembered: objects of a list were mostly written in few of them.
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[int, str] = {}

    def __call__(self, at: float) -> str:
        """Returns the date of `at`, to the millisecond."""
        second, millis = divmod(int(at * 1000 + 0.5), 1000)
        minute = second // 60
        date = self._kept.get(minute)
        if date is None:
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            date = self._kept[minute] = datetime.fromtimestamp(minute * 60, UTC).isoformat()[:17]
        return f"{date}{second - minute * 60:02d}.{millis:03d}Z"
