"""`pin`, `unpin`, `free`: what they ask of a node, and what they show."""

import json

from tests.unit.gateway.cli.conftest import Command, FakeNode


def test_a_path_is_pinned_and_its_size_told(causeway: Command, node: FakeNode) -> None:
    ended = causeway("pin", "s3://train/val")

    assert (ended.code, ended.err) == (0, "warning: it could not be listed whole\n")
    assert ended.out == "/ns/train/val: pinned, 5 MiB at the origin; what comes of it stays until `causeway unpin`\n"
    assert node.operations.asked == ["pin /ns/train/val"]
    (pin,) = node.operations.store.pins()
    assert pin.author == "admin (127.0.0.1)"


def test_without_a_path_the_pins_are_listed_rules_and_commands(causeway: Command, node: FakeNode) -> None:
    causeway("pin", "/ns/train/val")

    ended = causeway("pin")

    lines = [line.split() for line in ended.out.splitlines()]
    assert ["/ns/notes/dt=*", "(newest:", "2)", "policy.yaml:4"] in lines
    assert ["/ns/notes/dt=2"] in lines
    assert ["/ns/train/val", "admin", "(127.0.0.1)", "1970-01-01", "00:16:40Z", "5", "MiB"] in lines
    assert lines[-1] == ["3", "MiB", "of", "pinned", "paths", "are", "here;", "9", "GiB", "may", "be"]


def test_json_of_pins_is_what_the_port_said(causeway: Command, node: FakeNode) -> None:
    made = json.loads(causeway("pin", "/ns/a", "--json").out)
    listed = json.loads(causeway("pin", "--json").out)
    removed = json.loads(causeway("unpin", "/ns/a", "--json").out)

    assert (
        made["pin"]
        == removed["pin"]
        == {"path": "/ns/a", "author": "admin (127.0.0.1)", "at": 1000.0, "nbytes": 5242880}
    )
    assert listed["commands"] == [made["pin"]]
    assert listed["rules"][0]["newest"] == ["/ns/notes/dt=2", "/ns/notes/dt=1"]


def test_unpin_says_what_still_pins_the_path(causeway: Command, node: FakeNode) -> None:
    causeway("pin", "/ns/a/b")

    ended = causeway("unpin", "/ns/a/b")

    assert ended.out == "/ns/a/b: not pinned by a command any more\nit is still pinned with /ns\n"


def test_what_is_not_pinned_cannot_be_unpinned(causeway: Command, node: FakeNode) -> None:
    ended = causeway("unpin", "/ns/a")

    assert ended.code == 1
    assert ended.err.startswith("causeway: /ns/a is not pinned; pinned by commands: none")


def test_free_tells_what_left_and_what_stayed(causeway: Command, node: FakeNode) -> None:
    ended = causeway("free", "/ns/a")
    all_of_it = causeway("free", "/ns/a", "--pinned")

    assert ended.out == ("/ns/a: 5 MiB freed, 3 objects\n2 MiB stay because they are pinned; --pinned drops them too\n")
    assert all_of_it.out == "/ns/a: 5 MiB freed, 3 objects\n"
    assert node.operations.asked == ["free /ns/a pinned=False", "free /ns/a pinned=True"]
    assert json.loads(causeway("free", "/ns/a", "--json").out)["pinned_bytes"] == 2 << 20


def test_free_names_the_disks_that_it_could_not_look_at(causeway: Command, node: FakeNode) -> None:
    node.operations.paths_out = ("/nvme1",)

    ended = causeway("free", "/ns/a", "--pinned")

    assert ended.out.splitlines()[1:] == [
        "cache path /nvme1 is out: what it holds of this comes back with it; free it again then"
    ]
    assert json.loads(causeway("free", "/ns/a", "--json").out)["paths_out"] == ["/nvme1"]
