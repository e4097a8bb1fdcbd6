"""A node whose cache lies on disks of different size and speed: all of it serves, and `status` tells of each."""

import pytest

from gateway.cli.pictures import picture_of
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.flow.journeys import landed, read
from tests.flow.world import FAR, MIB, World, topology, world

pytestmark = pytest.mark.anyio
PATHS = ({"path": "fast", "size": "24MiB"}, {"path": "slow", "tier": 1, "size": "96MiB"})
KEYS = [f"k{number:02}" for number in range(40)]
SIZE = MIB


async def start(regions: World, s3: FakeS3) -> None:
    await regions.start(FAR, paths=PATHS)
    await regions.apply(FAR, topology(s3.url, None))


async def test_what_does_not_fit_on_the_fast_disk_is_kept_on_the_slow_one_and_outlives_a_restart(s3: FakeS3) -> None:
    for shift, key in enumerate(KEYS):
        s3.bucket("bucket1").put(key, SIZE, shift)
    async with world() as regions:
        await start(regions, s3)
        store = regions.nodes[FAR].running.app.store
        for shift, key in enumerate(KEYS):
            assert await read(regions, key, region=FAR) == ramp(0, SIZE, shift)
            await landed(regions)
            await store._moving.turn()

        fast, slow = regions.nodes[FAR].operations.status().caches
        await regions.stop(FAR)
        await regions.start(FAR, paths=PATHS)
        asked = s3.count("GET")
        bodies = [await read(regions, key, region=FAR) for key in KEYS]

        assert (fast.tier, fast.limit_bytes, slow.tier, slow.limit_bytes) == (0, 24 * MIB, 1, 96 * MIB)
        assert 0 < fast.held_bytes <= 24 * MIB
        assert fast.held_bytes + slow.held_bytes >= len(KEYS) * SIZE
        assert bodies == [ramp(0, SIZE, shift) for shift in range(len(KEYS))]
        assert s3.count("GET") == asked, "all of it is on one disk or the other"


async def test_status_tells_of_each_disk_what_it_holds_and_its_tier(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with world() as regions:
        await start(regions, s3)
        await read(regions, "k", region=FAR)
        await landed(regions)

        shown = [value for name, value in picture_of(regions.nodes[FAR].operations.status()) if name == "cache"]

        assert [row.rpartition("/")[2].partition(":")[0] for row in shown] == ["fast", "slow"]
        assert [row.partition(" of ")[2] for row in shown] == ["24 MiB, tier 0", "96 MiB, tier 1"]
