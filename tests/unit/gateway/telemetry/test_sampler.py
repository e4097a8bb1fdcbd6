"""Which requests are traced: by the share, by whom they belong to, and by the rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import TraceState

from gateway.telemetry.sampler import Sampler
from gateway.telemetry.w3c import Parent, parent, state

ASKED = Parent(1, 2, True)


def test_the_share_decides_for_requests_of_no_trace() -> None:
    chances = iter([0.0, 0.009, 0.01, 0.5])
    sampler = Sampler(0.01, 0, lambda: next(chances), 0.0)

    assert [sampler.chosen() for _ in range(4)] == [True, True, False, False]


def test_nothing_is_traced_at_nothing_and_everything_at_all() -> None:
    assert not Sampler(0.0, 0, lambda: 0.0, 0.0).chosen()
    assert Sampler(1.0, 0, lambda: 0.999999, 0.0).chosen()


def test_what_is_not_sampled_by_its_client_is_not_sampled_here() -> None:
    sampler = Sampler(1.0, 10, lambda: 0.0, 0.0)

    assert sampler.of(Parent(1, 2, False), 0.0) is None


@given(st.lists(st.floats(0, 5), min_size=1, max_size=200), st.integers(1, 20))
def test_traces_that_are_asked_for_keep_to_the_rate(gaps: list[float], rate: int) -> None:
    sampler, now, followed = Sampler(0.0, rate, lambda: 1.0, 0.0), 0.0, 0

    for gap in gaps:
        now += gap
        followed += sampler.of(ASKED, now) is not None

    assert followed <= rate * now + rate + 1e-6


def test_above_the_rate_the_share_decides() -> None:
    sampler = Sampler(0.5, 1, lambda: 0.4, 0.0)

    assert [sampler.of(ASKED, 0.0) for _ in range(3)] == [ASKED] * 3


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"00",
        b"00-" + b"0" * 32 + b"-" + b"1" * 16 + b"-01",
        b"00-" + b"1" * 32 + b"-" + b"0" * 16 + b"-01",
        b"ff-" + b"1" * 32 + b"-" + b"1" * 16 + b"-01",
        b"00-" + b"1" * 32 + b"-" + b"1" * 16 + b"-01-more",
        b"00-" + b"A" * 32 + b"-" + b"1" * 16 + b"-01",
        b"00-" + b"1" * 31 + b"-" + b"1" * 16 + b"-01",
        b"\xff" * 55,
    ],
)
def test_a_broken_parent_is_none(header: bytes) -> None:
    assert parent(header) is None


def test_a_parent_of_a_later_version_is_understood_as_far_as_ours_goes() -> None:
    header = b"cc-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01-what-the-future-brings"

    assert parent(header) == Parent(int("1" * 32, 16), int("2" * 16, 16), True)


@given(st.binary(max_size=80))
def test_no_bytes_break_the_parser(header: bytes) -> None:
    found = parent(header)

    assert found is None or (found.trace_id and found.span_id)


def test_several_state_headers_are_one_and_a_long_one_is_dropped() -> None:
    assert state([(b"tracestate", b"a=1 "), (b"x", b"y"), (b"tracestate", b"b=2")]) == "a=1,b=2"
    assert state([(b"tracestate", b"a=" + b"x" * 600)]) == ""


@pytest.mark.parametrize(
    "said",
    [
        b"=",
        b"a",
        b"a=",
        b"A=b",
        b"a b=c",
        b"a=b=c",
        b"a=b,a=c",
        b"a=\xff",
        "ключ=значение".encode(),
        b",".join(b"k%d=v" % at for at in range(33)),
    ],
)
def test_a_state_that_the_recommendation_does_not_allow_is_dropped(said: bytes) -> None:
    assert state([(b"tracestate", b"ok=1"), (b"tracestate", said)]) == ""


@pytest.mark.parametrize("said", [b"a=b", b"1t@v=x y~", b"k/*_-=!;<", b"a=1,,\t b=2 ,"])
def test_a_state_that_is_allowed_goes_on_and_the_library_takes_it_without_a_word(
    said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    told = state([(b"tracestate", said)])

    assert TraceState.from_header([told]).to_header() == told != ""
    assert not caplog.records
