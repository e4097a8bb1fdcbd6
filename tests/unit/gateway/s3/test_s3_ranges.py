"""One range of bytes, or the whole object."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.s3.ranges import content_range, wanted
from regioncache.pages import Span, Wanted


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"bytes=0-0", Wanted(0, 1)),
        (b"bytes=5-9", Wanted(5, 10)),
        (b"bytes=5-", Wanted(5)),
        (b"bytes=-7", Wanted(suffix=7)),
        (b"bytes=-0", Wanted(suffix=0)),
        (b"Bytes = 5-9", Wanted(5, 10)),
        (b"bytes=0005-0009", Wanted(5, 10)),
        (b"bytes=0-99999999999999999999999999", Wanted(0, 10**19 + 1)),
    ],
)
def test_a_range_is_half_open_inside(value: bytes, expected: Wanted) -> None:
    assert wanted(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"bytes",
        b"bytes=",
        b"bytes=-",
        b"bytes=a-b",
        b"bytes=9-5",
        b"bytes=0-1,3-4",
        b"bytes=0-1,",
        b"bytes=+1-2",
        b"bytes=1--2",
        b"bytes=1_0-20",
        b"items=0-1",
        "bytes=\u0661-\u0662".encode(),
        b"bytes=" + b"9" * 5000 + b"-1",
    ],
)
def test_several_ranges_and_what_cannot_be_read_mean_the_whole_object(value: bytes) -> None:
    assert wanted(value) is None


@given(st.integers(0, 1 << 50), st.integers(0, 1 << 50))
def test_ends_are_inclusive_on_the_wire(first: int, length: int) -> None:
    last = first + length

    assert wanted(b"bytes=%d-%d" % (first, last)) == Wanted(first, last + 1)
    assert content_range(first, last + 1, 1 << 51) == b"bytes %d-%d/%d" % (first, last, 1 << 51)


@pytest.mark.parametrize("value", [b"bytes=10-", b"bytes=10-20", b"bytes=-0"])
def test_a_range_outside_the_object_has_no_span(value: bytes) -> None:
    asked = wanted(value)

    assert asked is not None
    assert asked.of(10) is None


def test_a_long_range_ends_with_the_object() -> None:
    asked = wanted(b"bytes=8-99999999999999999999999999")

    assert asked is not None
    assert asked.of(10) == Span(8, 10)
