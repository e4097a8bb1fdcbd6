"""Regions that are clusters read from one another: the owner there is asked, and what moves or dies costs a retry."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway import publishing
from gateway.admin.operations import OperationFault
from gateway.adopting import RunningParts
from regioncache.cluster.members import Addresses, Member
from regioncache.federation.farview import FarView
from regioncache.pages import WHOLE
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.flow.federated import HOME, POOL, SHIELD, federation
from tests.flow.journeys import landed, read
from tests.flow.world import FAR, MIB, NEAR, RENTED

pytestmark = pytest.mark.anyio
SIZE = 2 * MIB + 17


async def test_each_line_carries_each_page_once_whichever_nodes_are_asked(s3: FakeS3) -> None:
    keys = [f"k{number}" for number in range(6)]
    for key in keys:
        s3.bucket("bucket1").put(key, SIZE)
    async with federation(s3) as all_of_them:
        for key in keys:
            bodies = await asyncio.gather(
                *(read(all_of_them.world, key, region=node) for node in (POOL, *SHIELD, *HOME))
            )
            await landed(all_of_them.world)
            assert bodies == [ramp(0, SIZE)] * 6

        assert [s3.sent[key] for key in keys] == [SIZE] * 6
        assert all_of_them.brought(NEAR) == {"unique": 6 * SIZE}
        assert all_of_them.brought(RENTED) == {"unique": 6 * SIZE}


async def test_the_owner_in_the_far_region_is_asked_and_no_other_node_of_it(s3: FakeS3) -> None:
    async with federation(s3) as all_of_them:
        s3.bucket("bucket1").put("first", 1000)
        await read(all_of_them.world, "first", region=POOL)
        await all_of_them.settled()
        before = {name: all_of_them.asked(name).count("read") for name in SHIELD}

        for number, owner in enumerate(SHIELD):
            key = all_of_them.owned_by(owner, f"n{number}-")
            s3.bucket("bucket1").put(key, 1000)
            assert await read(all_of_them.world, key, region=POOL) == ramp(0, 1000)

        assert {name: all_of_them.asked(name).count("read") - before[name] for name in SHIELD} == dict.fromkeys(
            SHIELD, 1
        )


async def test_a_dead_far_node_costs_one_retry_and_no_error(s3: FakeS3) -> None:
    async with federation(s3) as all_of_them:
        s3.bucket("bucket1").put("first", 1000)
        await read(all_of_them.world, "first", region=POOL)
        await all_of_them.settled()
        key = all_of_them.owned_by("s2")
        s3.bucket("bucket1").put(key, 1000)
        await all_of_them.kill("s2")
        all_of_them.view("s1")
        before = all_of_them.asked("s1").count("read")

        assert await read(all_of_them.world, key, region=POOL) == ramp(0, 1000)

        assert s3.sent[key] == 1000
        assert all_of_them.asked("s1").count("read") == before + 1
        assert not all_of_them.world.nodes[POOL].running.app.health.away_since()


async def test_a_far_owner_that_dies_in_mid_reply_is_gone_on_from_by_another_node_there(s3: FakeS3) -> None:
    size = 24 * MIB
    async with federation(s3) as all_of_them:
        s3.bucket("bucket1").put("first", 1000)
        await read(all_of_them.world, "first", region=POOL)
        await all_of_them.settled()
        key = all_of_them.owned_by("s2")
        s3.bucket("bucket1").put(key, size)
        opened = await all_of_them.world.nodes[POOL].operations.open(f"/ns/train/{key}", WHOLE)
        pieces = opened.stream()
        body = bytearray(await anext(pieces))

        await all_of_them.kill("s2")
        all_of_them.view("s1")
        async for piece in pieces:
            body += piece
        opened.close()

        assert body == ramp(0, size)
        assert s3.sent[key] == size


async def test_the_new_owner_is_asked_after_one_reply_that_tells_of_the_change(s3: FakeS3) -> None:
    async with federation(s3) as all_of_them:
        s3.bucket("bucket1").put("first", 1000)
        await read(all_of_them.world, "first", region=POOL)
        await all_of_them.settled()
        await all_of_them.join("s3", NEAR)
        all_of_them.view("s1", "s2", "s3")
        s3.bucket("bucket1").put("second", 1000)
        await read(all_of_them.world, "second", region=POOL)
        await all_of_them.settled()
        key = all_of_them.owned_by("s3")
        s3.bucket("bucket1").put(key, 1000)
        before = {name: all_of_them.asked(name).count("read") for name in ("s1", "s2", "s3")}

        assert await read(all_of_them.world, key, region=POOL) == ramp(0, 1000)

        assert {name: all_of_them.asked(name).count("read") for name in before} == {**before, "s3": before["s3"] + 1}
        assert all_of_them.far(POOL, NEAR).nodes.view.epoch == all_of_them.epoch


async def test_the_one_address_of_the_topology_may_die_once_others_are_known(s3: FakeS3) -> None:
    async with federation(s3) as all_of_them:
        for name in SHIELD:
            known = all_of_them.owned_by(name)
            s3.bucket("bucket1").put(known, 1000)
            await read(all_of_them.world, known, region=name)
        await all_of_them.settled()
        await all_of_them.kill("h1")
        all_of_them.view("h2", "h3")

        for number in range(6):
            s3.bucket("bucket1").put(f"n{number}", 1000)
            assert await read(all_of_them.world, f"n{number}", region=POOL) == ramp(0, 1000)

        # By the shield all the same, never by the line to the store itself.
        assert [s3.count("GET", f"n{number}") for number in range(6)] == [1] * 6
        assert not all_of_them.world.nodes["s1"].running.app.health.away_since()


async def test_of_several_addresses_in_the_topology_any_that_answers_is_enough(s3: FakeS3) -> None:
    async with federation(s3) as all_of_them:
        dead, alive = (all_of_them.world.peer(name) for name in SHIELD)
        await all_of_them.kill("s1")
        all_of_them.view("s2")
        all_of_them.named[NEAR] = [dead, alive]
        await all_of_them.apply()
        key = all_of_them.owned_by("s2")
        s3.bucket("bucket1").put(key, SIZE)

        assert await read(all_of_them.world, key, region=POOL) == ramp(0, SIZE)

        # By the shield all the same, and nothing came twice.
        assert s3.sent[key] == SIZE
        assert all_of_them.brought(RENTED) == all_of_them.brought(NEAR) == {"unique": SIZE}


async def test_views_that_differ_cost_a_forwarding_and_no_second_read_of_the_origin(s3: FakeS3) -> None:
    async with federation(s3) as all_of_them:
        s3.bucket("bucket1").put("first", 1000)
        await read(all_of_them.world, "first", region=POOL)
        await all_of_them.settled()
        all_of_them.view("s1", seen_by=("s1",))
        key = all_of_them.owned_by("s1")
        s3.bucket("bucket1").put(key, SIZE)

        bodies = await asyncio.gather(*(read(all_of_them.world, key, region=node) for node in (POOL, "s1")))

        assert bodies == [ramp(0, SIZE)] * 2
        assert s3.sent[key] == SIZE


async def test_regions_that_name_no_nodes_are_asked_at_those_that_they_publish(s3: FakeS3) -> None:
    async with federation(s3, named={FAR: [], NEAR: []}) as all_of_them:
        s3.bucket("bucket1").put("k", SIZE)
        with pytest.raises(OperationFault, match="no way from here"):
            await read(all_of_them.world, "k", region=POOL)

        published = tuple(publishing.told_of(node.running) for node in all_of_them.world.nodes.values())
        for node in all_of_them.world.nodes.values():
            parts = RunningParts(node.running.app, node.running.keys, node.running.in_force)
            await parts.adopt_nodes(published)

        assert await read(all_of_them.world, "k", region=POOL) == ramp(0, SIZE)
        assert s3.sent["k"] == SIZE
        assert all_of_them.brought(NEAR) == {"unique": SIZE}


async def test_a_far_node_that_swallows_what_is_sent_is_given_up_and_the_next_one_asked(s3: FakeS3) -> None:
    async with federation(s3) as all_of_them, swallowing() as where:
        s3.bucket("bucket1").put("first", 1000)
        await read(all_of_them.world, "first", region=POOL)
        await all_of_them.settled()
        far = all_of_them.far(POOL, NEAR)
        key = all_of_them.owned_by("s2")
        s3.bucket("bucket1").put(key, 1000)
        moved = Member("s2", Addresses(where), 1 << 30)
        far.nodes.adopt(FarView(far.nodes.view.epoch, (all_of_them.known["s1"], moved)), 0.0)
        far.nodes.answered(moved, 0.0)

        assert await read(all_of_them.world, key, region=POOL) == ramp(0, 1000)

        assert s3.sent[key] == 1000
        assert not all_of_them.world.nodes[POOL].running.app.health.away_since()


@asynccontextmanager
async def swallowing() -> AsyncIterator[str]:
    """The address of a server that takes connections and says nothing."""
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in held:
            writer.transport.abort()
        await server.wait_closed()
