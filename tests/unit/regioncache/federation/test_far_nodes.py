"""Which node of a far region is asked: by its view and the same arithmetic, and past those that do not answer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namespace.contents import PublishedNode
from regioncache.cluster.members import Addresses, Member, State
from regioncache.cluster.ring import Ring, place
from regioncache.errors import BadAnswer
from regioncache.federation.farview import MOST_NODES, FarView, parse_view
from regioncache.federation.nodes import ANEW_SECONDS, FRESH_SECONDS, FarNodes
from regioncache.pages import ObjectId

MEMBERS = tuple(Member(f"n{number}", Addresses(f"http://10.0.0.{number}:9100"), 1 << 30, number) for number in range(4))
AT = [place(ObjectId(bytes(16), f"k{number}"), 0) for number in range(50)]


def heard(*members: Member, named: tuple[str, ...] = ("http://10.0.0.0:9100",), now: float = 0.0) -> FarNodes:
    """Nodes that have told their view and have all answered once."""
    nodes = FarNodes()
    nodes.name(named)
    nodes.adopt(FarView(7, members), now)
    for one in members:
        nodes.answered(one, now)
    return nodes


def test_a_view_is_told_as_it_is_and_only_what_is_needed_to_ask() -> None:
    one = Member("n", Addresses("http://10.0.0.1:9100", "http://a", "http://b", "c:1"), 5, 9, State.LEAVING, "host")

    told = FarView(7, (one,)).body()

    assert parse_view(told) == FarView(7, (Member("n", Addresses("http://10.0.0.1:9100"), 5, 9, State.LEAVING),))
    assert "host" not in json.loads(told)["members"][0] or not json.loads(told)["members"][0]["host"]


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"[]",
        b'{"epoch": 1}',
        b'{"epoch": "1", "members": []}',
        b'{"epoch": -1, "members": []}',
        b'{"epoch": 1, "members": [{}]}',
        FarView(1, (Member("n", Addresses("10.0.0.1:9100"), 1),)).body(),
        FarView(1, (Member("n", Addresses("ftp://10.0.0.1"), 1),)).body(),
        FarView(1, MEMBERS[:1] * (MOST_NODES + 1)).body(),
    ],
)
def test_what_is_no_view_is_refused(wrong: bytes) -> None:
    with pytest.raises(BadAnswer):
        parse_view(wrong)


def test_the_owner_is_asked_that_the_far_region_itself_names() -> None:
    nodes = heard(*MEMBERS)

    assert [nodes.order(at)[0] for at in AT] == [Ring(MEMBERS).owner(at) for at in AT]


def test_before_a_view_is_known_the_addresses_are_asked_in_the_order_of_the_topology() -> None:
    nodes = FarNodes()
    nodes.name(["http://b:1", "http://a:1"])

    assert [one.addresses.peer for one in nodes.order(AT[0])] == ["http://b:1", "http://a:1"]


def test_a_node_that_failed_is_passed_over_until_it_has_answered_a_probe() -> None:
    nodes, owner = heard(*MEMBERS), Ring(MEMBERS).owner(AT[0])
    assert owner is not None

    assert nodes.failed(owner, 1.0)

    assert owner not in nodes.order(AT[0])
    assert nodes.due(1.1) == []
    assert nodes.due(1.6) == [owner]
    assert owner not in nodes.order(AT[0])
    assert nodes.answered(owner, 1.7)
    assert nodes.order(AT[0])[0] == owner


@given(st.sets(st.sampled_from(MEMBERS)))
def test_whoever_is_left_is_asked_and_where_nobody_is_who_was_away_longest(away: set[Member]) -> None:
    nodes = heard(*MEMBERS)
    gone = sorted(away, key=lambda one: one.name)
    for moment, one in enumerate(gone):
        nodes.failed(one, float(moment))

    left = nodes.order(AT[0])

    assert set(left) == set(MEMBERS) - away
    if not left:
        assert nodes.last_resort(AT[0]) == gone[0]


def test_no_reader_is_sent_to_a_member_that_never_answered() -> None:
    nodes = FarNodes()
    nodes.name(["http://10.0.0.0:9100"])

    nodes.adopt(FarView(7, MEMBERS), 0.0)

    assert {tuple(nodes.order(at)) for at in AT} == {(MEMBERS[0],)}
    assert nodes.due(0.0) == list(MEMBERS[1:])


def test_a_member_that_restarts_is_asked_after_all_others() -> None:
    owner = Ring(MEMBERS).owner(AT[0])
    assert owner is not None
    nodes = heard(*(one.within(State.RESTARTING) if one == owner else one for one in MEMBERS))

    assert nodes.order(AT[0])[-1].name == owner.name
    assert nodes.owner(AT[0]) == owner.within(State.RESTARTING)


def test_an_older_view_changes_nothing_until_the_newer_one_is_long_untold() -> None:
    nodes = heard(*MEMBERS)

    assert not nodes.adopt(FarView(6, MEMBERS[:1]), ANEW_SECONDS - 1)
    assert nodes.view.epoch == 7
    assert nodes.adopt(FarView(6, MEMBERS[:1]), ANEW_SECONDS)
    assert nodes.view.epoch == 6


def test_a_view_is_asked_for_again_while_it_is_used_but_none_where_there_is_no_cluster() -> None:
    nodes, alone = heard(*MEMBERS), FarNodes()
    alone.name(["http://a:1"])
    alone.adopt(FarView(), 0.0)

    assert not nodes.stale(FRESH_SECONDS)
    assert nodes.stale(FRESH_SECONDS + 1)
    assert not alone.stale(FRESH_SECONDS + 1)


def test_what_is_published_is_asked_until_the_region_has_told_its_view() -> None:
    nodes = FarNodes(lambda address: not address.startswith("https:"))
    nodes.publish([PublishedNode("r", one.name, {"peer": one.addresses.peer[7:]}, one.capacity) for one in MEMBERS])
    for one in nodes.everyone():
        nodes.answered(one, 0.0)

    assert [nodes.order(at)[0].name for at in AT] == [owner.name for at in AT if (owner := Ring(MEMBERS).owner(at))]
    nodes.adopt(FarView(7, MEMBERS[:1]), 1.0)
    assert {nodes.order(at)[0].name for at in AT} == {"n0"}


def test_a_region_named_by_tls_is_never_asked_without() -> None:
    nodes = FarNodes()
    nodes.name(["https://10.0.0.9:9100"])
    nodes.adopt(FarView(7, MEMBERS), 0.0)

    assert [one.addresses.peer for one in nodes.order(AT[0])] == ["https://10.0.0.9:9100"]
    assert nodes.due(0.0) == []


def test_what_is_no_node_any_more_is_forgotten() -> None:
    nodes = heard(*MEMBERS)
    nodes.failed(MEMBERS[3], 1.0)

    nodes.adopt(FarView(8, MEMBERS[:2]), 2.0)

    assert nodes.everyone() == MEMBERS[:2]
    assert nodes.away() == {}
    assert [one.state for one in nodes.standings(2.0)] == ["up", "up"]
