"""Nodes as members: real processes and a real etcd; killed, stopped, of one name, drained, without etcd."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from regioncache.cluster import viewfile
from tests.real.lab.etcd import EtcdCluster, etcd
from tests.real.lab.nodes import PROGRAM, Node, Place, node
from tests.real.lab.process import answers

pytestmark = pytest.mark.real


class Region:
    """Nodes of one region, each at a place of its own, that are started and end with the test."""

    def __init__(self, directory: Path, servers: EtcdCluster, stack: ExitStack) -> None:
        self.directory, self.servers, self.stack = directory, servers, stack
        self.places: dict[str, Place] = {}

    def start(self, name: str, place: Place | None = None, *, wait: bool = True) -> Node:
        """Starts a node; of a name that was started before, at the same place."""
        place = place or self.places.setdefault(name, Place("here", self.directory / name))
        said = {"node": name, "etcd": self.servers.urls}
        return self.stack.enter_context(node(place, settings=said, wait=wait))


@pytest.fixture
def region(tmp_path: Path) -> Iterator[Region]:
    with etcd(tmp_path) as servers, ExitStack() as stack:
        yield Region(tmp_path, servers, stack)


def shown(asked: Node) -> dict[str, Any]:
    """What `causeway members --json` says at a node."""
    found: dict[str, Any] = json.loads(asked.cli("members", "--json"))
    return found


def states(asked: Node) -> dict[str, str]:
    return {one["name"]: one["state"] for one in shown(asked)["members"]}


def becomes(asked: Node, wanted: dict[str, str]) -> None:
    """Waits until a node sees these members in these states."""
    asked.process.wait_until(lambda: states(asked) == wanted)


def alike(*asked: Node) -> None:
    """Waits until these nodes have one view: who else was told of it says nothing of the next one."""
    asked[0].process.wait_until(lambda: len({(shown(one)["epoch"], shown(one)["cluster"]) for one in asked}) == 1)


def keeps(asked: Node) -> None:
    """Waits until the view that a node shows is on its disk."""
    path = asked.place.directory / "cache" / "view"

    def kept() -> bool:
        view = viewfile.kept(path)
        return view is not None and view.epoch == shown(asked)["epoch"]

    asked.process.wait_until(kept)


def test_nodes_of_a_region_are_members_and_one_killed_is_lost_and_back(region: Region) -> None:
    first, second, third = (region.start(name) for name in ("n1", "n2", "n3"))
    all_three = dict.fromkeys(("n1", "n2", "n3"), "active")
    for one in (first, second, third):
        becomes(one, all_three)
    alike(first, second, third)
    assert [round(one["share"], 2) for one in shown(first)["members"]] == [0.33, 0.33, 0.33]
    before = {one["name"]: one["process_epoch"] for one in shown(first)["members"]}

    third.process.kill()
    becomes(first, {"n1": "active", "n2": "active"})
    region.start("n3")
    becomes(first, all_three)
    becomes(second, all_three)

    after = {one["name"]: one["process_epoch"] for one in shown(first)["members"]}
    assert (after["n1"], after["n2"]) == (before["n1"], before["n2"])
    assert after["n3"] > before["n3"]
    assert "3, view epoch" in first.cli("status")
    assert first.metric("causeway_members", state="active") == 3
    assert first.metric("causeway_view_epoch") == shown(first)["epoch"]


def test_a_node_restarted_keeps_what_it_owns_and_one_drained_leaves(region: Region) -> None:
    first, second = region.start("n1"), region.start("n2")
    both = {"n1": "active", "n2": "active"}
    becomes(first, both)

    assert second.process.stop(60) == 0
    becomes(first, {"n1": "active", "n2": "restarting"})
    assert [round(one["share"], 2) for one in shown(first)["members"]] == [0.5, 0.5]
    again = region.start("n2")
    becomes(first, both)

    assert first.cli("drain", "n2") == "n2: has left; it may be stopped\n"
    becomes(first, {"n1": "active"})
    becomes(again, {"n1": "active"})
    assert again.process.stop(60) == 0
    assert "is gone" not in first.process.log.read_text().partition("leaving")[0]


def test_of_two_nodes_of_one_name_the_older_stops_with_an_exit_code_of_its_own(region: Region) -> None:
    older = region.start("n1")
    place = Place("here", region.directory / "other")

    newer = region.start("n1", place)
    assert older.process.process.wait(60) == 3

    assert "causeway: another process registered as member n1" in older.process.tail()
    assert "Give each its own `node` in node.yaml" in older.process.tail()
    becomes(newer, {"n1": "active"})


def test_without_etcd_nodes_go_on_and_restart_by_their_last_view(region: Region) -> None:
    first, second = region.start("n1"), region.start("n2")
    both = {"n1": "active", "n2": "active"}
    becomes(first, both)
    becomes(second, both)
    keeps(second)

    region.servers.stop()
    first.process.wait_until(lambda: bool(shown(first)["away"]))
    assert states(first) == both
    with pytest.raises(ChildProcessError, match="nobody can leave now"):
        first.cli("drain")
    second.process.kill()
    again = region.start("n2")
    assert states(again) == both
    again.process.wait_until(lambda: shown(again)["members"][0]["heard_seconds"] is not None)

    region.servers.start()
    for one in (first, again):
        one.process.wait_until(lambda one=one: not shown(one)["away"])  # type: ignore[misc]
        becomes(one, both)
    alike(first, again)


def test_a_node_of_another_cluster_does_not_start(region: Region, tmp_path: Path) -> None:
    first = region.start("n1")
    becomes(first, {"n1": "active"})
    first.process.wait_until((region.places["n1"].directory / "cache" / "view").exists)
    first.process.stop()
    (tmp_path / "other").mkdir()
    with etcd(tmp_path / "other") as others:
        with node(Place("here", tmp_path / "n9"), settings={"etcd": others.urls}) as stranger:
            becomes(stranger, {"here-1": "active"})
        config = region.places["n1"].config
        config.write_text(config.read_text().replace(region.servers.urls[0], others.urls[0]))
        ended = subprocess.run(
            [PROGRAM, "up", "--config", str(config)], capture_output=True, text=True, timeout=60, check=False
        )

    assert ended.returncode == 1
    assert "cannot start: etcd is of cluster" in ended.stderr
    assert "remove its `view` file" in ended.stderr


def test_a_node_alone_says_so(tmp_path: Path) -> None:
    with node(Place("here", tmp_path)) as alone:
        (only,) = shown(alone)["members"]
        assert (only["name"], only["share"], shown(alone)["epoch"]) == ("here-1", 1.0, 0)
        with pytest.raises(ChildProcessError, match=r"name the region's `etcd` in node\.yaml"):
            alone.cli("drain")
        with pytest.raises(ChildProcessError, match=r"name the region's `etcd` in node\.yaml"):
            alone.cli("members", "remove", "n2")


def fill(servers: EtcdCluster) -> None:
    """Puts until etcd refuses: it counts what it has written to its disk, which it does ten times a second."""
    for number in range(200):
        try:
            servers.ctl("put", f"/fill/{number % 50}", "x" * 100_000)
        except subprocess.CalledProcessError:
            return
    raise AssertionError("etcd takes whatever comes")


def test_an_etcd_without_space_keeps_its_members_and_takes_a_new_one_once_there_is_some(tmp_path: Path) -> None:
    with etcd(tmp_path, 1, f"--quota-backend-bytes={2 << 20}") as servers, ExitStack() as stack:
        region = Region(tmp_path, servers, stack)
        first, second = region.start("n1"), region.start("n2")
        both = {"n1": "active", "n2": "active"}
        becomes(first, both)
        becomes(second, both)
        fill(servers)

        third = region.start("n3", wait=False)
        third.process.wait_until(lambda: "database space exceeded" in third.process.log.read_text())
        with pytest.raises(ChildProcessError, match="alarm disarm"):
            first.apply({"regions": {"here": {}}})
        assert states(first) == states(second) == both
        # One that restarts meanwhile goes on by the view on its disk.
        assert second.process.stop(60) == 0
        assert states(region.start("n2"))["n1"] == "active"

        # As the remedy in the fault says.
        servers.ctl("del", "--prefix", "/fill/")
        servers.compact()
        servers.ctl("defrag")
        servers.ctl("alarm", "disarm")
        third.process.wait_until(answers(f"{third.admin}/healthz"))
        becomes(third, {**both, "n3": "active"})
        becomes(first, {**both, "n3": "active"})
        first.apply({"regions": {"here": {}}})
