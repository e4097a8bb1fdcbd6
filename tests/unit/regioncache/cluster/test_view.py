"""The view: which one is in force, what it changed, and that it comes back from the disk whole or not at all."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache.cluster import viewfile
from regioncache.cluster.members import Addresses, BadMember, Member, State, parsed
from regioncache.cluster.ownership import RANKS, RANKS_AFTER_TWO
from regioncache.cluster.view import AT_ONCE_SECONDS, Change, OtherCluster, View, Views, view_of
from regioncache.cluster.viewfile import ViewTorn


def one(name: str, state: State = State.ACTIVE, process_epoch: int = 1) -> Member:
    return Member(name, Addresses(f"http://{name}:9100"), 1 << 40, process_epoch, state)


def view(epoch: int, *members: Member | str) -> View:
    return View("c1", epoch, tuple(one(each) if isinstance(each, str) else each for each in members))


def test_the_first_view_brings_everybody():
    assert Views().adopt(view(5, "a", "b"), 0.0) == Change(("a", "b"), (), (), (), True)


@pytest.mark.parametrize("epoch", [3, 5])
def test_a_view_that_is_no_newer_changes_nothing(epoch):
    views = Views(view(5, "a", "b"))

    assert views.adopt(view(epoch, "a"), 0.0) is None
    assert views.view == view(5, "a", "b")


def test_a_view_of_another_cluster_is_refused_whatever_its_epoch():
    views = Views(view(5, "a"))

    with pytest.raises(OtherCluster, match="cluster c2, and this node is of cluster c1"):
        views.adopt(replace(view(99, "b"), cluster="c2"), 0.0)
    assert views.view == view(5, "a")


def test_a_member_that_restarts_keeps_what_it_owns():
    views = Views(view(5, "a", "b"))

    change = views.adopt(view(6, "a", one("b", State.RESTARTING)), 0.0)

    assert change == Change((), (), (("b", "restarting"),), (), moved=False)


def test_a_member_that_came_back_as_another_process_keeps_what_it_owns():
    change = Views(view(5, "a", "b")).adopt(view(6, "a", one("b", process_epoch=6)), 0.0)

    assert change == Change((), (), (), ("b",), moved=False)


def test_who_is_lost_moves_what_it_owned():
    change = Views(view(5, "a", "b")).adopt(view(6, "a"), 0.0)

    assert change == Change((), ("b",), (), (), moved=True)


def test_who_joins_moves_nothing_before_it_is_active():
    views = Views(view(5, "a"))

    assert not views.adopt(view(6, "a", one("b", State.JOINING)), 0.0).moved
    assert views.adopt(view(7, "a", "b"), 1.0).moved


def test_after_a_second_change_at_once_an_owner_asks_one_rank_more():
    views = Views(view(5, "a", "b", "c", "d"))

    views.adopt(view(6, "a", "b", "c"), 100.0)
    assert views.ranks(100.0) == RANKS
    views.adopt(view(7, "a", "b"), 110.0)
    assert views.ranks(110.0) == RANKS_AFTER_TWO
    assert views.ranks(100.0 + AT_ONCE_SECONDS) == RANKS


def test_changes_far_apart_are_none_at_once():
    views = Views(view(5, "a", "b", "c", "d"))

    views.adopt(view(6, "a", "b", "c"), 0.0)
    views.adopt(view(7, "a", "b"), AT_ONCE_SECONDS)

    assert views.ranks(AT_ONCE_SECONDS) == RANKS


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b'{"members": []}', b'{"cluster": "c", "epoch": true, "members": []}']
)
def test_what_is_no_view_is_refused(text):
    with pytest.raises(BadMember):
        view_of(parsed(text))


def test_a_view_names_each_member_once_and_in_order():
    with pytest.raises(BadMember):
        view(5, "b", "a")
    with pytest.raises(BadMember):
        view(5, "a", "a")


@given(epochs=st.lists(st.integers(1, 8), max_size=12))
def test_whatever_order_views_come_in_the_newest_is_in_force(epochs):
    views = Views()
    for epoch in epochs:
        views.adopt(view(epoch, f"m{epoch}"), 0.0)

    assert views.view == (view(max(epochs), f"m{max(epochs)}") if epochs else None)


def test_a_kept_view_is_read_as_it_was_written(tmp_path: Path):
    written = view(1 << 50, one("a", State.RESTARTING, 77), "b", "cache-3/1")

    viewfile.keep(tmp_path / "view", view(3))
    viewfile.keep(tmp_path / "view", written)

    assert viewfile.kept(tmp_path / "view") == written
    assert [path.name for path in tmp_path.iterdir()] == ["view"]


def test_where_none_is_kept_there_is_none(tmp_path: Path):
    assert viewfile.kept(tmp_path / "view") is None


def test_a_torn_view_is_refused_wherever_it_is_torn(tmp_path: Path):
    path = tmp_path / "view"
    viewfile.keep(path, view(9, "a", "b"))
    whole = path.read_bytes()

    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(ViewTorn, match="view"):
            viewfile.kept(path)


@given(at=st.integers(0, 400), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_kept_view_is_seen(tmp_path_factory, at, bit):
    path = tmp_path_factory.mktemp("view") / "view"
    viewfile.keep(path, view(9, "a", "b"))
    text = bytearray(path.read_bytes())
    text[at % len(text)] ^= 1 << bit
    path.write_bytes(text)

    with pytest.raises(ViewTorn):
        viewfile.kept(path)


def test_a_view_that_cannot_be_read_is_no_view(tmp_path: Path):
    (tmp_path / "view").mkdir()

    with pytest.raises(ViewTorn, match="cannot be read"):
        viewfile.kept(tmp_path / "view")


@pytest.mark.parametrize("state", [State.JOINING, State.RESTARTING, State.LEAVING])
def test_the_last_active_node_has_nobody_to_hand_over_to(state):
    assert view(5, "a", "b").others_active("a")
    assert not view(5, "a", one("b", state)).others_active("a")
    assert view(5, "a", one("b", state)).others_active("b")


def test_a_nodes_own_workers_are_nobody_to_hand_over_to():
    assert not view(5, "a/0", "a/1").others_active("a")
    assert view(5, "a/0", "a/1", "b/0").others_active("a")
