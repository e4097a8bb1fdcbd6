"""A member that leaves hands over what it owns: within the region, and nothing of it crosses a line again."""

import asyncio

import pytest

from regioncache.errors import OriginUnavailable
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.flow.journeys import landed, read
from tests.flow.members import EXTENT, NAMES, cluster
from tests.flow.world import FAR, MIB

pytestmark = pytest.mark.anyio

SIZES = {"empty": 0, "small": 70_000, "middle": 3 * MIB + 5, "large": 2 * EXTENT + MIB}


async def test_what_a_leaving_member_owned_is_read_from_the_others_without_the_line(s3: FakeS3) -> None:
    async with cluster(s3) as members:
        names = [f"{name}{n}" for name in SIZES if name != "large" for n in range(6)] + ["large"]
        sizes = {name: SIZES[name.rstrip("0123456789")] for name in names}
        for name, size in sizes.items():
            s3.bucket("bucket1").put(name, size)
            await read(members.world, name, region="b")
        await landed(members.world)
        before = dict(s3.sent)
        owned = sum(members.held("a", name) for name in sizes)

        handover = members.world.nodes["a"].running.app.handover
        await handover.run()
        members.view("b", "c")
        await members.kill("a")
        await s3.away()
        await members.world.stop(FAR)

        for name, size in sizes.items():
            for region in ("b", "c"):
                assert await read(members.world, name, region=region) == ramp(0, size)
        assert dict(s3.sent) == before
        assert handover.statistics().moved_bytes == owned
        assert not handover.statistics().running


async def test_a_second_walk_moves_nothing(s3: FakeS3) -> None:
    async with cluster(s3) as members:
        key = members.owned_by("a")
        s3.bucket("bucket1").put(key, 3 * MIB)
        await read(members.world, key, region="a")
        await landed(members.world)
        handover = members.world.nodes["a"].running.app.handover

        await handover.run()
        await handover.run()

        assert handover.statistics().moved_bytes == 3 * MIB


async def test_what_others_own_is_left_where_it_is(s3: FakeS3) -> None:
    async with cluster(s3) as members:
        members.view("a")
        s3.bucket("bucket1").put("k", 3 * MIB)
        await read(members.world, "k", region="a")
        await landed(members.world)
        members.view(*NAMES)
        while members.owner("k") == "a":
            members.view("b", "c")

        await members.world.nodes["a"].running.app.handover.run()

        assert members.world.nodes["a"].running.app.handover.statistics().moved_bytes == 0


async def test_a_handover_that_nobody_takes_says_who_did_not(s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regioncache.handover.TRIES", 2)
    async with cluster(s3, ("a", "b")) as members:
        key = members.owned_by("a")
        s3.bucket("bucket1").put(key, 3 * MIB)
        await read(members.world, key, region="a")
        await landed(members.world)
        await members.kill("b")

        with pytest.raises(OriginUnavailable, match="member b does not take over"):
            await members.world.nodes["a"].running.app.handover.run()


async def test_pages_that_are_read_while_they_are_handed_over_come_once(s3: FakeS3) -> None:
    async with cluster(s3) as members:
        key = members.owned_by("a")
        s3.bucket("bucket1").put(key, 30 * MIB)
        await read(members.world, key, 0, 10 * MIB, region="a")
        await landed(members.world)

        async with asyncio.TaskGroup() as group:
            group.create_task(members.world.nodes["a"].running.app.handover.run())
            reads = [group.create_task(read(members.world, key, region=name)) for name in NAMES]
        members.view("b", "c")

        assert [one.result() for one in reads] == [ramp(0, 30 * MIB)] * 3
        assert s3.sent[key] == 30 * MIB
