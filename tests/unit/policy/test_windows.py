"""Windows: days and spans of the day, and what can never occur."""

import pytest

from policy.errors import WindowError
from policy.windows import When, zone


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
