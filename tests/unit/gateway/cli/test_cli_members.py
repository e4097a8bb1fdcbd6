"""`members`, `members remove`, `drain`: what they ask of a node, and what they show."""

import json

import pytest

from tests.unit.gateway.cli.conftest import Command, FakeNode


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.members.LOOK_SECONDS", 0.0)


def test_members_show_what_each_owns_and_the_epoch(causeway: Command, node: FakeNode) -> None:
    ended = causeway("members")

    lines = [line.split() for line in ended.out.splitlines()]
    assert ["n1", "active", "5", "http://n1:9100", "1", "TiB", "75.0%", "this", "one", "-"] in lines
    assert ["n2", "joining", "6", "http://n2:9100", "1", "TiB", "0.0%", "-", "-"] in lines
    assert lines[-1] == ["view", "epoch", "77", "of", "cluster", "c1", "in", "a"]
    assert node.operations.asked == ["members"]


def test_members_say_that_etcd_is_away(causeway: Command, node: FakeNode) -> None:
    node.operations.etcd_away = "etcd does not answer"

    assert causeway("members").out.splitlines()[-1] == "! etcd does not answer"


def test_json_of_members_is_what_the_port_said(causeway: Command, node: FakeNode) -> None:
    shown = json.loads(causeway("members", "--json").out)

    assert (shown["epoch"], shown["cluster"]) == (77, "c1")
    assert [one["name"] for one in shown["members"]] == ["n1", "n2"]


def test_a_dead_member_is_removed(causeway: Command, node: FakeNode) -> None:
    ended = causeway("members", "remove", "n2")

    assert ended.out == "n2: removed; it joins again when it is started\n"
    assert node.operations.asked == ["remove_member n2"]


def test_a_member_that_is_gone_already_frees_its_room(causeway: Command, node: FakeNode) -> None:
    assert causeway("members", "remove", "n9").out == "n9: was no member any more; its room on lines is free again\n"


def test_a_drain_waits_until_the_node_has_left(causeway: Command, node: FakeNode) -> None:
    node.operations.cluster = (("leaving", 0.5), ("active", 0.5))
    node.operations.cluster_next = [node.operations.cluster, ()]

    ended = causeway("drain")

    assert ended.out == "n1: has left; it may be stopped\n"
    assert node.operations.asked == ["drain ", "members", "members", "members"]


def test_a_drain_that_nobody_waits_for_is_begun(causeway: Command, node: FakeNode) -> None:
    ended = causeway("drain", "n2", "--no-wait")

    assert ended.out == "n2: is leaving; see `causeway members`\n"
    assert node.operations.asked == ["drain n2"]


def test_a_node_that_could_not_leave_is_a_fault(causeway: Command, node: FakeNode) -> None:
    node.operations.cluster = (("leaving", 1.0),)
    node.operations.cluster_next = [(("active", 1.0),)]

    ended = causeway("drain", "n1")

    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "causeway: n1 could not leave, and owns what it did: see its log\n"
