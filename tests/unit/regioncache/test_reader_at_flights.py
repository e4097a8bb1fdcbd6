"""Readers at flights: however many pieces land before the one they wait for, and whoever left before they came."""

import asyncio
from pathlib import Path

import pytest

from regioncache.lines.crossing import NoLine
from regioncache.pages import MIB, Span
from tests.fakes.clock import settle
from tests.fakes.shelf import bench

pytestmark = pytest.mark.anyio


class OnePageAtATime(NoLine):
    """A crossing on a line that others want too."""

    def request_wanted(self, length: int) -> int:
        return MIB


class Unhurried(NoLine):
    """A crossing that lets whoever waits for a flight see each piece land."""

    async def room(self, nbytes: int) -> int:
        await settle(3)
        return nbytes


async def test_a_reader_waits_for_its_page_however_many_pieces_land_before_it(tmp_path: Path) -> None:
    async with bench(tmp_path, piece=64 * 1024) as shelf:
        shelf.crossing = Unhurried
        shelf.origin.put("k", 32 * MIB)
        first, second = shelf.reader("k", 0, 32 * MIB), shelf.reader("k", 31 * MIB, 32 * MIB)
        await first.piece(0)

        piece = await second.piece(31 * MIB)

        assert len(piece) > 0
        assert shelf.origin.total_bytes <= 32 * MIB
        first.leave()
        second.leave()


async def test_a_reader_that_comes_while_an_abandoned_flight_ends_gets_its_bytes(tmp_path: Path) -> None:
    async with bench(tmp_path) as shelf:
        shelf.origin.put("k", 40 * MIB)
        leaving = shelf.reader("k", 0, 40 * MIB)
        await leaving.piece(0)
        leaving.leave()
        while shelf.origin.open_readings:
            await asyncio.sleep(0)
        assert len(list(shelf.shelf.flights)) == 1, "the flight is still landing what it has"

        assert await shelf.reads("k", 0, 40 * MIB)
        await shelf.landed()

        assert shelf.faults == []
        assert shelf.held("k") == [Span(0, 40)]


async def test_an_abandoned_flight_asks_for_no_more_after_the_request_in_hand(tmp_path: Path) -> None:
    async with bench(tmp_path) as shelf:
        shelf.crossing = OnePageAtATime
        shelf.origin.put("k", 40 * MIB)
        leaving = shelf.reader("k", 0, 40 * MIB)
        await leaving.piece(0)

        leaving.leave()
        await shelf.landed()

        assert shelf.origin.spans("k") == [Span(0, MIB)]
        assert shelf.held("k") == [Span(0, 1)]
