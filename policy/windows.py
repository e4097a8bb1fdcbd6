"""When a window of a line holds: days of the week and a span of the day, in a time zone.

`Mon-Fri 09:00-21:00`; days are names or runs of them with commas between, none means every day; a span that ends at or
before its start goes on into the next day.
"""

import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from policy.errors import WindowError, shown

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WHEN = re.compile(r"(?:(?P<days>[A-Za-z,\- ]+?)\s+)?(?P<start>\d\d:\d\d)\s*-\s*(?P<end>\d\d:\d\d)", re.ASCII)
_ACCEPTED = "accepted is for example 'Mon-Fri 09:00-21:00', 'Sat,Sun 22:00-06:00' or '00:00-24:00'"


@dataclass(frozen=True, slots=True)
class When:
    """Days (0 = Monday) on which the span begins, and its minutes of the day; `end` <= `start` ends on the next day."""

    days: frozenset[int]
    start_minute: int
    end_minute: int

    @classmethod
    def parse(cls, text: object) -> "When":
        """Returns what `Mon-Fri 09:00-21:00` says.

        Raises:
            WindowError: It is not written so, or can never occur.
        """
        found = _WHEN.fullmatch(text.strip()) if isinstance(text, str) else None
        if found is None:
            raise WindowError(f"{shown(text)} is not a window; {_ACCEPTED}")
        start, end = _minute(found["start"]), _minute(found["end"])
        if start in {end, 24 * 60}:
            raise WindowError(f"the window {shown(text)} can never occur: it ends where it begins; {_ACCEPTED}")
        return cls(_days(found["days"]), start, end)


def zone(name: object) -> str:
    """Returns the name of a known time zone.

    Raises:
        WindowError: There is no zone of that name.
    """
    try:
        ZoneInfo(str(name))
    except (LookupError, ValueError, OSError):
        raise WindowError(
            f"{shown(name)} is not a known time zone; accepted are for example Asia/Shanghai or UTC"
        ) from None
    return str(name)


def _days(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    days: set[int] = set()
    for run in text.split(","):
        first, _, last = run.strip().partition("-")
        begin, end = _day(first), _day(last or first)
        days.update((begin + ahead) % 7 for ahead in range((end - begin) % 7 + 1))
    return frozenset(days)


def _day(name: str) -> int:
    try:
        return _DAYS.index(name.strip().capitalize())
    except ValueError:
        raise WindowError(f"{shown(name.strip())} is not a day; days are {', '.join(_DAYS)}") from None


def _minute(text: str) -> int:
    hour, minute = int(text[:2]), int(text[3:])
    if minute > 59 or hour * 60 + minute > 24 * 60:
        raise WindowError(f"{text} is not a time of the day; accepted are 00:00 to 24:00")
    return hour * 60 + minute
