"""The smallest round trip of a line: a windowed minimum."""

from hypothesis import given
from hypothesis import strategies as st

from regioncache.lines.roundtrip import WINDOW_SECONDS, RoundTrip


def test_nothing_measured_is_no_round_trip() -> None:
    assert RoundTrip().smallest == 0


def test_a_slow_answer_does_not_lengthen_it() -> None:
    trip = RoundTrip()
    trip.measured(0.08, 0.0)

    changed = trip.measured(0.5, 1.0)

    assert not changed
    assert trip.smallest == 0.08


def test_a_faster_answer_shortens_it_at_once() -> None:
    trip = RoundTrip()
    trip.measured(0.08, 0.0)

    assert trip.measured(0.05, 1.0)
    assert trip.smallest == 0.05


def test_a_line_moved_to_a_longer_path_is_believed_after_two_windows() -> None:
    trip = RoundTrip()
    trip.measured(0.02, 0.0)

    trip.measured(0.09, WINDOW_SECONDS + 1)
    soon = trip.smallest
    trip.measured(0.09, 2 * WINDOW_SECONDS + 2)

    assert (soon, trip.smallest) == (0.02, 0.09)


def test_a_long_silence_keeps_the_last_measurement() -> None:
    trip = RoundTrip()
    trip.measured(0.02, 0.0)

    assert trip.smallest == 0.02
    trip.measured(0.09, 10 * WINDOW_SECONDS)
    assert trip.smallest == 0.09


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0.001, 1)), min_size=1))
def test_it_is_never_above_what_was_measured_within_a_window(steps: list[tuple[float, float]]) -> None:
    trip, now, seen = RoundTrip(), 0.0, []
    for pause, seconds in steps:
        now += pause
        trip.measured(seconds, now)
        seen.append((now, seconds))

        assert trip.smallest <= min(of for at, of in seen if at > now - WINDOW_SECONDS)
        assert trip.smallest in {of for _, of in seen}
