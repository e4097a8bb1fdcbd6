"""Lanes: where the kernel makes receive buffers small, a reader is told how many requests it takes to fill the line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache.lines.buffers import lanes, quantum
from regioncache.pages import KIB, MIB
from tests.fakes.hearing import Heard
from tests.fakes.line_world import REC, World, world

pytestmark = pytest.mark.anyio

SMALL = 2 * 212_992
"""What is read back where net.core.rmem_max is as most distributions leave it."""
IN_80_MS = 25_000_000 / 1.06 * 0.08
MOST = 25_000_000 * 0.18 * 0.75 / 1.06


def test_as_many_lanes_as_windows_fit_into_a_round_trip() -> None:
    assert lanes(SMALL, IN_80_MS, 100 * MIB) == 8


def test_no_more_lanes_than_may_be_prepaid() -> None:
    assert lanes(SMALL, IN_80_MS, MOST) == 7


@given(st.integers(1, 1 << 30), st.floats(0, 1e10), st.floats(0, 1e10))
def test_there_is_one_lane_at_least_and_further_ones_fit(readback: int, in_round_trip: float, most: float) -> None:
    found = lanes(readback, in_round_trip, most)

    assert found >= 1
    assert found == 1 or found * (readback + quantum(readback)) <= most


async def known(at: World) -> None:
    """Lets the line learn its round trip, and what its kernel makes of buffers."""
    await at.finish(at.read(REC, MIB))
    await at.finish(at.read(REC, 4 * MIB))


async def test_with_buffers_as_they_are_wanted_one_lane_is_enough(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        await known(at)

        assert at.line.crossing(lambda: REC, "train-bj", lambda: "unique").lanes(0) == 1


async def test_with_small_buffers_more_lanes_fill_the_line(tmp_path: Path) -> None:
    async with world(tmp_path, most_buffer=SMALL) as at:
        await known(at)
        wanted = at.line.crossing(lambda: REC, "train-bj", lambda: "unique").lanes(0)
        began = at.alarms()
        for _ in range(wanted):
            at.start(at.stream(REC, 400 * MIB))
        await at.alarms.run_for(4)

        assert wanted == 7
        assert at.debited_rate(began + 1) >= 0.8 * 25e6


async def test_who_comes_to_others_lanes_gets_fewer(tmp_path: Path) -> None:
    async with world(tmp_path, most_buffer=SMALL) as at:
        await known(at)
        for _ in range(5):
            at.start(at.stream(REC, 400 * MIB))
        await at.alarms.run_for(1)
        crossing = at.line.crossing(lambda: REC, "train-bj", lambda: "unique")

        assert (crossing.lanes(5), crossing.lanes(0)) == (7, 2)


async def test_a_buffer_that_is_large_again_ends_the_lanes(tmp_path: Path) -> None:
    async with world(tmp_path, most_buffer=SMALL) as at:
        await known(at)
        at.most_buffer = 64 * MIB
        await at.finish(at.read(REC, 4 * MIB))

        assert at.line.crossing(lambda: REC, "train-bj", lambda: "unique").lanes(0) == 1


async def test_a_small_reply_says_nothing_of_buffers(tmp_path: Path) -> None:
    async with world(tmp_path) as at:
        await known(at)
        await at.finish(at.read(REC, 100 * KIB))

        assert at.line.crossing(lambda: REC, "train-bj", lambda: "unique").lanes(0) == 1


async def test_the_first_buffer_that_is_clipped_names_the_sysctl_and_what_it_costs(tmp_path: Path) -> None:
    heard = Heard()
    async with world(tmp_path, most_buffer=SMALL, tidings=heard.tidings()) as at:
        await known(at)
        for _ in range(3):
            await at.finish(at.read(REC, 4 * MIB))

        (told,) = heard.warnings
        assert "line bj-use1: the kernel makes receive buffers of 212992 bytes where " in told
        assert "moves 26 Mbit/s of 189 Mbit/s at a round trip of 80 ms" in told
        assert "sysctl -w net.core.rmem_max=" in told
        assert at.line.statistics().clipped.startswith("line bj-use1: the kernel makes receive buffers of 212992 bytes")


async def test_a_buffer_clipped_to_more_than_half_is_noticed(tmp_path: Path) -> None:
    heard = Heard()
    async with world(tmp_path, most_buffer=2 * MIB, tidings=heard.tidings()) as at:
        await known(at)

        assert ["of 1048576 bytes where 1572864 are wanted" in told for told in heard.warnings] == [True]


async def test_buffers_as_they_are_wanted_are_not_worth_a_word(tmp_path: Path) -> None:
    heard = Heard()
    async with world(tmp_path, tidings=heard.tidings()) as at:
        await known(at)

        assert heard.warnings == []
        assert at.line.statistics().clipped == ""
