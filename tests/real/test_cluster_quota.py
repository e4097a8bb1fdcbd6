"""A line's quota is kept by all nodes of a region together, however demand moves between them: counted at the wire."""

import time
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from tests.real.conftest import Note
from tests.real.lab.counters import Sampled, sampled
from tests.real.lab.federation import Federation, Machine, Plan, Span, federation
from tests.real.lab.reads import Read, Thing
from tests.real.lab.shared import allowed, watched_prepaid
from tests.real.lab.unlimited import unlimited

pytestmark = [pytest.mark.real, pytest.mark.root]
MIB = 1 << 20
LINE, REGION = "bj-use1", "aws-use1"
QUOTA = 25_000_000
# The overhead of the plan: what the wire carries beyond the payload is less (1.048).
OVERHEAD = 1.06
CLUSTER = Plan({"idc-bj": 1, REGION: 3}, {LINE: Span(("idc-bj", REGION), "200 Mbit/s")}, rules={"overhead": OVERHEAD})


def demand_moves(running: Federation, turns: int, seconds: float, note: Note) -> tuple[Sampled, int]:
    """Cold reads of what one node owns, then another, each for so many seconds, eight at a time, without a pause."""
    cluster = running.clusters[REGION]
    plans = cold_by_owner(running, turns, int(QUOTA * seconds * 1.5 / (4 * MIB)) + 8)
    wire = running.cables[LINE].towards(cluster.site)
    with (
        watched_prepaid(cluster) as prepaid,
        sampled(wire.received) as seen,
        ExitStack() as stack,
    ):
        loads = []
        for machine, reads in plans:
            loads.append(stack.enter_context(running.loading(machine, reads, 8, seconds=seconds)))
            time.sleep(seconds)
        loaded = [one.result() for one in loads]
    begun, ended = loaded[0].started + 1.0, loaded[-1].started + seconds
    used = seen.rate_between(begun, ended) / QUOTA
    over = seen.most_above(QUOTA, 1.0)
    what = f"quota of 200 Mbit/s, {len(cluster.machines)} nodes, demand moves each {seconds:.0f} s"
    told = f"{over / 1e6:+.2f} MB against the quota in the fullest second, {used:.0%} of it used"
    note(what, told, f"<= {allowed(QUOTA, prepaid.most) / 1e6:.2f} MB ({prepaid.most} B prepaid), >= 85 %")
    assert [fault for one in loaded for fault in one.faults] == []
    return seen, prepaid.most


def cold_by_owner(running: Federation, turns: int, each: int) -> list[tuple[Machine, list[Read]]]:
    """For each turn a node, and reads of so many cold things that it owns."""
    machines = running.clusters[REGION].machines
    owned: dict[str, list[Thing]] = {machine.name: [] for machine in machines}
    wanted, numbers = each * (turns // len(machines) + 1), count()
    while any(len(things) < wanted for things in owned.values()):
        thing = Thing(f"quota/{(n := next(numbers)):05}", 4 * MIB, n % 7)
        owned[running.key_owner(REGION, thing).name].append(thing)
    found = []
    for turn in range(turns):
        machine = machines[turn % len(machines)]
        things = [owned[machine.name].pop() for _ in range(each)]
        running.put(things)
        found.append((machine, [Read(thing, 0, thing.size, True) for thing in things]))
    return found


@pytest.mark.timeout(240)
def test_demand_that_moves_between_nodes_never_exceeds_the_quota_of_the_line(tmp_path: Path, note: Note) -> None:
    with federation(tmp_path, CLUSTER) as running:
        seen, prepaid = demand_moves(running, 5, 2.0, note)

    assert seen.most_above(QUOTA, 1.0) <= allowed(QUOTA, prepaid)


@pytest.mark.timeout(240)
def test_the_wire_shows_when_nobody_keeps_the_quota(tmp_path: Path) -> None:
    with federation(tmp_path, replace(CLUSTER, before=unlimited())) as running:
        seen, prepaid = demand_moves(running, 2, 2.0, lambda *_: None)

    assert seen.most_above(QUOTA, 1.0) > allowed(QUOTA, prepaid)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_demand_that_moves_for_two_minutes_never_exceeds_the_quota_of_the_line(tmp_path: Path, note: Note) -> None:
    with federation(tmp_path, CLUSTER) as running:
        seen, prepaid = demand_moves(running, 60, 2.0, note)

    assert seen.most_above(QUOTA, 1.0) <= allowed(QUOTA, prepaid)
