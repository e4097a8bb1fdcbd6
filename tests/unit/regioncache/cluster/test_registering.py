"""A member's own registration: never over a later process's, whatever becomes of etcd's answers."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from namespace.etcdclient.errors import EtcdUncertain
from namespace.etcdclient.values import Compare, Delete, KeyValue, Operation, Outcome, Put, Snapshot
from regioncache.cluster.members import Addresses, BadMember, Member, State
from regioncache.cluster.registering import Fence, Registering, Replaced, mark_of, raised, remove
from regioncache.cluster.roll import (
    LEAP,
    Mark,
    Roll,
    cluster_key,
    fenced_key,
    member_key,
    members_prefix,
    read_mark,
    read_registration,
)
from regioncache.cluster.view import OtherCluster, View

pytestmark = pytest.mark.anyio

MARK = Mark("c1", 1000)
KEY = member_key("r", "a")


class FakeStore:
    """Keys and revisions as etcd has them; may lose an answer, before or after the write."""

    def __init__(self) -> None:
        self.revision = 1
        self.items: dict[bytes, KeyValue] = {}
        self.lose: list[str] = []
        """What becomes of the next transactions: `before` is not done, `after` is, and neither is answered."""
        self.writes = 0

    async def get(self, key: bytes) -> KeyValue | None:
        return self.items.get(key)

    async def transact(
        self, compares: Sequence[Compare] = (), then: Sequence[Operation] = (), otherwise: Sequence[Operation] = ()
    ) -> Outcome:
        self.writes += 1
        lost = self.lose.pop(0) if self.lose else ""
        if lost == "before":
            raise EtcdUncertain("no answer")
        holds = all((self.items[one.key].modified if one.key in self.items else 0) == one.wanted for one in compares)
        if holds:
            self.revision += 1
            for one in then:
                self._do(one)
        if lost == "after":
            raise EtcdUncertain("no answer")
        return Outcome(holds, self.revision)

    def _do(self, one: Operation) -> None:
        if isinstance(one, Delete):
            self.items.pop(one.key, None)
        elif isinstance(one, Put):
            self.items[one.key] = KeyValue(one.key, one.value, self.revision, self.revision, lease=one.lease)

    def roll(self) -> Roll:
        made = Roll("r")
        items = tuple(one for key, one in sorted(self.items.items()) if key.startswith(members_prefix("r")))
        made.whole(Snapshot(self.revision, items), MARK)
        return made


def registering(store: FakeStore, process: str = "p1") -> Registering:
    member = Member("a", Addresses("http://a:9100"), 1 << 40, state=State.JOINING)
    return Registering(store, "r", member, process)


async def test_the_first_registration_joins_under_the_session_and_learns_its_epoch():
    store = FakeStore()
    own = registering(store)

    revision = await own.enter(store.roll(), MARK, 7)

    found = read_registration(store.items[KEY], MARK.base)
    assert (found.member.state, found.process, store.items[KEY].lease) == (State.JOINING, "p1", 7)
    assert found.member.process_epoch == own.member.process_epoch == 1000 + revision


@pytest.mark.parametrize("lost", [["before"], ["after"], ["before", "after"], ["after", "before"]])
async def test_an_answer_that_is_lost_leaves_one_registration_with_one_epoch(lost):
    store = FakeStore()
    own = registering(store)
    store.lose = lost

    revision = await own.enter(store.roll(), MARK, 7)

    assert store.items[KEY].modified == revision
    assert read_registration(store.items[KEY], MARK.base).member.process_epoch == own.member.process_epoch


async def test_a_state_is_said_under_the_same_epoch_and_lease():
    store = FakeStore()
    own = registering(store)
    await own.enter(store.roll(), MARK, 7)
    epoch = own.member.process_epoch
    store.lose = ["after"]

    await own.say(State.ACTIVE, Addresses("http://b:9100", s3="http://b:9000"))

    found = read_registration(store.items[KEY], MARK.base)
    assert (found.member.state, found.member.process_epoch, store.items[KEY].lease) == (State.ACTIVE, epoch, 7)
    assert found.member.addresses.s3 == "http://b:9000"


async def test_a_state_before_the_registration_is_said_by_it():
    store = FakeStore()
    own = registering(store)

    await own.say(State.ACTIVE)
    assert store.writes == 0
    await own.enter(store.roll(), MARK, 7)

    assert read_registration(store.items[KEY], MARK.base).member.state is State.ACTIVE


async def test_a_new_process_takes_over_what_the_former_owned():
    store = FakeStore()
    former = registering(store)
    await former.enter(store.roll(), MARK, 7)
    await former.say(State.ACTIVE)

    later = registering(store, "p2")
    await later.enter(store.roll(), MARK, 8)

    found = read_registration(store.items[KEY], MARK.base)
    assert (found.process, found.member.state) == ("p2", State.RESTARTING)
    assert found.member.process_epoch > former.member.process_epoch


async def test_a_process_that_was_replaced_neither_says_nor_registers_anything_more():
    store = FakeStore()
    former, later = registering(store), registering(store, "p2")
    await former.enter(store.roll(), MARK, 7)
    await later.enter(store.roll(), MARK, 8)

    with pytest.raises(Replaced, match="another process registered as member a"):
        await former.say(State.ACTIVE)
    with pytest.raises(Replaced, match=r"its own `node` in node\.yaml"):
        await former.enter(store.roll(), MARK, 9)

    assert read_registration(store.items[KEY], MARK.base).process == "p2"


async def test_who_was_replaced_between_looking_and_writing_is_told_so():
    store = FakeStore()
    former, later = registering(store), registering(store, "p2")
    await former.enter(store.roll(), MARK, 7)
    stale = store.roll()
    await later.enter(store.roll(), MARK, 8)

    with pytest.raises(Replaced):
        await former.enter(stale, MARK, 9)


async def test_a_new_session_is_a_new_process_epoch_and_the_same_session_is_not():
    store = FakeStore()
    own = registering(store)
    await own.enter(store.roll(), MARK, 7)
    first = own.member.process_epoch

    await own.enter(store.roll(), MARK, 7)
    assert own.member.process_epoch == first
    await own.enter(store.roll(), MARK, 8)

    assert own.member.process_epoch > first
    assert read_registration(store.items[KEY], MARK.base).member.process_epoch == own.member.process_epoch


@pytest.mark.parametrize("lost", [[], ["before"], ["after"], ["before", "before", "after"]])
async def test_who_leaves_is_out_and_fenced(lost):
    store = FakeStore()
    own = registering(store)
    await own.enter(store.roll(), MARK, 7)
    store.lose = lost

    await own.leave()

    assert KEY not in store.items
    fence = Fence(own.member.process_epoch, "left")
    assert store.items[fenced_key("r", "a")].value == fence.text()
    assert not own.registered


async def test_a_registration_lifts_the_fence_of_its_name():
    store = FakeStore()
    await remove(store, "r", "a", Fence(5, "removed"))
    assert fenced_key("r", "a") in store.items

    await registering(store).enter(store.roll(), MARK, 7)

    assert fenced_key("r", "a") not in store.items


async def test_what_cannot_be_read_under_our_name_is_written_over():
    store = FakeStore()
    await store.transact((), (Put(KEY, b"{"),))

    await registering(store).enter(store.roll(), MARK, 7)

    assert read_registration(store.items[KEY], MARK.base).process == "p1"


async def test_a_mark_is_made_once():
    store = FakeStore()

    first, _ = await mark_of(store, "r", None)
    store.lose = ["after"]
    second, modified = await mark_of(store, "r", None)

    assert first == second
    assert store.items[cluster_key("r")].modified == modified


@pytest.mark.parametrize("lost", [[], ["before"], ["after"]])
async def test_of_an_etcd_without_its_data_the_mark_is_that_of_the_last_view(lost):
    store = FakeStore()
    store.lose = lost

    mark, _ = await mark_of(store, "r", View("c9", 5000, ()))

    assert mark == Mark("c9", 5000 + LEAP)


async def test_of_another_clusters_etcd_nothing_is_taken():
    store = FakeStore()
    await mark_of(store, "r", View("c9", 5000, ()))

    with pytest.raises(OtherCluster, match="etcd is of cluster c9, this node of cluster c1"):
        await mark_of(store, "r", View("c1", 3, ()))


async def test_an_older_copy_of_etcd_is_raised_above_the_last_epoch_once():
    store = FakeStore()
    mark, modified = await mark_of(store, "r", View("c1", 10, ()))

    await raised(store, "r", mark, modified, View("c1", 1 << 40, ()))
    await raised(store, "r", mark, modified, View("c1", 1 << 50, ()))

    assert read_mark(store.items[cluster_key("r")].value) == replace(mark, base=(1 << 40) + LEAP)


async def test_what_is_no_mark_is_a_fault():
    store = FakeStore()
    await store.transact((), (Put(cluster_key("r"), b"nonsense"),))

    with pytest.raises(BadMember):
        await mark_of(store, "r", None)


async def test_a_supervisors_word_is_for_its_own_child_alone():
    store = FakeStore()
    await registering(store, "p2").enter(store.roll(), MARK, 8)

    assert not await remove(store, "r", "a", Fence(1, "ended"), "p1")
    assert KEY in store.items
    assert await remove(store, "r", "a", Fence(1, "ended"), "p2")
    assert KEY not in store.items
