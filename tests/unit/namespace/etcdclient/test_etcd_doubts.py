"""Answers that are lost, streams that say too much or nothing: by a fake, since a real etcd shows them by chance."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from namespace.etcdclient.asking import Asking, Repeat
from namespace.etcdclient.client import Etcd
from namespace.etcdclient.config import EtcdAccess
from namespace.etcdclient.connections import Connections, Failed, unconnected
from namespace.etcdclient.errors import DataLost, EtcdRefused, EtcdUnavailable, EtcdUncertain
from namespace.etcdclient.limits import EtcdLimits
from namespace.etcdclient.proto import etcd_pb2 as pb
from namespace.etcdclient.values import KeyValue, Put, absent, unchanged
from namespace.rpc.faults import Full, Unreachable
from tests.fakes.etcd import FakeEtcd, event, header, served

pytestmark = pytest.mark.anyio

Create = pb.WatchCreateRequest
Asked = AsyncIterator[pb.WatchRequest]
Said = AsyncIterator[pb.WatchResponse]
LIMITS = EtcdLimits(call_seconds=10.0, pause_seconds=0.01, silent_seconds=0.1, probe_seconds=0.2)


@asynccontextmanager
async def asking(*fakes: FakeEtcd, dead: tuple[str, ...] = (), limits: EtcdLimits = LIMITS) -> AsyncIterator[Etcd]:
    """A client of these servers, those that nobody is at before them."""
    async with served(*fakes), Etcd(EtcdAccess.of(*dead, *(one.url for one in fakes)), limits) as client:
        yield client


@pytest.fixture
def nobody() -> str:
    """A server that is not there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


async def test_a_put_whose_answer_is_lost_is_not_sent_again() -> None:
    first, second = FakeEtcd(), FakeEtcd()
    first.lose_answers = 1
    async with asking(first, second) as client:
        with pytest.raises(EtcdUncertain, match="may have been done"):
            await client.put(b"k", b"v")

    assert (first.asked, second.asked) == (["put"], [])


async def test_a_put_that_nobody_else_makes_is_sent_again_where_that_is_said() -> None:
    first, second = FakeEtcd(), FakeEtcd()
    first.lose_answers = 1
    async with asking(first, second) as client:
        await client.put(b"k", b"v", repeatable=True)

    assert (first.asked, second.asked) == (["put"], ["put"])


async def test_a_put_goes_to_the_next_server_where_it_cannot_have_arrived(nobody: str) -> None:
    fake = FakeEtcd()
    async with asking(fake, dead=(nobody,)) as client:
        await client.put(b"k", b"v")

    assert fake.asked == ["put"]


@pytest.mark.parametrize("said", ["etcdserver: no leader", "etcdserver: too many requests"])
async def test_a_write_that_etcd_says_it_has_not_done_is_sent_again(said: str) -> None:
    fake = FakeEtcd()
    fake.refuse = [Unreachable(said), Full(said)]
    async with asking(fake) as client:
        await client.put(b"k", b"v")

    assert fake.asked == ["put", "put", "put"]


async def test_a_transaction_whose_attempt_was_not_carried_out_is_sent_again_and_holds() -> None:
    fake = FakeEtcd()
    fake.refuse = [Unreachable("the connection is gone")]
    async with asking(fake) as client:
        outcome = await client.transact([absent(b"k")], [Put(b"k", b"v")])

    assert (outcome.succeeded, fake.asked) == (True, ["txn", "txn"])


async def test_a_transaction_that_met_its_own_first_attempt_is_uncertain_and_not_failed() -> None:
    fake = FakeEtcd()
    fake.lose_answers = 1
    async with asking(fake) as client:
        with pytest.raises(EtcdUncertain, match="read what it would have written"):
            await client.transact([absent(b"k")], [Put(b"k", b"ours")])
        found = await client.get(b"k")

    assert found is not None
    assert (found.value, found.version) == (b"ours", 1)


async def test_a_transaction_that_could_happen_twice_is_sent_once() -> None:
    fake = FakeEtcd()
    fake.lose_answers = 1
    async with asking(fake) as client:
        with pytest.raises(EtcdUncertain):
            await client.transact([unchanged(b"other", 0)], [Put(b"k", b"v")])

    assert fake.asked == ["txn"]


async def test_a_read_that_nobody_answers_is_unavailable_and_never_uncertain(nobody: str) -> None:
    async with Etcd(EtcdAccess.of(nobody), EtcdLimits(call_seconds=0.1, pause_seconds=0.01)) as client:
        with pytest.raises(EtcdUnavailable, match=nobody):
            await client.get(b"k")
        with pytest.raises(EtcdUnavailable, match=nobody):
            await client.put(b"k", b"v")


async def test_what_is_told_in_the_end_is_why_servers_fail_and_not_that_the_last_attempt_was_cut_short() -> None:
    now, faults = [0.0], iter(["certificate verify failed", ""])
    asking = Asking(Connections(EtcdAccess.of("http://a:1"), LIMITS), LIMITS, lambda: now[0])

    async def once(_index: int, left: float) -> None:
        why = next(faults)
        now[0] += 0.1 if why else left
        raise Failed(unconnected("http://a:1", why))

    with pytest.raises(EtcdUnavailable, match="certificate verify failed"):
        await asking.attempt(once, Repeat.NEVER)


async def test_a_client_that_was_closed_refuses_and_waits_for_nobody() -> None:
    fake = FakeEtcd()
    async with asking(fake) as client:
        following = client.follow(b"/")
        await client.put(b"k", b"v")
        await client.close()

        with pytest.raises(EtcdRefused, match="was closed"):
            await client.get(b"k")
        with pytest.raises(EtcdRefused, match="was closed"):
            await following.next()


async def test_parts_of_a_change_are_handed_on_as_one() -> None:
    fake = FakeEtcd(revision=5)

    async def parts(create: Create, asked: Asked) -> Said:
        assert create.fragment
        yield pb.WatchResponse(header=header(5), fragment=True, events=[event(b"/a", b"1", 4), event(b"/b", b"1", 5)])
        yield pb.WatchResponse(header=header(5), events=[event(b"/c", b"1", 5)])

    fake.watching = parts
    async with asking(fake) as client, client.watch(b"/", 4) as watch:
        first, second = await watch.next(), await watch.next()

    assert [one.key for one in first.changes] == [b"/a"]
    assert (second.revision, [one.key for one in second.changes]) == (5, [b"/b", b"/c"])


async def test_a_probes_answer_moves_nothing_forward() -> None:
    first, second = FakeEtcd(revision=100), FakeEtcd(revision=100)

    async def ahead(create: Create, asked: Asked) -> Said:
        await anext(asked)
        # etcd before 3.4.25 answers a probe with revisions whose changes are still on their way.
        yield pb.WatchResponse(header=header(100), watch_id=-1)
        raise Unreachable("the connection is gone")

    async def behind(create: Create, asked: Asked) -> Said:
        yield pb.WatchResponse(header=header(100), events=[event(b"/a", b"1", 7)])

    first.watching, second.watching = ahead, behind
    async with asking(first, second) as client, client.watch(b"/", 5) as watch:
        changes = await watch.next()

    assert (changes.revision, second.watches) == (7, [5])


async def test_a_watch_that_keeps_up_moves_forward_by_what_etcd_says_of_it() -> None:
    first, second = FakeEtcd(revision=100), FakeEtcd(revision=100)

    async def progress(create: Create, asked: Asked) -> Said:
        yield pb.WatchResponse(header=header(90))
        raise Unreachable("the connection is gone")

    async def later(create: Create, asked: Asked) -> Said:
        yield pb.WatchResponse(header=header(100), events=[event(b"/a", b"1", 95)])

    first.watching, second.watching = progress, later
    async with asking(first, second) as client, client.watch(b"/", 5) as watch:
        changes = await watch.next()

    assert (changes.revision, second.watches) == (95, [91])


async def test_nothing_of_a_stream_is_handed_on_before_etcd_was_checked_also_if_the_wait_was_given_up() -> None:
    fake = FakeEtcd(revision=3)
    fake.hangs = asyncio.Event()

    async def says(create: Create, asked: Asked) -> Said:
        yield pb.WatchResponse(header=header(3), events=[event(b"/a", b"1", 9)])

    fake.watching = says
    async with asking(fake) as client, client.watch(b"/", 9) as watch:
        waiting = asyncio.create_task(watch.next())
        while not fake.asked:
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        fake.hangs.set()
        for _ in range(2):
            with pytest.raises(DataLost, match="at revision 3, and was at 8"):
                await watch.next()


async def test_a_watch_leaves_a_server_that_answers_no_probe() -> None:
    silent, well = FakeEtcd(revision=9), FakeEtcd(revision=9)

    async def says(create: Create, asked: Asked) -> Said:
        yield pb.WatchResponse(header=header(9), events=[event(b"/a", b"1", 9)])

    well.watching = says
    async with asking(silent, well) as client, client.watch(b"/", 9) as watch:
        changes = await watch.next()

    assert (changes.revision, silent.watches, well.watches) == (9, [9], [9])


async def test_an_update_in_the_middle_of_a_burst_is_each_revision_once_over_a_cut() -> None:
    fake = FakeEtcd(revision=20)

    async def cut(create: Create, asked: Asked) -> Said:
        start = create.start_revision
        yield pb.WatchResponse(header=header(20), events=[event(b"/a", b"%d" % one, one) for one in (start, start + 1)])
        raise Unreachable("the connection is gone")

    fake.watching = cut
    async with asking(fake) as client, client.watch(b"/", 1) as watch:
        seen = [await watch.next() for _ in range(10)]

    assert [one.revision for one in seen] == list(range(1, 11))
    assert fake.watches[:5] == [1, 3, 5, 7, 9]


async def test_who_reads_slowly_gets_everything() -> None:
    fake = FakeEtcd(revision=500)

    async def many(create: Create, asked: Asked) -> Said:
        for one in range(1, 301):
            yield pb.WatchResponse(header=header(500), events=[event(b"/a", b"%d" % one, one)])

    fake.watching = many
    async with asking(fake, limits=EtcdLimits(watch_answers=2)) as client, client.watch(b"/", 1) as watch:
        seen = []
        for _ in range(300):
            await asyncio.sleep(0)
            seen += [one.value for one in (await watch.next()).changes if isinstance(one, KeyValue)]

    assert seen == [b"%d" % one for one in range(1, 301)]
