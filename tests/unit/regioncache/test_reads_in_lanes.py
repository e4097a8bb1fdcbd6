"""Reads in lanes: where one connection is too slow for its line, a reader keeps several flights ahead of itself."""

import asyncio
from pathlib import Path

import pytest

from regioncache.lines.crossing import NoLine
from regioncache.pages import MIB, Span
from regioncache.reader import LANE_BYTES, Reader
from tests.fakes.clock import settle
from tests.fakes.shelf import Bench, bench

pytestmark = pytest.mark.anyio


class Narrow(NoLine):
    """A crossing whose connection brings a third of what its line could."""

    def lanes(self, mine: int) -> int:
        return 3

    async def room(self, nbytes: int) -> int:
        await settle(3)
        return nbytes


async def most_at_once(shelf: Bench, reader: Reader, to: int) -> int:
    """Reads to an offset; returns the most requests that were bringing something at once."""
    at, most = reader.span.start, 0
    while at < to:
        at += len(await reader.piece(at))
        most = max(most, shelf.origin.giving)
    return most


async def test_a_reader_keeps_as_many_flights_under_way_as_there_are_lanes(tmp_path: Path) -> None:
    async with bench(tmp_path) as shelf:
        shelf.crossing = Narrow
        shelf.origin.put("k", 200 * MIB)
        reader = shelf.reader("k", 0, 200 * MIB)

        # How many of them are seen at one look depends on the disk's threads; without lanes it is never more than one.
        assert 1 < await most_at_once(shelf, reader, 100 * MIB) <= 3
        reader.leave()


async def test_one_connection_that_is_fast_enough_is_left_alone(tmp_path: Path) -> None:
    async with bench(tmp_path) as shelf:
        shelf.origin.put("k", 40 * MIB)
        reader = shelf.reader("k", 0, 40 * MIB)

        assert await most_at_once(shelf, reader, 40 * MIB) == 1
        assert shelf.origin.spans("k") == [Span(0, 40 * MIB)]


async def test_a_short_span_is_divided_among_the_lanes(tmp_path: Path) -> None:
    async with bench(tmp_path) as shelf:
        shelf.crossing = Narrow
        shelf.origin.put("k", 40 * MIB)
        first, second = shelf.reader("k", 0, MIB), shelf.reader("k", 0, 10 * MIB)
        await first.piece(0)

        await most_at_once(shelf, second, 10 * MIB)

        assert shelf.origin.spans("k")[:3] == [Span(0, MIB), Span(MIB, 4 * MIB), Span(4 * MIB, 6 * MIB)]
        assert shelf.origin.total_bytes == 10 * MIB
        first.leave()
        second.leave()


async def test_what_comes_in_lanes_is_right_and_asked_for_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as shelf:
        shelf.crossing = Narrow
        size = 133 * MIB + 7
        shelf.origin.put("k", size)
        await shelf.reads("k", 20 * MIB, 21 * MIB)

        assert await shelf.reads("k", 0, size)
        await shelf.landed()

        assert shelf.origin.total_bytes == size
        assert shelf.held("k") == [Span(0, 134)]


async def test_lanes_end_with_the_span_that_is_read(tmp_path: Path) -> None:
    async with bench(tmp_path) as shelf:
        shelf.crossing = Narrow
        shelf.origin.put("k", 100 * MIB)

        assert await shelf.reads("k", 3 * MIB, 30 * MIB + 5)
        await shelf.landed()

        assert shelf.held("k") == [Span(3, 31)]


async def test_a_reader_that_stands_still_is_not_left_far_behind(tmp_path: Path) -> None:
    async with bench(tmp_path) as shelf:
        shelf.crossing = Narrow
        shelf.origin.put("k", 400 * MIB)
        reader = shelf.reader("k", 0, 400 * MIB)
        await most_at_once(shelf, reader, 66 * MIB)

        await shelf.landed()

        assert shelf.origin.total_bytes <= 66 * MIB + 7 * LANE_BYTES
        reader.leave()


async def test_two_readers_in_lanes_share_their_flights(tmp_path: Path) -> None:
    async with bench(tmp_path) as shelf:
        shelf.crossing = Narrow
        shelf.origin.put("k", 90 * MIB)

        right = await asyncio.gather(*(shelf.reads("k", start, 90 * MIB) for start in (0, 0, 30 * MIB)))

        assert right == [True] * 3
        assert shelf.origin.total_bytes == 90 * MIB


async def test_a_reader_that_leaves_leaves_little_to_come(tmp_path: Path) -> None:
    async with bench(tmp_path) as shelf:
        shelf.crossing = Narrow
        shelf.origin.put("k", 400 * MIB)
        reader = shelf.reader("k", 0, 400 * MIB)
        await most_at_once(shelf, reader, 66 * MIB)
        reader.leave()

        await shelf.landed()

        assert shelf.origin.total_bytes <= 66 * MIB + 7 * LANE_BYTES
