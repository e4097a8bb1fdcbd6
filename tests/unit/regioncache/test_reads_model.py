"""Random readers of a faulty origin, a small disk and overwritten objects: every reply is one version's bytes.

Each seed is one history: readers of random ranges, some of which leave early, some of what is never kept; requests
that break, answer nonsense or stall; overwrites in the middle of fills; evictions; bits that flip on the disk.
"""

import asyncio
import contextlib
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from regioncache.errors import (
    BadAnswer,
    CacheError,
    NoSuchObject,
    OriginUnavailable,
    RangeOutside,
    SlowDown,
    Unanswered,
    VersionChanged,
    WrongVersion,
)
from regioncache.opened import Terms
from regioncache.origins.base import Payer
from regioncache.pages import KIB, MIB
from tests.fakes.clock import settle
from tests.fakes.faulty import Fault
from tests.fakes.ramp import is_ramp
from tests.fakes.region import Region, region

pytestmark = pytest.mark.anyio
KEYS = {"packed": 50_000, "small": 256 * KIB, "page": MIB, "pages": 5 * MIB + 333, "extents": 66 * MIB + 7, "empty": 0}
EXPECTED = (OriginUnavailable, VersionChanged, NoSuchObject, RangeOutside, SlowDown)


class History:
    """One seed's life. `versions` are the (shift, size) that each key ever had."""

    def __init__(self, cache: Region, seed: int, folder: Path) -> None:
        self.cache = cache
        self.draw = random.Random(seed)
        self.folder = folder
        self.versions: dict[str, dict[str, tuple[int, int]]] = {key: {} for key in KEYS}
        self.seen: Counter[str] = Counter()
        for key in KEYS:
            self.overwrite(key)

    def overwrite(self, key: str) -> None:
        size = max(0, KEYS[key] + self.draw.randint(-1, 1) * self.draw.randrange(0, 1 + KEYS[key] // 10))
        made = self.cache.put(key, size, self.draw.randrange(251))
        self.versions[key][made.etag] = (made.shift, made.size)

    def fault(self) -> Fault:
        after = self.draw.choice([0, 1, 70_000, MIB, 3 * MIB + 5])
        error: CacheError = self.draw.choice(
            [
                OriginUnavailable("reset"),
                Unanswered("silence"),
                BadAnswer("no ETag"),
                WrongVersion("another ETag"),
                OriginUnavailable("500"),
            ]
        )
        return Fault(error, after=after)

    async def reader(self) -> None:
        draw, key = self.draw, self.draw.choice(list(KEYS))
        size = max(1, KEYS[key])
        start = draw.randrange(size) if draw.random() < 0.7 else 0
        end = None if draw.random() < 0.3 else start + 1 + int(2 ** draw.uniform(0, 23))
        terms = Terms(draw.choice([0.0, 5.0, 1e9]), keep=draw.random() < 0.8)
        leaves_after = draw.choice([None, None, None, 0, 1, 5])
        try:
            opened = await self.cache.open(
                key, start, end, terms=terms, payer=Payer("rec", draw.choice(["training", "backfill"]))
            )
        except EXPECTED as fault:
            self.seen[type(fault).__name__] += 1
            return
        shift, whole = self.versions[key][opened.meta.version]
        assert opened.meta.size == whole
        at = opened.span.start
        try:
            async for piece in opened.stream():
                assert is_ramp(bytes(piece), at, shift), f"{key} at {at}: not the bytes of {opened.meta.version}"
                at += len(piece)
                if leaves_after is not None and (leaves_after := leaves_after - 1) < 0:
                    self.seen["left"] += 1
                    return
                if draw.random() < 0.2:
                    await settle(draw.randrange(5))
            assert at == opened.span.end
            self.seen["whole"] += 1
        except EXPECTED as fault:
            self.seen[f"cut short: {type(fault).__name__}"] += 1
        finally:
            opened.close()

    def flip_a_bit(self) -> None:
        for path in self.draw.sample(files := sorted(self.folder.glob("extents/*/*")), len(files)):
            with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
                size = path.stat().st_size
                if size > 20_000:
                    at = self.draw.randrange(16 * KIB, size)
                    byte = os.pread(file.fileno(), 1, at)[0]
                    os.pwrite(file.fileno(), bytes([byte ^ 0x10]), at)
                    return

    async def live(self, readers: int) -> None:
        running: set[asyncio.Task[None]] = set()
        for _ in range(readers):
            chance = self.draw.random()
            if chance < 0.15:
                self.cache.faulty[self.draw.randrange(2)].next(self.fault())
            elif chance < 0.24:
                self.overwrite(self.draw.choice(list(KEYS)))
            elif chance < 0.28:
                self.flip_a_bit()
            elif chance < 0.33 and running:
                self.draw.choice(sorted(running, key=id)).cancel()
                self.seen["cancelled"] += 1
            self.cache.clock.advance(self.draw.random())
            running.add(asyncio.create_task(self.reader()))
            if len(running) >= 12:
                _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            await settle(self.draw.randrange(4))
        for result in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result


async def live(tmp_path: Path, seed: int, readers: int) -> None:
    page = random.Random(seed).choice([64 * KIB, MIB, 4 * MIB])
    async with region(tmp_path, ways=2, page=page, size=40 * MIB, memory=24 * MIB) as cache:
        for origin in cache.origins:
            origin.piece = 150_000
        history = History(cache, seed, tmp_path)
        await history.live(readers)
        for faulty in cache.faulty:
            faulty._next.clear()
        cache.clock.advance(60)
        while flights := list(cache.app.flights):
            await flights[0].change()
        cache.app.health._states.clear()
        for key in KEYS:
            # Healthy after all that: the newest version is read whole.
            made = cache.origin.bucket.find(key)
            opened = await cache.open(key, terms=Terms(0.0))
            at = 0
            async for piece in opened.stream():
                assert is_ramp(bytes(piece), at, made.shift)
                at += len(piece)
            opened.close()
            assert (at, opened.meta.version) == (made.size, made.etag)
        while flights := list(cache.app.flights):
            await flights[0].change()
        assert set(cache.app.memory.held().values()) == {0}
        assert cache.origin.open_readings == 0
        assert history.seen["whole"] > readers // 5, history.seen


@pytest.mark.parametrize("seed", range(6))
async def test_every_reply_is_the_bytes_of_one_version(tmp_path: Path, seed: int) -> None:
    await live(tmp_path, seed, 120)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 150))
async def test_every_reply_is_the_bytes_of_one_version_for_long(tmp_path: Path, seed: int) -> None:
    await live(tmp_path, seed, 400)
