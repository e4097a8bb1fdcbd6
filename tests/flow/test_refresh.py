"""`causeway refresh` and `refresh: {every: ...}`: the smallest range that does it, through to the bucket."""

import pytest

from policy.errors import Faults
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.flow.journeys import get, landed, read
from tests.flow.world import FAR, NEAR, World, topology, two_regions, world

pytestmark = pytest.mark.anyio


async def known(regions: World, s3: FakeS3, *keys: str) -> None:
    for key in keys:
        s3.bucket("bucket1").put(key, 1000)
        assert await read(regions, key) == ramp(0, 1000)
    await landed(regions)


async def test_a_refresh_of_an_object_looks_at_it_and_what_lies_beneath_and_at_nothing_beside(s3: FakeS3) -> None:
    async with two_regions(s3.url) as regions:
        await known(regions, s3, "a", "a/b", "ab")

        refreshed = await regions.nodes[NEAR].operations.refresh("/ns/train/a")

        catalog, wall = regions.nodes[NEAR].running.app.catalog, regions.wall()
        bucket = regions.nodes[NEAR].running.app.resolver.topology.buckets["train-bj"].id
        ages = {oid.key: catalog.age(oid, meta, wall) for oid, meta in catalog._known.items() if oid.bucket == bucket}
        assert refreshed.dropped == 2
        assert ages["a/b"] is None
        assert ages["ab"] is not None


async def test_a_mount_is_refreshed_by_time_through_to_the_bucket(s3: FakeS3) -> None:
    shape = {"mount": {"consistency": {"max_age": "1h"}, "refresh": {"every": "10m"}}}
    async with two_regions(s3.url, **shape) as regions:
        await known(regions, s3, *(f"k{at}" for at in range(6)))
        s3.bucket("bucket1").put("k3", 900, 7)
        near = regions.nodes[NEAR].running.app

        done = await near.refresher.round("/ns/train")
        got = await get(regions, "k3")

        assert (done.lists, done.heads) == (1, 1)
        assert got.body == ramp(0, 900, 7)


@pytest.mark.parametrize(
    ("mount", "fault"),
    [
        ({"refresh": "10m"}, "refresh is written {every: 10m}"),
        ({"refresh": {"every": "1s"}}, "a refresh is every 5s at most"),
        ({"refresh": {"every": "often"}}, "'often' is not a duration"),
        ({"refresh": {"every": "10m"}, "consistency": "validate"}, "there is nothing to refresh"),
    ],
)
async def test_a_refresh_that_means_nothing_is_refused(s3: FakeS3, mount: dict[str, object], fault: str) -> None:
    async with world() as regions:
        await regions.start(FAR)
        with pytest.raises(Faults, match=fault):
            await regions.apply(FAR, topology(s3.url, None, mount=mount))
