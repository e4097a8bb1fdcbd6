"""A real etcd whose members are killed, stopped, compacted and begun anew: nothing is lost, and nothing passed over."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from namespace.etcdclient.client import Etcd
from namespace.etcdclient.config import EtcdAccess
from namespace.etcdclient.election import Election
from namespace.etcdclient.errors import Compacted, DataLost, EtcdError, EtcdUnavailable, EtcdUncertain
from namespace.etcdclient.follow import Following
from namespace.etcdclient.limits import EtcdLimits
from namespace.etcdclient.session import Session
from namespace.etcdclient.values import Cause, Changes, KeyValue, Put, Snapshot, absent, unchanged
from tests.real.lab.etcd import EtcdMember, etcd
from tests.real.lab.toxiproxy import toxiproxy

pytestmark = [pytest.mark.real, pytest.mark.anyio]

PATIENT = EtcdLimits(call_seconds=30.0, attempt_seconds=1.0, silent_seconds=1.0, probe_seconds=1.0)
ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def clients(*urls: list[str], limits: EtcdLimits = PATIENT) -> AsyncIterator[tuple[Etcd, ...]]:
    made = [Etcd(EtcdAccess.of(*one), limits) for one in urls]
    try:
        yield tuple(made)
    finally:
        for one in made:
            await one.close()


async def in_thread(call: Callable[[], object]) -> None:
    """Waits for processes, while the loop goes on."""
    await asyncio.to_thread(call)


async def written(client: Etcd, key: bytes, value: bytes) -> int:
    """Sets a key that nobody else writes, once, however often it must be asked; returns at which revision.

    A put sent again may happen twice, and that of a server which was held up after the puts that followed.
    """
    while True:
        try:
            found = await client.get(key)
            if found is not None and found.value == value:
                return found.modified
            guard = absent(key) if found is None else unchanged(key, found.modified)
            await client.transact([guard], [Put(key, value)])
        except (EtcdUncertain, EtcdUnavailable):
            continue


async def values_until(news: Following, last: bytes) -> list[bytes]:
    """The values that changes tell, until one has come."""
    seen: list[bytes] = []
    while not seen or seen[-1] != last:
        changes = await news.next()
        assert isinstance(changes, Changes), changes
        seen += [one.value for one in changes.changes if isinstance(one, KeyValue)]
    return seen


async def test_a_following_sees_each_value_in_order_while_leaders_are_killed(tmp_path: Path) -> None:
    with etcd(tmp_path, 3) as cluster:
        async with clients(cluster.urls, cluster.urls) as (writer, reader), reader.follow(b"/f/") as news:
            assert isinstance(await news.next(), Snapshot)
            reading = asyncio.create_task(values_until(news, b"last"))
            for number in range(2):
                leader = cluster.leader()
                leader.kill()
                for step in range(20):
                    await written(writer, b"/f/k", b"%d.%d" % (number, step))
                leader.start()
                await in_thread(cluster.wait)
            await written(writer, b"/f/k", b"last")
            seen = await reading

    assert seen == [*(b"%d.%d" % (number, step) for number in range(2) for step in range(20)), b"last"]


async def test_a_following_goes_on_where_it_was_when_its_server_was_away(tmp_path: Path) -> None:
    with etcd(tmp_path) as cluster:
        async with clients(cluster.urls) as (client,), client.follow(b"/f/") as news:
            await news.next()
            for number in range(3):
                cluster.members[0].kill()
                waiting = asyncio.create_task(news.next())
                cluster.members[0].start()
                await in_thread(cluster.wait)
                revision = await client.put(b"/f/k", b"%d" % number)

                assert (await waiting).revision == revision


async def test_a_following_leaves_a_server_that_is_silent(tmp_path: Path) -> None:
    with etcd(tmp_path, 3) as cluster:
        by_url = {one.url: one for one in cluster.members}
        async with clients(cluster.urls, cluster.urls[::-1]) as (reader, writer), reader.follow(b"/f/") as news:
            await news.next()
            await written(writer, b"/f/k", b"before")
            await news.next()
            paused = by_url[reader.asking.connections.servers[reader.asking.endpoints.preferred].url]
            paused.pause()
            waiting = asyncio.create_task(news.next())
            await written(writer, b"/f/k", b"meanwhile")
            changes = await waiting
            paused.resume()

    assert isinstance(changes, Changes)
    assert [one.value for one in changes.changes if isinstance(one, KeyValue)] == [b"meanwhile"]


async def test_a_following_and_a_session_leave_a_link_that_is_half_open(tmp_path: Path) -> None:
    with etcd(tmp_path, 3) as cluster, toxiproxy(tmp_path) as between:
        far, *near = cluster.members
        link = between.proxy("etcd", f"127.0.0.1:{far.client_port}")
        async with (
            clients([link.url, *(one.url for one in near)], [near[0].url]) as (reader, writer),
            reader.follow(b"/f/") as news,
            await Session.open(reader, 12.0) as session,
        ):
            await news.next()
            # Bytes are taken and never delivered, either way; the connection stays.
            with link.toxic("timeout", timeout=0), link.toxic("timeout", "upstream", timeout=0):
                held_until = session.left(0.0)
                revision = await written(writer, b"/f/k", b"v")
                changes = await news.next()
                while session.left(0.0) == held_until:
                    await asyncio.sleep(0.02)

                assert session.alive

    assert changes.revision == revision


async def test_writes_go_on_beside_a_leader_that_is_silent(tmp_path: Path) -> None:
    with etcd(tmp_path, 3) as cluster:
        async with clients(cluster.urls) as (client,):
            leader = cluster.leader()
            leader.pause()
            await written(client, b"/k", b"v")
            found = await client.get(b"/k")
            leader.resume()

    assert found is not None


async def test_a_compaction_while_a_following_was_away_gives_it_the_whole(tmp_path: Path) -> None:
    with etcd(tmp_path, 3) as cluster:
        away = cluster.members[0]
        others = [one.url for one in cluster.members[1:]]
        async with clients([away.url], others) as (reader, writer), reader.follow(b"/f/") as news:
            await written(writer, b"/f/old", b"1")
            await news.next()
            away.kill()
            await written(writer, b"/f/new", b"2")
            revision = await written(writer, b"/f/newer", b"3")
            await writer.compact(revision)
            away.start()
            whole = await news.next()
            while isinstance(whole, Changes):
                whole = await news.next()
            after = await written(writer, b"/f/k", b"4")

            assert whole.cause is Cause.COMPACTED
            assert set(whole.as_dict()) == {b"/f/old", b"/f/new", b"/f/newer"}
            assert (await news.next()).revision == after


async def test_a_watch_from_a_revision_that_was_dropped_says_from_where_there_is_history(tmp_path: Path) -> None:
    with etcd(tmp_path) as cluster:
        async with clients(cluster.urls) as (client,):
            for number in range(5):
                revision = await client.put(b"/k", b"%d" % number)
            await client.compact(revision)
            async with client.watch(b"/k", 2) as watch:
                with pytest.raises(Compacted) as told:
                    await watch.next()

    assert told.value.revision == revision


async def lost(member: EtcdMember, news: Following) -> Snapshot:
    """What a following says once etcd has begun anew."""
    told = await news.next()
    assert isinstance(told, Snapshot)
    assert told.cause is Cause.LOST
    return told


async def test_an_etcd_that_lost_its_data_is_told_though_it_is_the_same_cluster_by_name(tmp_path: Path) -> None:
    with etcd(tmp_path) as cluster:
        member = cluster.members[0]
        async with clients(cluster.urls) as (client,), client.follow(b"/f/") as news:
            for number in range(5):
                await client.put(b"/f/%d" % number, b"v")
            before = await news.next()
            member.kill()
            member.forget()
            member.start()
            after = await lost(member, news)
            revision = await client.put(b"/f/k", b"v")

            assert isinstance(before, Snapshot)
            assert (after.items, after.cluster, after.revision < before.revision) == ((), before.cluster, True)
            assert (await news.next()).revision == revision


async def test_an_etcd_of_another_cluster_is_told(tmp_path: Path) -> None:
    with etcd(tmp_path) as cluster:
        member = cluster.members[0]
        async with clients(cluster.urls) as (client,), client.follow(b"/f/") as news:
            before = await news.next()
            member.kill()
            member.forget()
            member.args = [*member.args, "--initial-cluster-token=another"]
            member.start()
            after = await lost(member, news)

    assert isinstance(before, Snapshot)
    assert after.cluster != before.cluster


async def test_lost_data_behind_a_revision_that_was_passed_again_is_told_by_the_mark(tmp_path: Path) -> None:
    with etcd(tmp_path) as cluster:
        member = cluster.members[0]
        async with clients(cluster.urls) as (client,), client.follow(b"/f/", mark=b"/cluster") as news:
            await client.put(b"/cluster", b"id of the first")
            await client.put(b"/f/k", b"v")
            before = await news.next()
            member.kill()
            member.forget()
            member.start()
            await in_thread(cluster.wait)
            # Nobody follows now, until the new one is further than the old one was.
            for number in range(20):
                await client.put(b"/other/%d" % number, b"v", repeatable=True)
            await client.put(b"/cluster", b"id of the second", repeatable=True)
            after = await lost(member, news)

    assert isinstance(before, Snapshot)
    assert (after.items, after.revision > before.revision) == ((), True)


async def test_a_watch_of_a_future_that_etcd_does_not_know_of_is_lost_data(tmp_path: Path) -> None:
    with etcd(tmp_path) as cluster:
        async with clients(cluster.urls) as (client,), client.watch(b"/k", 1000) as watch:
            with pytest.raises(DataLost, match="was at 999"):
                await watch.next()


async def test_nobody_there_is_told_once_and_again_when_somebody_is(tmp_path: Path) -> None:
    told: list[EtcdError | None] = []
    with etcd(tmp_path) as cluster:
        async with Etcd(EtcdAccess.of(*cluster.urls), trouble=told.append) as client:
            await client.put(b"/k", b"v")
            client.asking.limits = EtcdLimits(call_seconds=0.2)
            cluster.members[0].kill()
            for _ in range(2):
                with pytest.raises(EtcdUnavailable, match=cluster.urls[0]):
                    await client.get(b"/k")
            with pytest.raises(EtcdUnavailable):
                await client.put(b"/k", b"w")
            cluster.members[0].start()
            await in_thread(cluster.wait)
            while told[-1] is not None:
                await asyncio.gather(client.get(b"/k"), return_exceptions=True)

    assert [type(one) for one in told] == [EtcdUnavailable, type(None)]


async def test_a_write_to_a_silent_server_is_uncertain(tmp_path: Path) -> None:
    with etcd(tmp_path) as cluster:
        async with clients(cluster.urls) as (client,):
            await client.put(b"/k", b"v")
            client.asking.limits = EtcdLimits(call_seconds=0.5)
            cluster.members[0].pause()
            with pytest.raises(EtcdUncertain, match="read before it is tried again"):
                await client.put(b"/k", b"w")
            cluster.members[0].resume()


async def test_a_session_is_lost_by_our_own_clock_while_etcd_is_away_and_lives_on_by_its_lease(tmp_path: Path) -> None:
    with etcd(tmp_path) as cluster:
        async with clients(cluster.urls) as (client,):
            session = await Session.open(client, 3.0)
            created = await session.put(b"/m/1", b"me")
            cluster.members[0].pause()
            await session.lost()
            left = session.left(client.clock())
            cluster.members[0].resume()
            lease = session.lease
            lived_on = await session.renew()
            found = await client.get(b"/m/1")

            assert left <= 0
            assert session.alive
            assert found is not None
            assert (found.lease, found.created == created) == (session.lease, lived_on)
            assert (session.lease == lease) == lived_on
            await session.close()


_HOLDER = """
import sys, uvloop
from namespace.etcdclient.client import Etcd
from namespace.etcdclient.config import EtcdAccess
from namespace.etcdclient.election import Election
from namespace.etcdclient.session import Session

async def hold():
    etcd = Etcd(EtcdAccess.of(*sys.argv[1:]))
    session = await Session.open(etcd, 5.0)
    leader = await Election(etcd, b"/office").campaign(session, b"holder")
    print(leader.epoch, flush=True)
    await session.lost()

uvloop.run(hold())
"""


async def test_the_next_candidate_leads_after_the_leader_was_killed(tmp_path: Path) -> None:
    with etcd(tmp_path) as cluster:
        holder = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, *cluster.urls], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        try:
            assert holder.stdout is not None
            epoch = int(await asyncio.to_thread(holder.stdout.readline))
            async with clients(cluster.urls) as (client,), await Session.open(client, 10.0) as session:
                election = Election(client, b"/office")
                before = await election.leader()
                standing = asyncio.create_task(election.campaign(session, b"next"))
                holder.send_signal(signal.SIGKILL)
                after = await standing
        finally:
            holder.kill()
            holder.wait()
            if holder.stdout is not None:
                holder.stdout.close()

    assert before is not None
    assert (before.value, before.epoch) == (b"holder", epoch)
    assert (after.value, after.epoch > epoch) == (b"next", True)


async def test_a_thousand_watchers_all_see_a_change_also_after_a_restart(tmp_path: Path) -> None:
    with etcd(tmp_path) as cluster:
        async with clients(cluster.urls, limits=EtcdLimits(call_seconds=60.0)) as (client,):
            watchers = [client.follow(b"/f/") for _ in range(1000)]
            await asyncio.gather(*(one.next() for one in watchers))
            waiting = [asyncio.create_task(one.next()) for one in watchers]
            first = await client.put(b"/f/k", b"1")
            seen = await asyncio.gather(*waiting)
            waiting = [asyncio.create_task(one.next()) for one in watchers]
            cluster.members[0].kill()
            cluster.members[0].start()
            await in_thread(cluster.wait)
            second = await written(client, b"/f/k", b"2")
            again = await asyncio.gather(*waiting)
            await asyncio.gather(*(one.close() for one in watchers))

    assert {one.revision for one in seen} == {first}
    assert {one.revision for one in again} == {second}


async def test_thousands_of_changes_at_once_arrive_whole(tmp_path: Path) -> None:
    with etcd(tmp_path) as cluster:
        async with clients(cluster.urls) as (client,), client.follow(b"/f/") as news:
            await news.next()
            # More than etcd sends in one message: it comes in parts, which are one change.
            puts = [Put(b"/f/%d" % number, bytes(12_000)) for number in range(120)]
            revision = (await client.transact((), puts, repeatable=False)).revision
            changes = await news.next()

    assert isinstance(changes, Changes)
    assert (changes.revision, len(changes.changes)) == (revision, 120)
