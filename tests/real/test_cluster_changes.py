"""A region's cluster changes under load: nodes join, are drained, are restarted; nothing crosses the line for it."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.conftest import Note
from tests.real.lab.crowd import crowd
from tests.real.lab.federation import Cluster, Federation, Machine, Plan, Span, federation
from tests.real.lab.reads import Read, Thing, crossed
from tests.real.lab.reads import ledger as read_ledger
from tests.real.lab.sdk import clients

pytestmark = [pytest.mark.real, pytest.mark.root]
MIB = 1 << 20
LINE, REGION = "bj-use1", "aws-use1"
THREE = Plan({"idc-bj": 1, REGION: 3}, {LINE: Span(("idc-bj", REGION), "1 Gbit/s")})
# Questions and heartbeats between the regions over half a minute.
TALK = MIB


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """Three nodes that hold everything."""
    with federation(tmp_path_factory.mktemp("changes"), THREE) as running:
        running.put(THINGS)
        assert running.load(running.clusters[REGION].machines[0], whole(THINGS), 4).faults == ()
        yield running


THINGS = [Thing(f"changes/{n:03}", 4 * MIB + n, n) for n in range(40)]
HELD = sum(thing.size for thing in THINGS)


def whole(things: list[Thing]) -> list[Read]:
    return [Read(thing, 0, thing.size, True) for thing in things]


def states(at: Machine) -> dict[str, str]:
    """The members by name, as one of them sees them."""
    told = json.loads(at.node.cli("members", "--json"))
    members = told["members"] if isinstance(told, dict) else told
    return {one["name"]: one["state"] for one in members}


def wait_for(at: Machine, wanted: dict[str, str], seconds: float = 60.0) -> None:
    """Until a node sees exactly these members, in these states."""
    give_up = time.monotonic() + seconds
    while (seen := states(at)) != wanted:
        assert time.monotonic() < give_up, seen
        time.sleep(0.1)


def drained(leaver: Machine, seconds: float = 60.0) -> str:
    """Drains a node, again where etcd did not answer a moment ago: it says so, and nothing was begun."""
    give_up = time.monotonic() + seconds
    while True:
        try:
            return leaver.node.cli("drain")
        except ChildProcessError as refused:
            if "nobody can leave now" not in str(refused) or time.monotonic() > give_up:
                raise
        time.sleep(0.1)


def crossed_by(cluster: Cluster) -> int:
    return crossed(cluster.kinds(LINE))


def ledger_of(machine: Machine) -> Counter[str]:
    return read_ledger(machine.node, line=LINE)


@pytest.mark.timeout(240)
def test_a_node_joins_under_load_and_nothing_crosses_the_line(warm: Federation, note: Note) -> None:
    cluster = warm.clusters[REGION]
    first, second = cluster.machines[:2]
    wire, ledger = warm.cables[LINE].towards(cluster.site), crossed_by(cluster)
    before = wire.received()

    with crowd(warm, {first: whole(THINGS), second: whole(THINGS)}, 2, lasting=True) as seen:
        fourth = warm.machine(REGION)
        fourth.start()
        wait_for(first, dict.fromkeys(("cache-1", "cache-2", "cache-3", "cache-4"), "active"))
    held = fourth.node.metric("causeway_cache_bytes", state="clean")

    outside, travelled = wire.received() - before, fourth.host.interface.received()
    note("a node joins under load", f"{outside} B over the line, {seen.count} reads right", "0 B of data")
    note("a node joins under load: LAN", f"{travelled} B to it, it holds {held:.0f} B of {HELD} B", "only what moved")
    assert seen.faults == ()
    assert crossed_by(cluster) == ledger
    assert outside <= TALK
    assert travelled <= held * 1.1 + 4 * MIB


@pytest.mark.timeout(300)
def test_a_node_is_drained_under_load_and_nothing_crosses_the_line(tmp_path: Path, note: Note) -> None:
    with federation(tmp_path, THREE) as running:
        running.put(THINGS)
        cluster = running.clusters[REGION]
        first, second, leaver = cluster.machines
        assert running.load(first, whole(THINGS), 4).faults == ()
        owned = leaver.node.metric("causeway_cache_bytes", state="clean")
        wire, ledger = running.cables[LINE].towards(cluster.site), crossed_by(cluster)
        before = wire.received()

        with crowd(running, {first: whole(THINGS), second: whole(THINGS)}, 2, lasting=True) as seen:
            told = drained(leaver)
            wait_for(first, dict.fromkeys(("cache-1", "cache-2"), "active"))
            lines_of_leaver = crossed(ledger_of(leaver))
            assert leaver.stop() == 0
        outside = wire.received() - before

        held = sum(one.metric("causeway_cache_bytes", state="clean") for one in cluster.nodes)
        note("a node is drained under load", f"{outside} B over the line, {seen.count} reads right", "0 B of data")
        note("a node is drained under load: it owned", f"{owned:.0f} B, the rest holds {held:.0f} B of {HELD} B", "all")
        assert told == "cache-3: has left; it may be stopped\n"
        assert owned > 0
        assert seen.faults == ()
        # What it owned is with the others now, and nobody has anything twice.
        assert HELD <= held <= HELD * 1.02
        assert crossed_by(cluster) + lines_of_leaver == ledger
        assert outside <= TALK

        again = running.load(first, whole(THINGS), 4)

        assert again.faults == ()
        assert crossed_by(cluster) + lines_of_leaver == ledger


@pytest.mark.timeout(240)
def test_sdks_with_two_addresses_do_not_see_a_rolling_restart(tmp_path: Path, note: Note) -> None:
    with federation(tmp_path, THREE) as running:
        running.put(THINGS)
        cluster = running.clusters[REGION]
        assert running.load(cluster.machines[0], whole(THINGS), 4).faults == ()
        wire = running.cables[LINE].towards(cluster.site)
        ledger, before = crossed_by(cluster), wire.received()

        with clients(running, cluster.machines[:2], THINGS, threads=4) as seen:
            for machine in cluster.machines:
                assert machine.stop() == 0
                machine.start()
                machine.node.process.wait_until(machine.node.ready)

        outside = wire.received() - before
        note(
            "rolling restart of three nodes",
            f"{len(seen.faults)} exceptions in {seen.count} reads (<= {seen.longest:.1f} s), {outside} B over the line",
            "0, 0 B of data",
        )
        assert seen.faults == ()
        assert seen.count > 0
        assert crossed_by(cluster) == ledger
        assert outside <= TALK
