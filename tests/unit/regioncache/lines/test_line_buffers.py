"""Receive buffers: large enough for a line's rate, small enough that its neighbours find room."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache.lines.buffers import LEAST_BUFFER, MOST_BUFFER, SMALL_BUFFER, among, quantum, wanted
from regioncache.pages import KIB, MIB

PAYLOAD_RATE = 25_000_000 / 1.06
IN_80_MS = PAYLOAD_RATE * 0.08
PREPAID = 25_000_000 * 0.18
WINDOW_AT_MTU_1500 = 0.61
"""Of the buffer as read back, measured on Linux 6.18."""
MOST = PREPAID * 0.75 / 1.06


def test_one_long_reply_moves_four_fifths_of_the_quota_at_80_ms_if_half_a_buffer_is_window() -> None:
    buffer = wanted(64 * MIB, True, IN_80_MS, MOST)

    assert buffer / 0.08 >= 0.8 * PAYLOAD_RATE
    assert 2 * buffer + quantum(2 * buffer) <= MOST


def test_replies_of_unknown_length_leave_room_for_enough_others_to_fill_the_line_with_100_kib() -> None:
    buffer = wanted(MIB, False, IN_80_MS, MOST)

    at_once = PREPAID // ((2 * buffer + quantum(2 * buffer)) * 1.06)

    assert WINDOW_AT_MTU_1500 * 2 * buffer >= 100 * KIB + KIB
    assert at_once * 100 * KIB / 0.095 >= PAYLOAD_RATE


def test_a_page_of_known_length_comes_in_one_round_trip() -> None:
    assert wanted(MIB, True, IN_80_MS, MOST) == MIB


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("length", [1, 100 * KIB, MIB, 64 * MIB])
def test_without_a_round_trip_the_least_buffer_is_enough(length: int, known: bool) -> None:
    assert wanted(length, known, 0.0, MOST) == LEAST_BUFFER


@given(st.integers(0, 1 << 40), st.booleans(), st.floats(0, 1e12), st.floats(0, 1e12))
def test_a_buffer_is_within_its_bounds(length: int, known: bool, in_round_trip: float, most: float) -> None:
    buffer = wanted(length, known, in_round_trip, most)

    assert LEAST_BUFFER <= buffer <= MOST_BUFFER
    assert known or length > MIB or buffer <= SMALL_BUFFER


def test_a_jitter_of_the_rate_keeps_the_buffer() -> None:
    buffers = {wanted(64 * MIB, True, IN_80_MS * jitter, MOST) for jitter in (0.99, 1.0, 1.01, 1.05)}

    assert len(buffers) == 1


@given(st.integers(1, 10_000))
def test_a_room_is_divided_by_few_figures_none_too_small(streams: int) -> None:
    assert streams <= among(streams) < max(2, 1.5 * streams)
    assert among(streams) in {1, 2} | {n << power for n in (3, 4) for power in range(14)}


@given(st.floats(200_000, 1e9))
def test_a_large_buffer_and_its_quantum_fit_what_they_may_hold(most: float) -> None:
    readback = 2 * wanted(64 * MIB, True, math.inf, most)

    assert readback + quantum(readback) <= most
