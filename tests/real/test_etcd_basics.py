"""A real etcd of one server: keys, transactions, snapshots, leases, elections, a following."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from namespace.etcdclient.client import Etcd
from namespace.etcdclient.config import EtcdAccess
from namespace.etcdclient.election import Election
from namespace.etcdclient.errors import EtcdRefused, LeaseGone, TooLarge
from namespace.etcdclient.limits import EtcdLimits
from namespace.etcdclient.session import Session
from namespace.etcdclient.values import Cause, Changes, Get, Gone, Put, Snapshot, absent, unchanged
from tests.real.lab.etcd import EtcdCluster, etcd

pytestmark = [pytest.mark.real, pytest.mark.anyio]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with etcd(tmp_path_factory.mktemp("etcd")) as running:
        yield running


@pytest.fixture
async def client(cluster: EtcdCluster, tmp_path: Path) -> AsyncIterator[Etcd]:
    async with Etcd(EtcdAccess.of(*cluster.urls), EtcdLimits(page_keys=10)) as running:
        yield running
        await running.delete_prefix(b"")


async def test_a_key_is_what_was_put(client: Etcd) -> None:
    revision = await client.put(b"/k", b"\x00\xff")

    found = await client.get(b"/k")

    assert found is not None
    assert (found.key, found.value, found.created, found.modified) == (b"/k", b"\x00\xff", revision, revision)
    assert await client.get(b"/none") is None


async def test_a_transaction_happens_whole_or_not_at_all(client: Etcd) -> None:
    first = await client.transact([absent(b"/k")], [Put(b"/k", b"1"), Put(b"/l", b"1")], [Get(b"/k")])
    second = await client.transact([absent(b"/k")], [Put(b"/k", b"2"), Put(b"/m", b"2")], [Get(b"/k")])
    third = await client.transact([unchanged(b"/k", first.revision)], [Put(b"/k", b"3")])

    assert (first.succeeded, second.succeeded, third.succeeded) == (True, False, True)
    assert second.items(0)[0].value == b"1"
    assert await client.get(b"/m") is None


async def test_a_snapshot_is_of_one_revision_though_it_is_read_in_pages(client: Etcd) -> None:
    await client.write([Put(b"/s/%03d" % number, b"v") for number in range(250)])

    snapshot = await client.snapshot(b"/s/")

    assert [one.key for one in snapshot.items] == [b"/s/%03d" % number for number in range(250)]
    assert {one.modified for one in snapshot.items} <= set(range(snapshot.revision + 1))


async def test_what_is_larger_than_an_answer_may_be_is_read_in_smaller_pages(cluster: EtcdCluster) -> None:
    async with Etcd(EtcdAccess.of(*cluster.urls), EtcdLimits(message_bytes=3 << 20)) as small:
        await small.write([Put(b"/large/%d" % number, bytes(1 << 20)) for number in range(8)])

        snapshot = await small.snapshot(b"/large/")

        assert [len(one.value) for one in snapshot.items] == [1 << 20] * 8
        await small.delete_prefix(b"/large/")


async def test_a_value_above_what_etcd_takes_is_refused_before_it_is_sent(client: Etcd) -> None:
    with pytest.raises(TooLarge, match="split it"):
        await client.put(b"/k", bytes(2 << 20))


async def test_a_following_sees_the_whole_and_then_each_change_once(client: Etcd) -> None:
    await client.put(b"/f/old", b"1")
    await client.put(b"/other", b"1")
    async with client.follow(b"/f/") as news:
        whole = await news.next()
        put = await client.put(b"/f/new", b"2")
        await client.put(b"/other", b"2")
        await client.delete(b"/f/old")
        both = await client.transact((), [Put(b"/f/a", b"3"), Put(b"/f/b", b"3")], repeatable=False)
        seen = [await news.next() for _ in range(3)]

    assert isinstance(whole, Snapshot)
    assert (whole.cause, set(whole.as_dict())) == (Cause.FIRST, {b"/f/old"})
    assert all(isinstance(one, Changes) for one in seen)
    assert [one.revision for one in seen] == [put, put + 2, both.revision]
    assert [[change.key for change in one.changes] for one in seen if isinstance(one, Changes)] == [
        [b"/f/new"],
        [b"/f/old"],
        [b"/f/a", b"/f/b"],
    ]
    assert isinstance(seen[1], Changes)
    assert isinstance(seen[1].changes[0], Gone)


async def test_a_following_that_was_given_up_while_it_waited_loses_nothing(client: Etcd) -> None:
    async with client.follow(b"/f/") as news:
        await news.next()
        waiting = asyncio.create_task(news.next())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        revision = await client.put(b"/f/k", b"1")

        assert (await news.next()).revision == revision


async def test_keys_of_a_session_end_with_it(client: Etcd) -> None:
    session = await Session.open(client, 30.0)
    await session.put(b"/m/1", b"me")

    await session.close()

    assert await client.get(b"/m/1") is None


async def test_a_session_whose_lease_was_revoked_is_lost_and_comes_back_with_its_keys(client: Etcd) -> None:
    async with await Session.open(client, 6.0) as session:
        await session.put(b"/m/1", b"me")
        lease = session.lease
        await client.revoke(lease)

        await session.lost()
        assert session.left(client.clock()) <= 0
        lived_on = await session.renew()

        found = await client.get(b"/m/1")
        assert (lived_on, session.alive, session.lease != lease) == (False, True, True)
        assert found is not None
        assert (found.value, found.lease) == (b"me", session.lease)


async def test_the_first_to_stand_leads_and_the_next_one_has_a_higher_epoch(client: Etcd) -> None:
    election = Election(client, b"/election")
    async with await Session.open(client, 30.0) as ours, await Session.open(client, 30.0) as theirs:
        first = await election.campaign(ours, b"us")
        second = asyncio.create_task(election.campaign(theirs, b"them"))
        seen = await election.leader()
        await election.resign(first)
        after = await second

        assert seen == first
        assert (first.value, after.value) == (b"us", b"them")
        assert after.epoch > first.epoch
        assert not await election.resign(first)


async def test_who_stands_by_a_lost_session_is_told_so(client: Etcd) -> None:
    session = await Session.open(client, 30.0)
    await client.revoke(session.lease)

    with pytest.raises(LeaseGone, match="register anew"):
        await Election(client, b"/election").campaign(session, b"us")
    await session.close()


async def test_a_leader_that_is_observed_changes_when_its_session_ends(client: Etcd) -> None:
    election = Election(client, b"/election")
    session = await Session.open(client, 30.0)
    async with election.observe() as leaders:
        nobody = await leaders.next()
        leader = await election.campaign(session, b"us")
        seen = await leaders.next()
        await session.close()

        assert (nobody, seen, await leaders.next()) == (None, leader, None)


async def test_writes_under_a_guard_that_no_longer_holds_are_refused(client: Etcd) -> None:
    with pytest.raises(EtcdRefused, match="guard"):
        await client.write([Put(b"/k", b"v")], [unchanged(b"/leader", 5)])
    assert await client.get(b"/k") is None
