"""A line's quota is kept by all nodes of a region together, however demand moves between them: counted at the wire."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.real.conftest import Note
from tests.real.lab.counters import Sampled, sampled
from tests.real.lab.federation import Cluster, Federation, Plan, Span, federation
from tests.real.lab.reads import Read, Thing
from tests.real.lab.unlimited import unlimited

pytestmark = [pytest.mark.real, pytest.mark.root]
MIB = 1 << 20
LINE, REGION = "bj-use1", "aws-use1"
QUOTA, STEP = 25_000_000, 262_144
# The overhead of the plan: what the wire carries beyond the payload is less (1.048).
OVERHEAD = 1.06
CLUSTER = Plan({"idc-bj": 1, REGION: 1}, {LINE: Span(("idc-bj", REGION), "200 Mbit/s")}, rules={"overhead": OVERHEAD})


class Prepaid:
    """The most that all nodes of a cluster said together was prepaid, read one after the other."""

    def __init__(self) -> None:
        self.most = 0


@contextmanager
def watched_prepaid(cluster: Cluster, every: float = 0.1) -> Iterator[Prepaid]:
    seen, over = Prepaid(), threading.Event()

    def watch() -> None:
        while not over.wait(every):
            seen.most = max(seen.most, int(cluster.metric("causeway_line_prepaid_bytes")))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def demand_moves(running: Federation, turns: int, seconds: float, note: Note) -> tuple[Sampled, int]:
    """Cold reads at one node after the other, each for so many seconds, eight at a time; returns what the wire saw."""
    cluster = running.clusters[REGION]
    each = int(QUOTA * seconds * 1.5 / (4 * MIB)) + 8
    things = [Thing(f"quota/{n:04}", 4 * MIB, n % 7) for n in range(turns * each)]
    running.put(things)
    wire = running.cables[LINE].towards(cluster.site)
    with watched_prepaid(cluster) as prepaid, sampled(wire.received) as seen:
        for turn in range(turns):
            machine = cluster.machines[turn % len(cluster.machines)]
            mine = [Read(thing, 0, thing.size, True) for thing in things[turn * each : (turn + 1) * each]]
            loaded = running.load(machine, mine, 8, seconds=seconds)
            assert loaded.faults == ()
    used = seen.total / (QUOTA * seen.seconds)
    over = seen.most_above(QUOTA, 1.0)
    what = f"quota of 200 Mbit/s, {len(cluster.machines)} nodes, demand moves each {seconds:.0f} s"
    told = f"{over / 1e6:+.2f} MB against the quota in the fullest second, {used:.0%} of it on the wire"
    note(what, told, f"<= {allowed(prepaid.most) / 1e6:.2f} MB, >= 85 % ({prepaid.most} B prepaid)")
    return seen, prepaid.most


def allowed(prepaid: int) -> float:
    """Bytes above the quota times its length in any window of a second: the burst, what was prepaid, and 2 %."""
    return STEP + prepaid + (QUOTA + STEP + prepaid) * 0.02


@pytest.mark.timeout(240)
def test_demand_that_moves_between_nodes_never_exceeds_the_quota_of_the_line(tmp_path: Path, note: Note) -> None:
    with federation(tmp_path, CLUSTER) as running:
        seen, prepaid = demand_moves(running, 5, 2.0, note)

    assert seen.most_above(QUOTA, 1.0) <= allowed(prepaid)


@pytest.mark.timeout(240)
def test_the_wire_shows_when_nobody_keeps_the_quota(tmp_path: Path) -> None:
    with federation(tmp_path, replace(CLUSTER, before=unlimited())) as running:
        seen, prepaid = demand_moves(running, 2, 2.0, lambda *_: None)

    assert seen.most_above(QUOTA, 1.0) > allowed(prepaid)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_demand_that_moves_for_two_minutes_never_exceeds_the_quota_of_the_line(tmp_path: Path, note: Note) -> None:
    with federation(tmp_path, CLUSTER) as running:
        seen, prepaid = demand_moves(running, 60, 2.0, note)

    assert seen.most_above(QUOTA, 1.0) <= allowed(prepaid)
