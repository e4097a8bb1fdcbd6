"""Members of a region read through the owner of each extent, and each page comes into the region once."""

import asyncio

import pytest

from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.flow.journeys import get, landed, read
from tests.flow.members import EXTENT, NAMES, cluster
from tests.flow.world import MIB

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("size", [0, 1, 60_000, 200_000, 3 * MIB + 17])
async def test_an_object_comes_once_whichever_members_are_asked(s3: FakeS3, size: int) -> None:
    async with cluster(s3) as members:
        for name in NAMES:
            key = members.owned_by(name)
            s3.bucket("bucket1").put(key, size)
            for asked in (*members.others(name), name):
                assert await read(members.world, key, region=asked) == ramp(0, size)
                await landed(members.world)

            assert s3.sent[key] == size
            assert [members.held(other, key) for other in members.others(name)] == [0, 0]
            assert members.held(name, key) == size
        assert members.brought().get("unique", 0) == 3 * size
        assert set(members.brought()) <= {"unique"}


async def test_one_large_object_is_spread_over_the_members_and_read_through_any(s3: FakeS3) -> None:
    size = 3 * EXTENT + 5
    s3.bucket("bucket1").put("large", size)
    async with cluster(s3) as members:
        bodies = await asyncio.gather(*(get(members.world, "large", region=name) for name in NAMES))
        await landed(members.world)

        assert all(got.status == 200 and got.body == ramp(0, size) for got in bodies)
        assert s3.sent["large"] == size
        assert members.brought() == {"unique": size}
        owned = dict.fromkeys(NAMES, 0)
        for extent in range(4):
            owned[members.owner("large", extent)] += min(EXTENT, size - extent * EXTENT)
        assert {name: members.held(name, "large") for name in NAMES} == owned


async def test_an_unknown_object_is_asked_for_at_any_offset_by_one_read(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("far", 200 * MIB)
    async with cluster(s3) as members:
        for at in (130 * MIB + 5, 1, 70 * MIB):
            for name in NAMES:
                assert await read(members.world, "far", at, at + 10, region=name) == ramp(at, at + 10)

        assert s3.count("GET", "far") == 3
        assert s3.count("HEAD", "far") == 0
        assert s3.sent["far"] == 3 * MIB


async def test_the_reply_of_a_member_that_is_not_the_owner_says_so(s3: FakeS3) -> None:
    async with cluster(s3) as members:
        key = members.owned_by("a")
        s3.bucket("bucket1").put(key, 3 * MIB)

        got = [await get(members.world, key, region=name) for name in ("b", "a")]

        assert [answer.headers["x-causeway-source"] for answer in got] == ["peer", "page"]
        assert members.world.nodes["b"].running.app.tally.read["peer"] == 3 * MIB


async def test_what_is_small_and_hot_is_answered_from_memory_by_every_member(s3: FakeS3) -> None:
    async with cluster(s3) as members:
        key = members.owned_by("a")
        s3.bucket("bucket1").put(key, 5000)
        await get(members.world, key, region="b")
        await landed(members.world)
        await members.kill("a")

        got = await get(members.world, key, region="b")

        assert (got.status, got.body) == (200, ramp(0, 5000))


async def test_pages_move_to_a_new_owner_within_the_region_alone(s3: FakeS3) -> None:
    size = 2 * EXTENT + 3 * MIB
    s3.bucket("bucket1").put("moving", size)
    async with cluster(s3) as members:
        for view in (("a",), ("a", "b"), NAMES, ("a", "b"), NAMES):
            members.view(*view)
            for name in NAMES:
                assert await read(members.world, "moving", region=name) == ramp(0, size)
            await landed(members.world)

        assert s3.sent["moving"] == size
        assert s3.count("HEAD", "moving") == 0
        assert members.brought() == {"unique": size}


async def test_small_objects_move_to_a_new_owner_within_the_region_alone(s3: FakeS3) -> None:
    async with cluster(s3) as members:
        keys = [f"small{n}" for n in range(30)]
        for key in keys:
            s3.bucket("bucket1").put(key, 100_000)
        for view in (("a",), ("a", "b"), NAMES, ("a", "b"), NAMES):
            members.view(*view)
            for key in keys:
                assert await read(members.world, key, region="c") == ramp(0, 100_000)
            await landed(members.world)

        assert [s3.sent[key] for key in keys] == [100_000] * 30
        assert s3.count("HEAD") == 0
