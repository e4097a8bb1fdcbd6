"""The roll: views with epochs that are the same for all who follow, whatever each of them missed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namespace.etcdclient.values import Changes, Gone, KeyValue, Snapshot
from regioncache.cluster.members import Addresses, BadMember, Member, State
from regioncache.cluster.roll import Mark, Registration, Roll, member_key, members_prefix, read_mark

MARK = Mark("c1", 1000)


class Etcd:
    """Enough of etcd to tell a roll of it: keys, revisions, and every change."""

    def __init__(self) -> None:
        self.revision = 1
        self.items: dict[bytes, KeyValue] = {}
        self.history: list[Changes] = []

    def put(self, name: str, process: str = "p", state: State = State.ACTIVE, epoch: int = 0) -> int:
        self.revision += 1
        value = Registration(Member(name, Addresses(f"http://{name}"), 1 << 40, epoch, state), process).text()
        return self._kept(KeyValue(member_key("r", name), value, self.revision, self.revision))

    def _kept(self, item: KeyValue) -> int:
        self.items[item.key] = item
        self.history.append(Changes(self.revision, (item,)))
        return self.revision

    def broken(self, name: str, value: bytes) -> None:
        self.revision += 1
        self._kept(KeyValue(member_key("r", name), value, self.revision, self.revision))

    def delete(self, name: str) -> None:
        if self.items.pop(member_key("r", name), None):
            self.revision += 1
            self.history.append(Changes(self.revision, (Gone(member_key("r", name), self.revision),)))

    def snapshot(self) -> Snapshot:
        return Snapshot(self.revision, tuple(self.items[key] for key in sorted(self.items)))


class Follower:
    """A roll, and how far it has followed."""

    def __init__(self, etcd: Etcd) -> None:
        self.etcd, self.roll = etcd, Roll("r")
        self.anew()

    def anew(self) -> None:
        self.roll.whole(self.etcd.snapshot(), MARK)
        self.at = len(self.etcd.history)

    def follow(self) -> None:
        for changes in self.etcd.history[self.at :]:
            self.roll.changed(changes)
        self.at = len(self.etcd.history)


def test_nothing_is_known_before_the_own_registration_was_seen():
    etcd = Etcd()
    etcd.put("a")
    follower = Follower(etcd)

    assert follower.roll.view() is None
    follower.roll.wrote(etcd.put("b"))
    assert follower.roll.view() is None
    follower.follow()
    assert [one.name for one in follower.roll.view().members] == ["a", "b"]


def test_epochs_lie_above_the_marks_base():
    etcd = Etcd()
    follower = Follower(etcd)
    follower.roll.wrote(etcd.put("a"))
    follower.follow()

    assert (follower.roll.view().cluster, follower.roll.view().epoch) == ("c1", 1002)
    assert follower.roll.view().of("a").process_epoch == 1002


def test_a_process_keeps_its_epoch_while_its_state_changes():
    etcd = Etcd()
    follower = Follower(etcd)
    follower.roll.wrote(etcd.put("a", state=State.JOINING))
    follower.follow()
    epoch = follower.roll.of("a").member.process_epoch

    etcd.put("a", state=State.ACTIVE, epoch=epoch)
    follower.follow()

    assert follower.roll.view().of("a").process_epoch == epoch
    assert follower.roll.view().epoch == epoch + 1


def test_a_removal_that_was_missed_leaves_no_epoch_of_its_own():
    etcd = Etcd()
    etcd.put("a"), etcd.put("b"), etcd.put("c")
    always, away = Follower(etcd), Follower(etcd)
    for one in (always, away):
        one.roll.wrote(etcd.put("a"))
        one.follow()

    etcd.delete("c")
    always.follow()
    away.anew()
    assert away.roll.view() is None
    away.roll.wrote(etcd.put("a"))
    always.follow()
    away.follow()

    assert away.roll.view() == always.roll.view()


STEPS = st.lists(
    st.tuples(st.sampled_from(("put", "delete", "follow", "anew")), st.sampled_from("abc"), st.integers(0, 2)),
    max_size=30,
)


@given(steps=STEPS)
def test_all_who_followed_to_the_end_have_the_same_view(steps):
    etcd = Etcd()
    followers = [Follower(etcd) for _ in range(3)]
    for what, name, number in steps:
        match what:
            case "put":
                etcd.put(name)
            case "delete":
                etcd.delete(name)
            case "follow":
                followers[number].follow()
            case "anew":
                followers[number].anew()
    for number, one in enumerate(followers):
        one.roll.wrote(etcd.put(f"self-{number}"))
    for one in followers:
        one.follow()

    assert len({(one.roll.view().epoch, one.roll.view().members) for one in followers}) == 1


@given(steps=STEPS)
def test_at_one_epoch_there_is_one_set_of_members(steps):
    etcd = Etcd()
    followers = [Follower(etcd) for _ in range(3)]
    seen: dict[int, tuple[Member, ...]] = {}
    for what, name, number in steps:
        match what:
            case "put":
                etcd.put(name)
            case "delete":
                etcd.delete(name)
            case "follow":
                followers[number].follow()
            case "anew":
                followers[number].anew()
                followers[number].roll.wrote(etcd.put(f"self-{number}"))
        for one in followers:
            view = one.roll.view()
            if view is not None:
                assert seen.setdefault(view.epoch, view.members) == view.members


@pytest.mark.parametrize("value", [b"", b"{", b"{}", b'{"name": "b"}'])
def test_a_registration_that_cannot_be_read_is_no_member_and_is_named(value):
    etcd = Etcd()
    follower = Follower(etcd)
    follower.roll.wrote(etcd.put("a"))
    etcd.put("b")
    etcd.broken("b", value)
    follower.follow()

    assert [one.name for one in follower.roll.view().members] == ["a"]
    assert list(follower.roll.faults) == ["b"]
    assert follower.roll.modified("b") == etcd.revision
    etcd.delete("b")
    follower.follow()
    assert not follower.roll.faults


def test_a_registration_under_another_name_is_no_member():
    etcd = Etcd()
    follower = Follower(etcd)
    follower.roll.wrote(etcd.put("a"))
    etcd.broken("b", etcd.items[member_key("r", "a")].value)
    follower.follow()

    assert list(follower.roll.faults) == ["b"]


def test_a_worker_has_a_key_of_its_own():
    etcd = Etcd()
    follower = Follower(etcd)
    follower.roll.wrote(etcd.put("cache-3/1"))
    follower.follow()

    assert member_key("r", "cache-3/1").startswith(members_prefix("r"))
    assert follower.roll.view().of("cache-3/1") is not None
    assert follower.roll.of("cache-3/1").process == "p"


def test_a_mark_is_read_as_it_was_written():
    assert read_mark(replace(MARK, base=5).text()) == Mark("c1", 5)
    for text in (b"", b"[]", b"{}", b'{"cluster": "", "base": 1}', b'{"cluster": "c", "base": -1}'):
        with pytest.raises(BadMember):
            read_mark(text)
