"""Whose an extent is, as reads ask; and waiting for a newer view."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache.cluster.members import Addresses, BadMember, Member, State, member, parsed
from regioncache.cluster.ownership import RANKS_AFTER_TWO, Alone, Shared
from regioncache.pages import ObjectId

BUCKET = bytes(range(16))
SOME = [ObjectId(BUCKET, f"k{number}") for number in range(60)]

pytestmark = pytest.mark.anyio


def one(name: str, state: State = State.ACTIVE) -> Member:
    return Member(name, Addresses(f"http://{name}:9100"), 1 << 40, 1, state)


def views(names: str, states: dict[str, State] | None = None) -> dict[str, Shared]:
    members = [one(name, (states or {}).get(name, State.ACTIVE)) for name in names]
    return {name: Shared(name, members, 7) for name in names}


def test_members_agree_whose_an_extent_is():
    shared = views("abcd")

    for oid in SOME:
        owners = {name: by.owner(oid, 3) for name, by in shared.items()}
        mine = [name for name, owner in owners.items() if owner is None]
        assert len(mine) == 1
        assert {owner.name for owner in owners.values() if owner is not None} == set(mine)


def test_members_agree_who_keeps_the_lists_of_a_prefix():
    shared = views("abcd")

    for prefix in ("", "a/", "a/b/", "z/"):
        mine = [name for name, by in shared.items() if by.list_owner(BUCKET, prefix) is None]
        assert len(mine) == 1


def test_an_owner_asks_the_two_next_ranks_and_after_a_second_change_three():
    members = [one(name) for name in "abcdef"]
    shared = Shared("a", members)

    two = [shared.others(oid, 0) for oid in SOME]
    shared.adopt(members, 8, RANKS_AFTER_TWO)
    three = [shared.others(oid, 0) for oid in SOME]

    assert all(len(asked) == 2 and one("a") not in asked for asked in two)
    assert all(len(asked) == 3 and asked[:2] == before for asked, before in zip(three, two, strict=True))


def test_the_next_owner_is_the_owner_once_this_member_has_left():
    members = [one(name) for name in "abcd"]
    leaving, after = Shared("a", members), Shared("x", members[1:])

    assert [leaving.next_owner(oid, 1) for oid in SOME] == [after.owner(oid, 1) for oid in SOME]


def test_a_member_that_nobody_shares_with_is_alone():
    joining = views("ab", {"b": State.JOINING})

    assert joining["a"].alone
    assert joining["a"].owner(SOME[0], 0) is None
    assert not joining["b"].alone
    assert joining["b"].owner(SOME[0], 0) == one("a")
    assert joining["a"].members() == (one("b", State.JOINING),)


def test_a_member_out_of_the_view_owns_nothing():
    lost = Shared("c", [one("a"), one("b")], 9)

    assert all(lost.owner(oid, 0) is not None for oid in SOME)


async def test_who_waits_for_a_newer_view_is_woken_by_it():
    shared = Shared("a", [one("a")], 5)
    waiting = asyncio.create_task(shared.newer(6, 60))
    await asyncio.sleep(0)

    shared.adopt([one("a"), one("b")], 6)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    shared.adopt([one("a")], 7)

    assert await waiting


async def test_a_view_that_is_there_already_is_not_waited_for():
    assert await Shared("a", [one("a")], 5).newer(4, 0)


async def test_who_waits_in_vain_is_told_so():
    shared = Shared("a", [one("a")], 5)

    assert not await shared.newer(5, 0.001)
    assert not shared._waiting


async def test_who_stops_waiting_is_forgotten():
    shared = Shared("a", [one("a")], 5)
    waiting = asyncio.create_task(shared.newer(5, 60))
    await asyncio.sleep(0)

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    shared.adopt([one("a")], 6)

    assert not shared._waiting


async def test_alone_everything_is_ours_and_nobody_waits():
    alone = Alone()

    assert alone.alone
    assert (alone.owner(SOME[0], 0), alone.list_owner(BUCKET, ""), alone.next_owner(SOME[0], 0)) == (None, None, None)
    assert (alone.others(SOME[0], 0), alone.members(), alone.epoch) == ((), (), 0)
    assert not await alone.newer(0, 60)


@given(
    name=st.text(min_size=1, max_size=20), capacity=st.integers(0, 1 << 62), epoch=st.integers(0, 1 << 62),
    state=st.sampled_from(State), text=st.text(max_size=20),
)  # fmt: skip
def test_a_member_is_read_as_it_was_written(name, capacity, epoch, state, text):
    written = Member(name, Addresses(text, text, text, text), capacity, epoch, state, text)

    assert member(written.plain()) == written


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""}, {"name": 4}, {"name": "x" * 200}, {"capacity": -1}, {"capacity": True}, {"capacity": "1"},
        {"state": "asleep"}, {"state": None}, {"addresses": "here"}, {"addresses": {}}, {"process_epoch": None},
    ],
)  # fmt: skip
def test_what_describes_no_member_is_refused(change):
    with pytest.raises(BadMember):
        member({**one("a").plain(), **change})


def test_a_member_of_a_later_version_is_read():
    assert member({**one("a").plain(), "colour": "green"}) == one("a")


def test_a_broken_text_is_no_member():
    with pytest.raises(BadMember):
        parsed(b"{")
    with pytest.raises(BadMember):
        member(parsed(b"[]"))


def test_a_worker_is_a_process_of_its_node():
    assert one("cache-3/1").node == "cache-3"
    assert one("cache-3").node == "cache-3"
