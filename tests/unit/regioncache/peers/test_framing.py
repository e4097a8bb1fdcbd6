"""Frames of a read: the same bytes whether they are at hand or awaited, no frame larger than was asked, and an end."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import cast

import pytest

from regioncache.opened import Opened
from regioncache.pages import KIB, MIB, WHOLE, FilePart, Span, Wanted
from regioncache.peers import framing
from regioncache.peers.framing import Frames
from regioncache.peers.proto import FRAME_BYTES, HEADER_BYTES, MOST_FRAME_BYTES, Kind, check, parse
from tests.fakes.ramp import ramp
from tests.fakes.region import Region, ended, region

pytestmark = pytest.mark.anyio
SIZE = 2 * MIB + 70_001


async def opened(cache: Region, wanted: Wanted = WHOLE) -> Opened:
    """What has been read before."""
    cache.put("k", SIZE)
    await cache.read("k")
    await ended(cache)
    found = cache.app.cache.glance(cache.asked("k", wanted))
    assert found is not None
    return found


def pulled(frames: Frames, most: int = 1000) -> list[bytes]:
    """Frames at hand."""
    found = []
    while len(found) < most and (part := frames.pull()) is not None:
        found.append(part.head + bytes(part.view))
    return found


def taken_apart(frames: list[bytes], start: int, most: int) -> bytes:
    """The bytes that frames carry, each checked, one behind the other."""
    body = bytearray()
    for each in frames:
        head, payload = parse(each[:HEADER_BYTES]), each[HEADER_BYTES:]
        assert (head.kind, head.offset, head.length) == (Kind.BYTES, start + len(body), len(payload))
        assert 0 < len(payload) <= most
        check(head, payload)
        body += payload
    return bytes(body)


@pytest.mark.parametrize("most", [FRAME_BYTES, MOST_FRAME_BYTES])
@pytest.mark.parametrize("at_hand", [0, 1, 3, 1000])
async def test_frames_are_the_same_at_hand_and_awaited_in_any_turn(tmp_path: Path, most: int, at_hand: int) -> None:
    async with region(tmp_path) as cache:
        frames = Frames(await opened(cache, Wanted(5, None)), most)

        found = pulled(frames, at_hand)
        async for each in frames.stream():
            found += [bytes(each), *pulled(frames, at_hand)]

        # What was pulled behind the end is nothing, so the end is the last.
        assert parse(found[-1]).kind == Kind.END
        assert taken_apart(found[:-1], 5, most) == ramp(5, SIZE)


async def test_who_asks_for_large_frames_gets_a_step_of_what_is_held_in_each(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        large, small = Frames(await opened(cache), MOST_FRAME_BYTES), Frames(await opened(cache), FRAME_BYTES)

        assert [len(each) - HEADER_BYTES for each in pulled(large, 2)] == [256 * KIB, 256 * KIB]
        assert [len(each) - HEADER_BYTES for each in pulled(small, 5)] == [64 * KIB] * 5


async def test_the_end_goes_with_the_last_frame_that_is_at_hand(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        frames = Frames(await opened(cache), MOST_FRAME_BYTES)
        parts = []
        while (part := frames.pull()) is not None:
            parts.append(part.last)

        assert [parse(last).kind for last in parts if last] == [Kind.END]
        assert parts[-1]


class Silent:
    """A read of which nothing comes; `left` when it is closed."""

    span = Span(0, 10)
    left = False

    def pull(self) -> FilePart | None:
        return None

    async def stream(self) -> AsyncGenerator[memoryview]:
        try:
            await asyncio.Event().wait()
            yield memoryview(b"")
        finally:
            self.left = True


async def test_while_nothing_comes_there_are_beats_and_it_can_be_left_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "BEAT_SECONDS", 0.001)
    read = Silent()
    stream = Frames(cast(Opened, read), FRAME_BYTES).stream()

    beats = [parse(bytes(await anext(stream))).kind for _ in range(3)]
    await stream.aclose()

    assert beats == [Kind.BEAT] * 3
    assert read.left


async def test_of_a_read_that_was_given_up_nothing_stays_taken(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        read = await opened(cache)
        frames = Frames(read, FRAME_BYTES)
        pulled(frames, 1)
        stream = frames.stream()
        await anext(stream)

        read.close()
        await stream.aclose()

        assert cache.app.memory.held()["door"] == 0
