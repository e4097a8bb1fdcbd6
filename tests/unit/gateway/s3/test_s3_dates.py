"""Dates in headers and in lists."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from gateway.s3 import dates
from gateway.s3.dates import HttpDates, IsoDates, parse_http_date

MOMENTS = st.integers(0, 253402300799)


@given(MOMENTS, st.integers(0, 999))
def test_list_dates_are_iso_with_milliseconds(second: int, millis: int) -> None:
    expected = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")

    assert IsoDates()(second + millis / 1000) == f"{expected}.{millis:03d}Z"


@given(MOMENTS)
def test_an_http_date_is_read_back_as_the_same_second(second: int) -> None:
    assert parse_http_date(HttpDates()(second + 0.9).encode()) == second


def test_remembering_dates_has_a_bound_and_changes_none(monkeypatch) -> None:
    monkeypatch.setattr(dates, "_KEPT", 3)
    http, iso = HttpDates(), IsoDates()

    for _ in range(2):
        for second in range(0, 600, 60):
            assert http(second) == HttpDates()(second)
            assert iso(second) == IsoDates()(second)

    assert len(http._kept) <= 3
    assert len(iso._kept) <= 3
