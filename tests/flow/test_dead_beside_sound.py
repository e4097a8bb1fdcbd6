"""One bucket that never answers beside one that does, many readers each: what the dead one holds, and who is told what.

How fast the sound one is meanwhile is shown by `tests/real/test_dead_origins.py`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from regioncache.app import CacheApp
from regioncache.fetching import FLIGHT_BYTES
from regioncache.sources import WayStatistics
from regioncache.turns import Turns
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.flow.journeys import Got, get
from tests.flow.world import FAR, LINE, NEAR, World, topology, two_regions, world

pytestmark = pytest.mark.anyio
LOST, FOUND = 64, 40
SIZE = 300_000
PLACES, WAITING = 36, 12
"""Training may fill 30 of the places: 42 readers are borne, 22 of the dead bucket's are not."""


@pytest.fixture(autouse=True)
def small_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer places than readers: the figures are no matter here."""
    made = Turns.__init__

    def narrow(turns: Turns, bounds: object, clock: object) -> None:
        made(turns, replace(bounds, reads=PLACES, waiting=WAITING), clock)  # type: ignore[type-var, arg-type]

    monkeypatch.setattr(Turns, "__init__", narrow)


class Hole:
    """A server that accepts and never answers, until it `falls`."""

    async def __aenter__(self) -> "Hole":
        self._held: list[asyncio.StreamWriter] = []
        self._server = await asyncio.start_server(self._hold, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.falls()

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._held.append(writer)

    def falls(self) -> None:
        """Nobody listens any more, and nobody is waited for."""
        self._server.close()
        for writer in self._held:
            writer.transport.abort()


@asynccontextmanager
async def beside(s3: FakeS3, dead: str) -> AsyncIterator[World]:
    """A region with the sound bucket at /ns/train and the dead one at /ns/train/dead."""
    async with world() as made:
        await made.start(FAR)
        await with_dead(made, s3, dead, None, FAR)
        await made.admit(FAR)
        yield made


async def with_dead(regions: World, s3: FakeS3, dead: str, policy: dict[str, object] | None, *where: str) -> None:
    """Puts the dead bucket beside the sound one, at /ns/train/dead."""
    document = topology(s3.url, regions.peer(FAR))
    buckets, mounts = document["buckets"], document["mounts"]
    assert isinstance(buckets, dict)
    assert isinstance(mounts, dict)
    buckets["dead"] = {**buckets["train-bj"], "bucket": "other", "endpoints": {"internal": dead}}
    mounts["/ns/train/dead"] = {"bucket": "dead"}
    for region in where:
        await regions.apply(region, document, policy)


def _dead(app: CacheApp) -> WayStatistics:
    (dead,) = (way for way in app.sources.statistics() if way.id[0] == "dead")
    return dead


async def test_a_dead_bucket_holds_its_share_and_no_more_and_the_sound_one_is_read(s3: FakeS3) -> None:
    for n in range(FOUND):
        s3.bucket("bucket1").put(f"k{n}", SIZE, shift=n)
    async with Hole() as hole, beside(s3, hole.url) as regions:
        app = regions.nodes[FAR].running.app
        lost = [asyncio.create_task(get(regions, f"dead/k{n}", region=FAR)) for n in range(LOST)]
        while _dead(app).share.refused < LOST - 42:
            await asyncio.sleep(0)

        sound = await asyncio.gather(*(get(regions, f"k{n}", region=FAR) for n in range(FOUND)))

        assert [got.body for got in sound] == [ramp(0, SIZE, n) for n in range(FOUND)]
        dead = _dead(app).share
        assert dead.reads <= PLACES
        assert dead.waiting <= WAITING
        # A sound flight keeps its pages until they are on disk, which its reader does not wait for.
        while app.memory.held()["flight"] > dead.reads * FLIGHT_BYTES:
            await asyncio.sleep(0)
        hole.falls()
        refused: list[Got] = await asyncio.gather(*lost)
        assert {got.status for got in refused} == {503}
        assert {got.code for got in refused} == {"SlowDown", "ServiceUnavailable"}
        assert all(int(got.headers["retry-after"]) >= 1 for got in refused)
        assert app.memory.held()["flight"] == 0


async def test_a_dead_bucket_keeps_no_room_of_a_line_that_a_sound_one_needs(
    s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than a read waits for its first byte: what frees the room is not that the dead one is given up at home.
    monkeypatch.setattr("regioncache.origins.s3.ANSWER_SECONDS", 1000.0)
    s3.bucket("bucket1").put("k", SIZE)
    slow = {"lines": {LINE: {"quota": "4Mbps"}}}
    async with Hole() as hole, two_regions(s3.url, policy=slow) as regions:
        await with_dead(regions, s3, hole.url, slow, FAR, NEAR)
        app = regions.nodes[NEAR].running.app
        lost = [asyncio.create_task(get(regions, f"dead/k{n}")) for n in range(LOST)]
        while not app.lines[LINE].statistics().waiting:
            await asyncio.sleep(0)

        while (got := await get(regions, "k")).status == 503:
            assert int(got.headers["retry-after"]) >= 1, "the line says when to come again; what was asked for goes on"
            await asyncio.sleep(0.1)

        assert got.body == ramp(0, SIZE)
        hole.falls()
        assert {got.status for got in await asyncio.gather(*lost)} == {503}
