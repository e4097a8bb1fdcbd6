"""Windows: days and spans of the day, what can never occur, and when they hold by the clock on the wall."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.errors import WindowError
from policy.windows import LAST_DAY, When, wall_time, zone


@pytest.mark.parametrize(
    ("text", "days", "start", "end"),
    [
        ("Mon-Fri 09:00-21:00", {0, 1, 2, 3, 4}, 540, 1260),
        ("Sat,Sun 22:00-06:00", {5, 6}, 1320, 360),
        ("Fri-Mon 00:00-24:00", {4, 5, 6, 0}, 0, 1440),
        ("mon, Wed-Thu 01:30 - 02:00", {0, 2, 3}, 90, 120),
        ("09:00-21:00", set(range(7)), 540, 1260),
    ],
)
def test_a_window_is_days_and_minutes_of_the_day(text: str, days: set[int], start: int, end: int) -> None:
    assert When.parse(text) == When(frozenset(days), start, end)


@pytest.mark.parametrize(
    ("text", "days", "month_days"),
    [
        ("1 00:00-08:00", set(), ((1, 1),)),
        ("last 18:00-06:00", set(), ((LAST_DAY, LAST_DAY),)),
        ("1-3, 25-LAST 09:00-21:00", set(), ((1, 3), (25, LAST_DAY))),
        ("Sat-Sun,15 09:00-21:00", {5, 6}, ((15, 15),)),
    ],
)
def test_days_of_the_month_stand_beside_days_of_the_week(
    text: str, days: set[int], month_days: tuple[tuple[int, int], ...]
) -> None:
    when = When.parse(text)

    assert (when.days, when.month_days) == (frozenset(days), month_days)


@pytest.mark.parametrize("text", ["Mon 09:00-09:00", "00:00-00:00", "24:00-06:00"])
def test_a_window_that_can_never_occur_is_refused(text: str) -> None:
    with pytest.raises(WindowError, match="can never occur"):
        When.parse(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Mon", "is not a window"),
        ("Mon 9:00-10:00", "is not a window"),
        (None, "is not a window"),
        ("Feb 09:00-10:00", "'Feb' is not a day"),
        ("Mon,,Tue 09:00-10:00", "'' is not a day"),
        ("09:60-10:00", "09:60 is not a time of the day"),
        ("09:00-24:01", "24:01 is not a time of the day"),
        ("0 09:00-10:00", "'0' is not a day of the month"),
        ("32 09:00-10:00", "'32' is not a day of the month"),
        ("5-Mon 09:00-10:00", "'Mon' is not a day of the month"),
        ("Mon-5 09:00-10:00", "'5' is not a day"),
        ("9-3 09:00-10:00", "'9-3' ends before it begins"),
        ("last-3 09:00-10:00", "'last-3' ends before it begins"),
        ("3- 09:00-10:00", "'' is not a day of the month"),
    ],
)
def test_what_is_no_window_is_refused_with_what_is(text: object, fault: str) -> None:
    with pytest.raises(WindowError, match=fault):
        When.parse(text)


def test_a_time_zone_is_one_that_is_known() -> None:
    assert zone("Asia/Shanghai") == "Asia/Shanghai"


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "/etc/localtime", 8, "a\0b"])
def test_an_unknown_time_zone_is_refused(name: object) -> None:
    with pytest.raises(WindowError, match="is not a known time zone"):
        zone(name)


def minutes_held(when: When, zone_name: str, begin: datetime, hours: int) -> list[datetime]:
    """The minutes (UTC) of a span in which the window holds."""
    span = (begin + timedelta(minutes=ahead) for ahead in range(hours * 60))
    return [moment for moment in span if when.holds(wall_time(moment.timestamp(), zone_name))]


def hours_held(text: str, zone_name: str, begin: datetime, hours: int = 24) -> float:
    return len(minutes_held(When.parse(text), zone_name, begin, hours)) / 60


def local(zone_name: str, *at: int) -> datetime:
    """A moment by the clock on the wall of a zone."""
    return datetime(*at, tzinfo=ZoneInfo(zone_name)).astimezone(UTC)  # type: ignore[arg-type,misc]


def test_a_window_holds_from_its_first_minute_until_its_last_has_passed() -> None:
    held = minutes_held(When.parse("Mon-Fri 09:00-21:00"), "Asia/Shanghai", local("Asia/Shanghai", 2026, 11, 20), 24)

    assert held[0] == local("Asia/Shanghai", 2026, 11, 20, 9, 0)
    assert held[-1] == local("Asia/Shanghai", 2026, 11, 20, 20, 59)
    assert len(held) == 12 * 60


def test_a_window_of_weekdays_rests_on_sundays() -> None:
    assert hours_held("Mon-Fri 09:00-21:00", "UTC", local("UTC", 2026, 11, 22)) == 0


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    when, sunday = When.parse("Sun 22:00-06:00"), local("UTC", 2026, 11, 22)

    held = minutes_held(when, "UTC", sunday, 48)

    assert held[0] == sunday + timedelta(hours=22)
    assert held[-1] == sunday + timedelta(hours=29, minutes=59)


@pytest.mark.parametrize(
    ("month", "days"), [((2026, 2), 28), ((2028, 2), 29), ((2026, 4), 30), ((2026, 12), 31)], ids=str
)
def test_the_last_day_of_a_month_goes_over_into_the_first_of_the_next(month: tuple[int, int], days: int) -> None:
    begin = local("Asia/Shanghai", *month, 1)

    held = minutes_held(When.parse("last 20:00-04:00"), "Asia/Shanghai", begin + timedelta(hours=12), 24 * (days + 1))

    assert held[0] == local("Asia/Shanghai", *month, days, 20, 0)
    assert held[-1] == held[0] + timedelta(hours=8, minutes=-1)
    assert len(held) == 8 * 60


def test_days_that_a_month_does_not_have_hold_nothing_in_it() -> None:
    assert hours_held("30,31 00:00-24:00", "UTC", local("UTC", 2026, 2, 1), 28 * 24) == 0
    assert hours_held("30,31 00:00-24:00", "UTC", local("UTC", 2026, 4, 1), 30 * 24) == 24


@pytest.mark.parametrize(
    ("text", "hours"),
    [("00:00-06:00", 5), ("01:30-02:30", 0.5), ("02:15-02:45", 0), ("02:30-03:30", 0.5), ("00:00-24:00", 23)],
)
def test_in_the_night_when_clocks_go_forward_skipped_times_hold_nothing(text: str, hours: float) -> None:
    # Europe/Berlin, 2026-03-29: 02:00 is 03:00.
    assert hours_held(text, "Europe/Berlin", local("Europe/Berlin", 2026, 3, 29), 23) == hours


@pytest.mark.parametrize(
    ("text", "hours"),
    [("00:00-06:00", 7), ("01:30-02:30", 1.5), ("02:15-02:45", 1), ("02:30-03:30", 1.5), ("00:00-24:00", 25)],
)
def test_in_the_night_when_clocks_go_back_times_shown_twice_hold_twice(text: str, hours: float) -> None:
    # Europe/Berlin, 2026-10-25: 03:00 is 02:00.
    assert hours_held(text, "Europe/Berlin", local("Europe/Berlin", 2026, 10, 25), 25) == hours


def test_a_zone_whose_clocks_change_by_half_an_hour_is_kept_too() -> None:
    # Australia/Lord_Howe, 2026-10-04: 02:00 is 02:30.
    assert hours_held("01:00-04:00", "Australia/Lord_Howe", local("Australia/Lord_Howe", 2026, 10, 4), 6) == 2.5


@given(
    st.floats(0, 4e9),
    st.sampled_from(["UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    st.integers(1, 24 * 60 - 1),
    st.integers(0, 24 * 60),
)
def test_a_window_and_the_rest_of_the_day_are_all_day(moment: float, zone_name: str, split: int, other: int) -> None:
    every = frozenset(range(7))
    at = wall_time(moment, zone_name)
    if split == other:
        return
    first = When(every, split, other)
    second = When(every, other % (24 * 60), split)

    assert first.holds(at) != second.holds(at)
