"""When a window of a line holds: days and a span of the day, by what a clock on the wall of its time zone shows.

`Mon-Fri 09:00-21:00`. Days are names, days of the month (`1`, `25-last`; `last` is the month's last), or runs of
either with commas between; none means every day. A span that ends at or before its start goes on into the next day.

The rule is looked up by the clock on the wall, moment by moment. In the night when clocks go forward, times that are
skipped hold nothing and the span is as much shorter; in the night when they go back, times that are shown twice hold
twice. So a window never needs to know that its zone changes its clocks, nor when.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from policy.errors import WindowError, shown

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WHEN = re.compile(r"(?:(?P<days>[A-Za-z0-9,\- ]+?)\s+)?(?P<start>\d\d:\d\d)\s*-\s*(?P<end>\d\d:\d\d)", re.ASCII)
_ACCEPTED = (
    "accepted is for example 'Mon-Fri 09:00-21:00', 'Sat,Sun 22:00-06:00', '1,25-last 08:00-18:00' or '00:00-24:00'"
)
_LAST = "last"
_ONE_DAY = timedelta(days=1)
LAST_DAY = 0
"""Stands for the last day of whatever month it is."""


@dataclass(frozen=True, slots=True)
class When:
    """Days on which the span begins, and its minutes of the day; `end` <= `start` ends on the next day."""

    days: frozenset[int]
    """Days of the week, 0 = Monday."""
    start_minute: int
    end_minute: int
    month_days: tuple[tuple[int, int], ...] = ()
    """Runs of days of the month, both ends counted; LAST_DAY is the last. A day that is in either set counts."""

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
        days, month_days = _days(found["days"])
        return cls(days, start, end, month_days)

    def holds(self, shown_time: datetime) -> bool:
        """Tells whether the window holds while a clock on the wall shows this day and time."""
        minute = shown_time.hour * 60 + shown_time.minute
        if self.end_minute > self.start_minute:
            return self.start_minute <= minute < self.end_minute and self._begins_on(shown_time.date())
        if minute >= self.start_minute:
            return self._begins_on(shown_time.date())
        return minute < self.end_minute and self._begins_on(shown_time.date() - _ONE_DAY)

    def _begins_on(self, day: date) -> bool:
        return day.weekday() in self.days or any(_covers(run, day) for run in self.month_days)


def wall_time(moment: float, zone_name: str) -> datetime:
    """Returns what clocks on the wall of a zone show.

    Args:
        moment: Seconds since the epoch.
        zone_name: A known zone (`zone`).
    """
    return datetime.fromtimestamp(moment, ZoneInfo(zone_name))


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


def _covers(run: tuple[int, int], day: date) -> bool:
    first, last = run
    ends = (day + _ONE_DAY).day == 1
    if first == LAST_DAY:
        return ends
    return first <= day.day and (last == LAST_DAY or day.day <= last)


def _days(text: str | None) -> tuple[frozenset[int], tuple[tuple[int, int], ...]]:
    """Returns the days of the week and the runs of days of the month."""
    if text is None:
        return frozenset(range(7)), ()
    days: set[int] = set()
    month_days: list[tuple[int, int]] = []
    for run in text.split(","):
        first, dash, last = (part.strip() for part in run.partition("-"))
        if first.isdecimal() or first.lower() == _LAST:
            month_days.append(_month_run(run, first, last if dash else first))
            continue
        begin, end = _day(first), _day(last or first)
        days.update((begin + ahead) % 7 for ahead in range((end - begin) % 7 + 1))
    return frozenset(days), tuple(month_days)


def _month_run(run: str, first: str, last: str) -> tuple[int, int]:
    begin, end = _month_day(first), _month_day(last)
    if begin == LAST_DAY != end or (end != LAST_DAY and end < begin):
        raise WindowError(f"{shown(run.strip())} ends before it begins; days of the month go from 1 to last")
    return begin, end


def _month_day(text: str) -> int:
    if text.lower() == _LAST:
        return LAST_DAY
    if not text.isdecimal() or not 1 <= int(text) <= 31:
        raise WindowError(f"{shown(text)} is not a day of the month; accepted are 1 to 31 and last")
    return int(text)


def _day(name: str) -> int:
    try:
        return _DAYS.index(name.strip().capitalize())
    except ValueError:
        raise WindowError(
            f"{shown(name.strip())} is not a day; days are {', '.join(_DAYS)}, 1 to 31 and last"
        ) from None


def _minute(text: str) -> int:
    hour, minute = int(text[:2]), int(text[3:])
    if minute > 59 or hour * 60 + minute > 24 * 60:
        raise WindowError(f"{text} is not a time of the day; accepted are 00:00 to 24:00")
    return hour * 60 + minute
