"""Rendezvous: the same owners everywhere, by weight, and a change moves only what it must."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regioncache.cluster.members import Addresses, Member, State
from regioncache.cluster.ring import Ring, list_place, place, weight
from regioncache.pages import ObjectId

TIB = 1 << 40
BUCKET = bytes(range(16))


def member(name: str, capacity: int = TIB, state: State = State.ACTIVE) -> Member:
    return Member(name, Addresses(f"http://{name}:9100"), capacity, 1, state)


def cluster(count: int) -> list[Member]:
    return [member(f"cache-{number}") for number in range(count)]


def places(count: int) -> list[bytes]:
    return [place(ObjectId(BUCKET, f"train/{number // 4}"), number % 4) for number in range(count)]


NAMES = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=12, unique=True)
CAPACITIES = st.sampled_from((1, 1000, TIB, TIB + 1, 3 * TIB, 1 << 60))


@given(
    names=NAMES, capacity=CAPACITIES, shuffle=st.randoms(use_true_random=False), at=st.binary(min_size=8, max_size=8)
)
def test_nodes_that_see_the_same_members_compute_the_same_ranks(names, capacity, shuffle, at):
    members = [member(name, capacity * (1 + number % 3)) for number, name in enumerate(names)]
    mixed = list(members)
    shuffle.shuffle(mixed)

    assert Ring(members).ranks(at, 4) == Ring(mixed).ranks(at, 4)


@given(names=NAMES, capacity=CAPACITIES, at=st.binary(min_size=8, max_size=8))
def test_the_owner_is_the_first_rank(names, capacity, at):
    ring = Ring([member(name, capacity * (1 + number % 2)) for number, name in enumerate(names)])

    assert (ring.owner(at),) == ring.ranks(at, 1)
    assert len({one.name for one in ring.ranks(at, 99)}) == len(names)


@given(
    names=NAMES, capacities=st.lists(CAPACITIES, min_size=12, max_size=12), at=st.binary(min_size=8, max_size=8),
    leaves=st.integers(0, 11),
)  # fmt: skip
def test_who_leaves_changes_no_order_among_those_who_stay(names, capacities, at, leaves):
    members = [member(name, capacity) for name, capacity in zip(names, capacities, strict=False)]
    gone = members[leaves % len(members)]

    before = [one for one in Ring(members).ranks(at, 99) if one != gone]
    after = list(Ring([one for one in members if one != gone]).ranks(at, 99))

    # Weights of one kind alone are compared without their logarithm; both orders are the same.
    assert after == before


def test_a_leaving_member_moves_only_its_own_extents_and_the_rest_stays_even():
    members, at = cluster(16), places(100_000)
    before, after = Ring(members), Ring(members[:7] + members[8:])

    counts: dict[str, int] = {}
    for one in at:
        former, owner = before.owner(one), after.owner(one)
        assert owner is not None
        assert former == owner or former == members[7]
        counts[owner.name] = counts.get(owner.name, 0) + 1

    # 100,000 over 15: the deviation of a count is 79 of 6,667.
    assert max(counts.values()) * 15 / len(at) <= 1.05


@pytest.mark.soak
def test_of_a_million_extents_only_the_leavers_move_and_the_rest_is_even_to_a_fiftieth():
    members = cluster(16)
    before, after = Ring(members), Ring(members[:7] + members[8:])
    counts = {one.name: 0 for one in after.members}

    for one in places(1_000_000):
        former, owner = before.owner(one), after.owner(one)
        assert former is owner or former is members[7]
        counts[owner.name] += 1

    assert max(counts.values()) * 15 / 1_000_000 <= 1.02


def test_each_member_owns_by_its_capacity():
    ring, at = Ring([member("small", TIB), member("middle", 2 * TIB), member("large", 5 * TIB)]), places(50_000)

    counts = {one.name: 0 for one in ring.members}
    for one in at:
        counts[ring.owner(one).name] += 1

    assert ring.shares() == {"small": 0.125, "middle": 0.25, "large": 0.625}
    for name, share in ring.shares().items():
        assert counts[name] / len(at) == pytest.approx(share, rel=0.04)


def test_the_stand_in_of_a_lost_owner_was_its_second_rank():
    members = cluster(5)

    for at in places(200):
        first, second, third = Ring(members).ranks(at, 3)
        assert Ring([one for one in members if one != first]).ranks(at, 2) == (second, third)


@given(st.integers(0, 1 << 64))
def test_a_weight_is_its_capacity_to_less_than_a_hundredth(capacity):
    assert abs(weight(capacity) - capacity) * 100 <= capacity


@given(st.integers(1 << 30, 1 << 60))
def test_some_bytes_more_seldom_change_a_weight_and_never_by_much(capacity):
    assert weight(capacity + 1) - weight(capacity) <= capacity / 60


@pytest.mark.parametrize("draw", [b"\xff" * 8, b"\0" * 8])
def test_no_draw_breaks_the_arithmetic_of_unequal_weights(monkeypatch, draw):
    monkeypatch.setattr("regioncache.cluster.ring.xxh3_64_intdigest", lambda *_: int.from_bytes(draw, "little"))

    ring = Ring([member("a", TIB), member("b", 2 * TIB)])

    assert ring.owner(b"12345678").name == "b"


def test_who_joins_or_has_no_room_owns_nothing():
    ring = Ring([member("a"), member("b", state=State.JOINING), member("c", 0), member("d", state=State.LEAVING)])

    assert [one.name for one in ring.members] == ["a", "d"]


def test_nobody_owns_where_nobody_is():
    assert Ring([]).owner(places(1)[0]) is None
    assert Ring([]).ranks(places(1)[0], 3) == ()


@settings(max_examples=50)
@given(key=st.text(max_size=20), other=st.text(max_size=20))
def test_places_of_extents_and_lists_are_told_apart(key, other):
    oid = ObjectId(BUCKET, key)

    assert place(oid, 0) != place(oid, 1)
    assert place(oid, 0) != list_place(BUCKET, key)
    assert (list_place(BUCKET, key) == list_place(BUCKET, other)) == (key == other)


def test_a_key_of_any_bytes_has_a_place():
    assert len(place(ObjectId(BUCKET, b"caf\xe9".decode("utf-8", "surrogateescape")), 0)) == 8
