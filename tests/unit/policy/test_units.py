"""Quantities: what is accepted, what is refused, and that what is shown can be read again."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy import units
from policy.errors import UnitError


@pytest.mark.parametrize(
    ("text", "bytes_per_second"),
    [
        ("10Gbps", 1.25e9),
        ("8 Gbit/s", 1e9),
        ("8Gb/s", 1e9),
        ("200Mbit/s", 25e6),
        ("200 kbps", 25e3),
        ("100 MB/s", 1e8),
        ("1GBps", 1e9),
        ("1GiB/s", 2**30),
        ("1 Mibit/s", 2**20 / 8),
        ("0.5Gbps", 62.5e6),
        ("8bps", 1),
        ("1e+16B/s", 1e16),
    ],
)
def test_a_rate_is_bytes_per_second(text: str, bytes_per_second: float) -> None:
    assert units.rate(text) == bytes_per_second


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [("20TiB", 20 * 2**40), ("400TB", 400 * 10**12), ("64 KiB", 65536), ("1.5GiB", 3 * 2**29), ("7B", 7), (7, 7)],
)
def test_a_size_is_bytes(text: object, nbytes: int) -> None:
    assert units.size(text) == nbytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30d", 2592000), ("1h", 3600), ("5min", 300), ("5m", 300), ("60s", 60), ("10ms", 0.01), ("2w", 1209600)],
)
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    assert units.duration(text) == seconds


@pytest.mark.parametrize(("text", "part"), [("10%", 0.1), ("0.5 %", 0.005), ("0%", 0), ("100%", 1)])
def test_a_fraction_is_a_part_of_one(text: str, part: float) -> None:
    assert units.fraction(text) == part


BAD: list[object] = ["", "fast", "-1", "1", " ", "1e999", "٣", None, True, [], {}, 1.5, -1, "1" * 40]


@pytest.mark.parametrize("text", [*BAD, "10GB", "10gbps", "10 G", "10Gbph", "1,5Gbps", "8Gbps extra", 10, "10%"])
def test_what_is_no_rate_is_refused_with_what_is(text: object) -> None:
    with pytest.raises(UnitError, match=r"is not a rate; accepted are for example 10Gbps"):
        units.rate(text)


@pytest.mark.parametrize("text", [*BAD, "20TiBps", "20T", "20tb", "20TiB/s", "1Kb"])
def test_what_is_no_size_is_refused_with_what_is(text: object) -> None:
    with pytest.raises(UnitError, match=r"is not a size; accepted are for example 20TiB"):
        units.size(text)


@pytest.mark.parametrize("text", [*BAD, "30 days", "1h30m", 30, "30D", "1:30"])
def test_what_is_no_duration_is_refused_with_what_is(text: object) -> None:
    with pytest.raises(UnitError, match=r"is not a duration; accepted are for example 30d"):
        units.duration(text)


@pytest.mark.parametrize("text", [*BAD, 0.5, "0.5", "half"])
def test_what_is_no_percentage_is_refused_with_what_is(text: object) -> None:
    with pytest.raises(UnitError, match=r"is not a percentage; accepted are for example 10%"):
        units.fraction(text)


def test_more_than_the_whole_is_refused() -> None:
    with pytest.raises(UnitError, match="more than the whole"):
        units.fraction("100.1%")


@pytest.mark.parametrize("text", [2**63, "8EiB", "1e30B"])
def test_a_size_that_no_file_can_have_is_refused(text: object) -> None:
    with pytest.raises(UnitError, match="too large"):
        units.size(text)


def test_a_long_text_is_not_repeated_whole() -> None:
    with pytest.raises(UnitError) as raised:
        units.size("x" * 10_000)

    assert len(str(raised.value)) < 200


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (units.show_size(0), "0 B"),
        (units.show_size(1023), "1023 B"),
        (units.show_size(1536), "1.5 KiB"),
        (units.show_size(20 * 2**40), "20 TiB"),
        (units.show_size(2**20 - 1), "1 MiB"),
        (units.show_rate(1e9), "8 Gbit/s"),
        (units.show_rate(25e6), "200 Mbit/s"),
        (units.show_rate(0), "0 bit/s"),
        (units.show_duration(2592000), "30 d"),
        (units.show_duration(5400), "1.5 h"),
        (units.show_duration(0.8), "800 ms"),
        (units.show_duration(0), "0 s"),
        (units.show_duration(math.inf), "for ever"),
    ],
)
def test_quantities_are_shown_in_their_largest_fitting_unit(shown: str, expected: str) -> None:
    assert shown == expected


@given(st.integers(0, 2**60))
def test_a_shown_size_reads_as_the_size_to_three_digits(nbytes: int) -> None:
    assert units.size(units.show_size(nbytes)) == pytest.approx(nbytes, rel=0.006)


@given(st.floats(0.125, 1e14))
def test_a_shown_rate_reads_as_the_rate_to_three_digits(rate: float) -> None:
    assert units.rate(units.show_rate(rate)) == pytest.approx(rate, rel=0.006)


@given(st.floats(1e-6, 1e9))
def test_a_shown_duration_reads_as_the_duration_to_three_digits(seconds: float) -> None:
    assert units.duration(units.show_duration(seconds)) == pytest.approx(seconds, rel=0.006)


@given(st.floats(1e-3, 1e15))
def test_a_rate_written_exactly_is_read_exactly(rate: float) -> None:
    assert units.rate(f"{rate!r}B/s") == rate
