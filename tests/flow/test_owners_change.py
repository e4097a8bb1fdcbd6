"""Owners change while objects are read: what one has, or is bringing, comes to the next within the region."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.admin.operations import UnknownPath
from gateway.app import Node
from regioncache.http.messages import Reply
from regioncache.opened import Opened
from regioncache.pages import WHOLE
from regioncache.peers.desks import Values
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3, S3Fault
from tests.flow.journeys import get, landed, read
from tests.flow.members import EXTENT, NAMES, Cluster, cluster
from tests.flow.world import FAR, MIB, topology

pytestmark = pytest.mark.anyio


async def pieces(opened: Opened) -> AsyncIterator[bytes]:
    try:
        async for piece in opened.stream():
            yield bytes(piece)
    finally:
        opened.close()


async def opened(members: Cluster, name: str, key: str) -> AsyncIterator[bytes]:
    """A read at a member, whose first piece is there."""
    return pieces(await members.world.nodes[name].operations.open(f"/ns/train/{key}", WHOLE))


async def until(state: Callable[[], bool]) -> None:
    while not state():
        await asyncio.sleep(0)


@pytest.mark.parametrize(("request_number", "stalled"), [(0, -1), (0, 0), (0, 77_777), (1, -1), (1, 2 * MIB + 77)])
async def test_a_new_member_joins_what_the_owner_before_it_is_bringing(
    s3: FakeS3, request_number: int, stalled: int
) -> None:
    fault = S3Fault(stall=stalled)
    async with cluster(s3) as members:
        key = members.owned_by("c")
        members.view("a", "b")
        before = members.owner(key)
        s3.bucket("bucket1").put(key, 5 * MIB)
        s3.next(*[S3Fault()] * request_number, fault)
        first = asyncio.create_task(read(members.world, key, region=before))
        await fault.reached.wait()

        members.view(*NAMES)
        assert members.owner(key) == "c"
        readers = [asyncio.create_task(read(members.world, key, region=name)) for name in NAMES]
        held = members.world.nodes[before].running.counters
        await until(lambda: any(op == "held" for (_, op, _) in held.requests))
        fault.released.set()

        assert [await one for one in (first, *readers)] == [ramp(0, 5 * MIB)] * 4
        assert s3.sent[key] == 5 * MIB
        assert members.brought() == {"unique": 5 * MIB}
        await landed(members.world)
        assert members.held("c", key) == 5 * MIB


async def test_a_reply_under_way_goes_on_when_its_owner_comes_back(s3: FakeS3) -> None:
    async with cluster(s3) as members:
        key = members.owned_by("a")
        s3.bucket("bucket1").put(key, 40 * MIB)
        await read(members.world, key, region="a")
        await landed(members.world)
        reply = await opened(members, "b", key)
        body = await anext(reply)

        await members.kill("a")
        going = asyncio.create_task(_rest(reply))
        await asyncio.sleep(0)
        await members.start("a")
        members.view(*NAMES)

        assert body + await going == ramp(0, 40 * MIB)
        assert s3.sent[key] == 40 * MIB


async def test_a_reply_under_way_goes_on_when_another_becomes_the_owner(s3: FakeS3) -> None:
    async with cluster(s3) as members:
        key = members.owned_by("a")
        s3.bucket("bucket1").put(key, 40 * MIB)
        reply = await opened(members, "b", key)
        body = await anext(reply)

        await members.kill("a")
        going = asyncio.create_task(_rest(reply))
        await asyncio.sleep(0)
        members.view("b", "c")

        assert body + await going == ramp(0, 40 * MIB)


async def test_nobody_asks_the_origin_because_an_owner_is_away(s3: FakeS3) -> None:
    async with cluster(s3) as members:
        key = members.owned_by("a")
        s3.bucket("bucket1").put(key, 3 * MIB)
        await members.kill("a")

        reads = [asyncio.create_task(get(members.world, key, region=name)) for name in ("b", "c")]
        done, _ = await asyncio.wait(reads, timeout=1.0)
        assert not done
        assert not s3.heard
        await members.start("a")
        members.view(*NAMES)

        assert [(await one).body for one in reads] == [ramp(0, 3 * MIB)] * 2
        assert s3.sent[key] == 3 * MIB


async def test_who_is_asked_by_an_older_view_says_so_and_the_newer_one_is_waited_for(s3: FakeS3) -> None:
    async with cluster(s3) as members:
        key = members.owned_by("a")
        s3.bucket("bucket1").put(key, 3 * MIB)
        members.view("b", "c", seen_by=("a", "c"))
        reader = next(name for name in ("b", "c") if name != members.owner(key))
        if reader == "c":
            members.view("b", "c", seen_by=("a", "b"))
            members.views["c"].adopt([members.known[name] for name in NAMES], 1)
        asked = members.world.nodes["a"].running.counters

        going = asyncio.create_task(read(members.world, key, region=reader))
        await until(lambda: any(code == 421 for (_, _, code) in asked.requests))
        assert not s3.heard
        members.view("b", "c")

        assert await going == ramp(0, 3 * MIB)
        assert s3.sent[key] == 3 * MIB


async def test_who_is_asked_by_a_newer_view_waits_for_it(s3: FakeS3) -> None:
    async with cluster(s3) as members:
        members.view("a", "b")
        key = members.owned_by("a")
        members.view(*NAMES)
        while members.owner(key) != "c":
            members.view("a", "b")
            key = members.owned_by("a", beginning=key)
            members.view(*NAMES)
        members.view("a", "b")
        s3.bucket("bucket1").put(key, 3 * MIB)
        members.view(*NAMES, seen_by=("a", "b"))

        going = asyncio.create_task(read(members.world, key, region="b"))
        await asyncio.sleep(0.05)
        assert not s3.heard
        members.view(*NAMES)

        assert await going == ramp(0, 3 * MIB)
        await landed(members.world)
        assert s3.sent[key] == 3 * MIB
        assert members.held("c", key) == 3 * MIB


async def test_what_a_former_owner_asks_for_by_its_older_view_is_waited_for(s3: FakeS3) -> None:
    fault = S3Fault(stall=77_777)
    async with cluster(s3) as members:
        members.view("a")
        members.view("a", "c", seen_by=("c",))
        key = members.owned_by("c")
        s3.bucket("bucket1").put(key, 3 * MIB)
        s3.next(fault)

        asked = _asked(members.world.nodes["a"], "held")
        new = asyncio.create_task(read(members.world, key, region="c"))
        await asked.wait()
        former = asyncio.create_task(read(members.world, key, region="a"))
        await fault.reached.wait()
        members.views["a"].adopt([members.known["a"], members.known["c"]], members.epoch)
        fault.released.set()

        assert [await new, await former] == [ramp(0, 3 * MIB)] * 2
        assert members.brought() == {"unique": 3 * MIB}


async def test_an_owner_that_becomes_the_owner_of_what_it_reads_through_another_goes_on(s3: FakeS3) -> None:
    async with cluster(s3) as members:
        key = members.owned_by("a")
        s3.bucket("bucket1").put(key, EXTENT)
        reply = await opened(members, "b", key)
        body = await anext(reply)
        await members.kill("a")

        members.view("b")

        assert body + await _rest(reply) == ramp(0, EXTENT)


def _asked(node: Node, operation: str) -> asyncio.Event:
    """Set once a member is asked so at its peer door."""
    desks, asked = node.running.app.peers.desks, asyncio.Event()
    desk = desks[operation]

    async def answer(region: str, values: Values) -> Reply:
        asked.set()
        return await desk(region, values)

    desks[operation] = answer
    return asked


async def _rest(reply: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in reply])


async def test_reads_at_members_of_a_mount_that_is_taken_out_end_whole_or_refused(s3: FakeS3) -> None:
    fault = S3Fault(stall=MIB)
    async with cluster(s3) as members:
        key = members.owned_by("a")
        s3.bucket("bucket1").put(key, 5 * MIB)
        s3.next(fault)
        readers = [asyncio.create_task(read(members.world, key, region=name)) for name in NAMES]
        await fault.reached.wait()
        without = {**topology(s3.url, members.world.peer(FAR)), "mounts": {}}

        for name in NAMES:
            await members.world.apply(name, without)
        fault.released.set()
        ended = await asyncio.gather(*readers, return_exceptions=True)

        # One that others bring to a member is cut short, and told why: the owner knows the bucket no more.
        clear = [one for one in ended if isinstance(one, UnknownPath) or "knows no such bucket" in str(one)]
        whole = [one for one in ended if one == ramp(0, 5 * MIB)]
        assert len(clear) + len(whole) == 3, ended
        for name in NAMES:
            with pytest.raises(UnknownPath, match="no mount covers it"):
                await read(members.world, key, region=name)
        await landed(members.world)
        assert [sum(members.world.nodes[name].running.app.memory.held().values()) for name in NAMES] == [0, 0, 0]
