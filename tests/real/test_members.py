"""Members by a real etcd: who joins, restarts, leaves and is lost, and what of it all see alike."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from namespace.etcdclient.client import Etcd
from namespace.etcdclient.config import EtcdAccess
from regioncache.cluster.membership import StillAlive
from regioncache.cluster.roll import cluster_key, fenced_key, member_key
from regioncache.cluster.view import OtherCluster
from tests.real.lab.etcd import EtcdCluster, etcd
from tests.real.lab.members import REGION, Joined, until

pytestmark = [pytest.mark.real, pytest.mark.anyio]

Join = Callable[..., Awaitable[Joined]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EtcdCluster]:
    with etcd(tmp_path) as running:
        yield running


@pytest.fixture
async def join(server: EtcdCluster, tmp_path: Path) -> AsyncIterator[Join]:
    joined: list[Joined] = []

    async def one(name: str, **more: object) -> Joined:
        member = Joined(name, server.urls, tmp_path / name, **more)  # type: ignore[arg-type]
        joined.append(member)
        return await member.start()

    yield one
    assert not [fault for member in joined for fault in member.faults]
    for member in joined:
        with contextlib.suppress(Exception):
            await member.kill()


def alike(*members: Joined) -> bool:
    """Whether all have one view."""
    return len({(one.shared.epoch, tuple(one.names)) for one in members}) == 1


async def test_members_that_join_see_one_another_at_one_epoch(join: Join) -> None:
    first = await join("a")
    await until(lambda: first.shared.alone)
    second, third = await join("b"), await join("c")

    await until(lambda: first.names == ["a active", "b active", "c active"] and alike(first, second, third))

    assert first.owners == ["a", "b", "c"]
    assert not first.shared.alone


async def test_a_killed_member_is_lost_once_its_session_has_run_out(join: Join) -> None:
    first, second = await join("a"), await join("b", seconds=2.0)
    await until(lambda: first.owners == ["a", "b"])

    await second.kill()

    await until(lambda: first.owners == ["a"])
    assert first.shared.alone


async def test_a_member_that_restarts_keeps_what_it_owns(join: Join, server: EtcdCluster) -> None:
    first, second = await join("a"), await join("b")
    await until(lambda: first.owners == ["a", "b"])
    seen: list[tuple[str, ...]] = []
    adopt = first.shared.adopt

    def noting(members, *more):  # type: ignore[no-untyped-def]
        adopt(members, *more)
        seen.append(tuple(first.owners))

    first.shared.adopt = noting  # type: ignore[method-assign]
    former = first.membership.views.view.of("b").process_epoch  # type: ignore[union-attr]
    await second.stop()
    await until(lambda: "b restarting" in first.names)
    async with Etcd(EtcdAccess.of(*server.urls)) as client:
        await client.revoke(second.membership._session.lease)  # type: ignore[union-attr]
    again = await join("b")
    await until(lambda: "b active" in first.names and alike(first, again))

    assert set(seen) == {("a", "b")}
    assert first.membership.views.view.of("b").process_epoch > former  # type: ignore[union-attr]


async def test_a_member_killed_and_back_at_once_keeps_what_it_owns(join: Join) -> None:
    first, second = await join("a"), await join("b")
    await until(lambda: first.owners == ["a", "b"])
    epoch = first.shared.epoch

    await second.kill()
    again = await join("b")
    await until(lambda: first.shared.epoch > epoch and alike(first, again))
    await until(lambda: "b active" in first.names)

    assert first.owners == ["a", "b"]
    assert not any("b is gone" in said for said in first.said)


async def test_a_member_that_does_not_come_back_within_the_grace_is_lost(join: Join) -> None:
    first, second = await join("a"), await join("b", grace=1.0)
    await until(lambda: first.owners == ["a", "b"])

    await second.stop()

    await until(lambda: first.owners == ["a"])


async def test_a_member_that_leaves_hands_over_first_and_reads_through_others_after(join: Join) -> None:
    first, second = await join("a"), await join("b")
    await until(lambda: alike(first, second) and first.owners == ["a", "b"])
    while_handing: list[str] = []

    async def handing() -> None:
        await until(lambda: "b leaving" in first.names)
        while_handing.extend(first.owners)

    second.membership.handover = handing
    await second.membership.drain()
    await until(lambda: first.owners == ["a"] and alike(first, second))

    assert while_handing == ["a", "b"]
    assert second.membership.own().state == "left"
    assert not second.shared.alone


async def test_a_handover_that_fails_leaves_all_as_it_was(join: Join) -> None:
    first, second = await join("a"), await join("b")

    async def fails() -> None:
        raise OSError("no")

    second.membership.handover = fails
    with pytest.raises(OSError, match="no"):
        await second.membership.drain()

    await until(lambda: first.names == ["a active", "b active"] and alike(first, second))


async def test_of_two_nodes_of_one_name_the_older_is_told_that_it_was_replaced(join: Join, tmp_path: Path) -> None:
    first, older = await join("a"), await join("b")
    newer = await join("b")

    told = await asyncio.wait_for(older.membership.replaced, 60)
    await until(lambda: alike(first, newer))

    assert "another process registered as member b" in told
    assert "its own `node` in node.yaml" in told
    assert not newer.membership.replaced.done()


async def test_who_was_away_while_its_name_was_taken_does_not_take_it_back(join: Join, server: EtcdCluster) -> None:
    older = await join("b", seconds=1.0)
    for member in server.members:
        member.pause()
    await until(lambda: older.membership.away)
    for member in server.members:
        member.resume()
    newer = await join("b")

    await asyncio.wait_for(older.membership.replaced, 60)
    assert not newer.membership.replaced.done()


async def test_a_removed_member_that_is_alive_is_back(join: Join, server: EtcdCluster) -> None:
    first, second = await join("a"), await join("b")
    await until(lambda: alike(first, second) and first.owners == ["a", "b"])

    async with Etcd(EtcdAccess.of(*server.urls)) as client:
        await client.delete(member_key(REGION, "b"))

    await until(lambda: any("b is gone" in said for said in first.said))
    await until(lambda: alike(first, second) and first.owners == ["a", "b"])


async def test_a_member_that_answers_is_not_removed(join: Join) -> None:
    first, second = await join("a"), await join("b")
    await until(lambda: not first.membership.confirming.silent("b"))

    with pytest.raises(StillAlive, match="causeway drain b"):
        await first.membership.remove("b")
    with pytest.raises(StillAlive):
        await first.membership.remove("a")

    assert second.membership.own().state == "active"


async def test_a_dead_member_is_removed_by_hand_and_fenced(join: Join, server: EtcdCluster) -> None:
    first, second = await join("a"), await join("b", seconds=60.0)
    await until(lambda: first.owners == ["a", "b"])
    await second.kill()
    await until(lambda: first.membership.confirming.silent("b"))

    assert await first.membership.remove("b")

    await until(lambda: first.owners == ["a"])
    async with Etcd(EtcdAccess.of(*server.urls)) as client:
        fence = await client.get(fenced_key(REGION, "b"))
        assert fence is not None
        assert b'"removed"' in fence.value
        again = await join("b")
        await until(lambda: alike(first, again))
        assert await client.get(fenced_key(REGION, "b")) is None


async def test_a_supervisors_word_takes_out_that_process_alone(join: Join) -> None:
    first, second = await join("a"), await join("b", seconds=60.0)
    process = second.membership.own().process
    await until(lambda: first.owners == ["a", "b"])
    await second.kill()

    assert not await first.membership.ended("b", "another")
    assert await first.membership.ended("b", process)

    await until(lambda: first.owners == ["a"])


async def test_members_stay_while_etcd_is_away_and_confirm_one_another(join: Join, server: EtcdCluster) -> None:
    first, second = await join("a"), await join("b")
    await until(lambda: alike(first, second) and first.owners == ["a", "b"])

    server.stop()
    await until(lambda: first.membership.away and second.membership.away)
    first.membership.confirming.heard.clear()
    await until(lambda: not first.membership.confirming.silent("b"))
    assert first.owners == second.owners == ["a", "b"]
    server.start()
    await until(lambda: not first.membership.away and not second.membership.away)

    await until(lambda: alike(first, second) and first.names == ["a active", "b active"])
    assert any("etcd tells of every change again" in said for said in first.said)


async def test_a_node_restarted_without_etcd_goes_on_by_the_view_on_its_disk(join: Join, server: EtcdCluster) -> None:
    first, second = await join("a"), await join("b")
    await until(lambda: alike(first, second) and first.owners == ["a", "b"])
    server.stop()
    await first.stop()

    again = await join("a")

    assert again.owners == ["a", "b"]
    assert any("goes on by the view on its disk" in said for said in again.said)
    await until(lambda: not again.membership.confirming.silent("b"))
    server.start()
    await until(lambda: again.names == ["a active", "b active"] and alike(again, second))


async def test_a_view_learned_by_one_reaches_those_that_etcd_does_not(
    join: Join, server: EtcdCluster, tmp_path: Path
) -> None:
    first = await join("a")
    cut = Joined("c", ["http://127.0.0.1:9"], tmp_path / "c")
    cut.membership._seeds = lambda: [first.membership.registering.member.addresses.peer]
    starting = asyncio.create_task(cut.start())
    try:
        await until(lambda: cut.owners == ["a"])
        await starting
        second = await join("b")
        await until(lambda: cut.owners == ["a", "b"] and alike(first, second, cut))
    finally:
        await cut.kill()


async def test_an_etcd_that_lost_its_data_is_joined_again_by_the_same_cluster(join: Join, server: EtcdCluster) -> None:
    first, second = await join("a"), await join("b")
    await until(lambda: alike(first, second) and first.owners == ["a", "b"])
    before = first.membership.views.view
    assert before is not None

    server.stop()
    server.members[0].forget()
    server.start()

    await until(lambda: first.shared.epoch > before.epoch and alike(first, second) and first.owners == ["a", "b"])
    after = first.membership.views.view
    assert after is not None
    assert after.cluster == before.cluster
    assert after.of("a").process_epoch > before.of("a").process_epoch  # type: ignore[union-attr]


async def test_a_compaction_while_a_watch_was_away_leaves_all_at_one_epoch(join: Join, server: EtcdCluster) -> None:
    first, second, third = await join("a"), await join("b"), await join("c", seconds=2.0)
    await until(lambda: alike(first, second, third) and first.owners == ["a", "b", "c"])

    following = first.membership._roll
    await third.kill()
    server.stop()
    server.start()
    async with Etcd(EtcdAccess.of(*server.urls)) as client:
        for number in itertools.count():
            revision = await client.put(b"/else", str(number).encode())
            if number > 20:
                break
        await client.compact(revision)

    await until(lambda: first.owners == ["a", "b"] and alike(first, second))
    assert following is first.membership._roll


async def test_another_clusters_etcd_is_refused_loudly(join: Join, server: EtcdCluster, tmp_path: Path) -> None:
    first = await join("a")
    await first.stop()
    async with Etcd(EtcdAccess.of(*server.urls)) as client:
        await client.put(cluster_key(REGION), b'{"cluster": "other", "base": 0}')

    with pytest.raises(OtherCluster, match=r"etcd is of cluster other, this node of cluster .*remove its `view` file"):
        await join("a")


async def test_a_node_with_another_clusters_secret_is_named(join: Join) -> None:
    first, stranger = await join("a"), await join("b", secret="another-secret-altogether")
    await until(lambda: first.owners == ["a", "b"])

    first.membership.trouble(OSError("asked each second"))

    await until(lambda: any("both must have the same secret" in said for said in first.said))
    assert first.membership.confirming.silent("b")
    assert stranger.membership.confirming.silent("a")


async def test_a_torn_view_is_told_and_left_out(join: Join, tmp_path: Path) -> None:
    first = await join("a")
    await until((tmp_path / "a" / "view").exists)
    await first.stop()
    (tmp_path / "a" / "view").write_bytes(b"causeway view 1 torn")

    again = await join("a")

    assert again.owners == ["a"]
    assert any("its checksum is wrong" in said for said in again.said)
