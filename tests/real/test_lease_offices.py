"""Offices elected in a real etcd: one at a time, replaced when it dies, and never more on the line than its quota."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from namespace.etcdclient.client import Etcd
from namespace.etcdclient.config import EtcdAccess
from namespace.etcdclient.election import Election
from namespace.etcdclient.session import Session
from policy.leases.messages import Holder, Safe
from regioncache.leasing.elections import Keys, Standee, Standing
from regioncache.leasing.tenure import OfficeFile, Record, parsed
from regioncache.origins.base import Payer
from tests.fakes.leased_nodes import DIRECTION, LINE, NEAR, ClusterNode, Sum, rules
from tests.real.lab.etcd import EtcdCluster, etcd

pytestmark = [pytest.mark.real, pytest.mark.anyio]
QUOTA = 25_000_000.0
BURST = 262_144.0
REC = Payer("rec")
PATIENCE_SECONDS = 60.0
Start = Callable[[str], Awaitable[ClusterNode]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EtcdCluster]:
    with etcd(tmp_path) as running:
        yield running


@pytest.fixture
async def start(server: EtcdCluster, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts nodes of one region; their process epochs are 1, 2, 3..."""
    made: list[ClusterNode] = []

    async def begin(name: str) -> ClusterNode:
        made.append(await ClusterNode.start(tmp_path / name, name, rules(), server.urls, len(made) + 1))
        return made[-1]

    yield begin
    for one in made:
        await one.close()
    assert [fault for one in made for fault in one.node.faults] == []


async def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < ends, "it did not come"
        await asyncio.sleep(0.02)


async def reading(start: Start, count: int = 3) -> list[ClusterNode]:
    """Nodes that read, each with its part of the line."""
    nodes = [await start(f"cache-{number}") for number in range(count)]
    for one in nodes:
        one.node.read(REC)
    await until(lambda: all(one.node.rate > 0.9 * QUOTA / count for one in nodes))
    return nodes


async def test_one_of_the_nodes_is_the_office_and_all_share_the_line(start: Start) -> None:
    nodes = await reading(start)

    assert [one.in_office for one in nodes].count(True) == 1
    assert sum(one.node.rate for one in nodes) <= QUOTA


async def test_an_office_that_leaves_is_followed_at_once_by_one_with_a_higher_epoch(start: Start) -> None:
    nodes = await reading(start)
    total = Sum([one.node for one in nodes], QUOTA)
    (first,) = (one for one in nodes if one.in_office)
    others = [one for one in nodes if one is not first]
    before = others[0].node.leasing.statistics()[LINE].epoch

    await first.close()
    await until(lambda: all(one.node.leasing.statistics()[LINE].epoch > before for one in others))
    await total.stop()

    assert all(one.node.state == "leased" for one in others)
    assert total.excess <= BURST


async def test_etcd_that_is_away_ends_the_office_and_nothing_else_for_a_lease(
    start: Start, server: EtcdCluster
) -> None:
    nodes = await reading(start)
    total = Sum([one.node for one in nodes], QUOTA)
    epoch = nodes[0].node.leasing.statistics()[LINE].epoch

    server.members[0].kill()
    await until(lambda: not any(one.in_office for one in nodes))
    await until(lambda: all(one.node.state == "hold" for one in nodes))
    held = sum(one.node.rate for one in nodes)
    server.start()
    await until(lambda: all(one.node.leasing.statistics()[LINE].epoch > epoch for one in nodes))
    await total.stop()

    assert 0 < held <= 0.5 * QUOTA
    assert total.excess <= BURST


async def test_what_an_office_leaves_its_successor_lies_in_etcd(start: Start) -> None:
    nodes = await reading(start, 2)

    kept = await nodes[0].etcd.get(Keys(NEAR, LINE).record)

    assert kept is not None
    record = parsed(kept.value)
    roster = record.roster(DIRECTION)
    assert roster is not None
    assert set(roster.holders) == {"cache-0", "cache-1"}
    assert sum(holder.safe.rate for holder in roster.holders.values()) <= 0.5 * QUOTA
    assert isinstance(record, Record)
    assert roster.holders["cache-0"] == Holder(1, Safe(*_figures(roster.holders["cache-0"])))


def _figures(holder: Holder) -> tuple[float, float]:
    return holder.safe.rate, holder.safe.burst


async def test_a_death_that_is_written_in_etcd_frees_the_room(start: Start) -> None:
    nodes = await reading(start, 2)
    (office,) = (one for one in nodes if one.in_office)
    dead = next(one for one in nodes if one is not office)
    before = office.node.rate
    for held in dead.node.leasing._held.values():
        held.talk.cancel()
        await asyncio.wait({held.talk})

    await dead.etcd.put(f"/causeway/{NEAR}/fenced/{dead.node.leasing._settings.node}".encode(), b'{"process_epoch": 9}')
    await until(lambda: office.node.rate > 1.8 * before)

    book = office.node.leasing.offices()[LINE].statistics()[DIRECTION]
    assert list(book.nodes) == [office.node.leasing._settings.node]


async def test_the_process_that_follows_a_killed_one_of_its_name_ends_its_time_in_office(
    start: Start, server: EtcdCluster, tmp_path: Path
) -> None:
    keys, file = Keys(NEAR, LINE), OfficeFile(tmp_path / "offices")
    async with Etcd(EtcdAccess.of(*server.urls)) as client:
        killed, other = await Session.open(client, 3600), await Session.open(client, 3600)
        election = Election(client, keys.election)
        former = await election.campaign(killed, Standee("a:1", "cache-0", lambda: 1).said())
        waiting = asyncio.create_task(election.campaign(other, Standee("b:1", "cache-1", lambda: 1).said()))
        next_one = Standing(client, keys, Standee("a:1", "cache-0", lambda: 2), file)

        stands = asyncio.create_task(next_one.elected(lambda: 0, lambda: 1))
        elected = await asyncio.wait_for(waiting, PATIENCE_SECONDS)

        assert elected.epoch > former.epoch
        assert not stands.done()
        stands.cancel()
        await asyncio.wait({stands})
        await next_one.close()


async def test_an_etcd_that_lost_its_data_is_known_to_have_had_offices(start: Start, server: EtcdCluster) -> None:
    nodes = await reading(start, 2)
    total = Sum([one.node for one in nodes], QUOTA)
    epoch = nodes[0].node.leasing.statistics()[LINE].epoch

    server.members[0].kill()
    server.members[0].forget()
    server.start()
    await until(lambda: all(one.node.leasing.statistics()[LINE].epoch > epoch for one in nodes))
    await total.stop()

    assert all(one.node.state == "leased" for one in nodes)
    assert total.excess <= BURST
