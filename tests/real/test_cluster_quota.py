"""A line's quota is kept by all nodes of a region together, however demand moves between them: counted at the wire."""

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from itertools import count, cycle, islice
from pathlib import Path

import pytest

from policy import units
from tests.real.conftest import Note
from tests.real.lab.counters import Sampled, sampled
from tests.real.lab.federation import Federation, Plan, Span, federation
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
WORKERS = replace(CLUSTER, workers={REGION: 2})
# Of so little that nodes which nobody holds back bring more, however busy the machine is.
UNLIMITED = replace(CLUSTER, lines={LINE: Span(("idc-bj", REGION), "20 Mbit/s")}, before=unlimited())
READERS = 16
# Until a raw client has started and waits for its turn.
READY_SECONDS = 2.0
USED = 0.85


def demand_moves(running: Federation, owners: list[str], seconds: float, note: Note) -> tuple[Sampled, int, float]:
    """Cold reads of what one of them owns, then another, each for so many seconds, without a pause.

    What readers are in the middle of when their turn ends they read to its end. Returns what crossed the wire, the most
    that was prepaid, and the part of the quota that was used from one second after the beginning on.
    """
    cluster, written = running.clusters[REGION], running.plan.lines[LINE].quota
    quota = units.rate(written)
    plans = cold_by_owner(running, owners, int(quota * seconds * 1.5 / MIB) + READERS)
    machines = {one.name: one for one in cluster.machines}
    wire = running.cables[LINE].towards(cluster.site)
    with (
        watched_prepaid(cluster) as prepaid,
        sampled(wire.received) as seen,
        ExitStack() as stack,
    ):
        first, loads = time.monotonic() + READY_SECONDS, []
        for turn, (owner, reads) in enumerate(plans):
            begins = first + turn * seconds
            time.sleep(max(0.0, begins - READY_SECONDS - time.monotonic()))
            at = machines[owner.partition("/")[0]]
            loading = running.loading(at, reads, READERS, begins=begins, seconds=seconds, heed=True)
            loads.append(stack.enter_context(loading))
        loaded = [one.result() for one in loads]
    used = seen.rate_between(first + 1.0, first + len(owners) * seconds) / quota
    over = seen.most_above(quota, 1.0)
    what = f"quota of {written}, {len(running.members(REGION))} members, demand moves each {seconds:.0f} s"
    told = f"{over / 1e6:+.2f} MB against the quota in the fullest second, {used:.0%} of it used"
    note(what, told, f"<= {allowed(quota, prepaid.most) / 1e6:.2f} MB ({prepaid.most} B prepaid), >= {USED:.0%}")
    # Where the machine is too slow for the line readers are told to come again, as they may be.
    assert [fault for one in loaded for fault in one.faults if "answer 503" not in fault] == []
    return seen, prepaid.most, used


def cold_by_owner(running: Federation, owners: list[str], each: int) -> list[tuple[str, list[Read]]]:
    """For each turn its owner, a node or one of its workers, and reads of so many cold things of it."""
    owned: dict[str, list[Thing]] = defaultdict(list)
    wanted, numbers = {owner: each * owners.count(owner) for owner in owners}, count()
    while any(len(owned[owner]) < many for owner, many in wanted.items()):
        thing = Thing(f"quota/{(n := next(numbers)):06}", MIB, n % 7)
        member = running.owning_member(REGION, thing)
        owned[member if member in wanted else member.partition("/")[0]].append(thing)
    found = []
    for owner in owners:
        things = [owned[owner].pop() for _ in range(each)]
        running.put(things)
        found.append((owner, [Read(thing, 0, thing.size, True) for thing in things]))
    return found


def nodes(running: Federation, turns: int) -> list[str]:
    return list(islice(cycle([one.name for one in running.clusters[REGION].machines]), turns))


def members(running: Federation, turns: int) -> list[str]:
    """Each of them, and never two of one node in a row."""
    return list(islice(cycle(sorted(running.members(REGION), key=lambda name: name.rpartition("/")[::-1])), turns))


@pytest.mark.timeout(240)
def test_demand_that_moves_between_nodes_of_two_workers_never_exceeds_the_quota(tmp_path: Path, note: Note) -> None:
    with federation(tmp_path, WORKERS) as running:
        seen, prepaid, _ = demand_moves(running, nodes(running, 4), 2.0, note)

    assert seen.most_above(QUOTA, 1.0) <= allowed(QUOTA, prepaid)


@pytest.mark.timeout(240)
def test_the_wire_shows_when_nobody_keeps_the_quota(tmp_path: Path) -> None:
    with federation(tmp_path, UNLIMITED) as running:
        seen, prepaid, _ = demand_moves(running, nodes(running, 2), 2.0, lambda *_: None)

    quota = units.rate(UNLIMITED.lines[LINE].quota)
    assert seen.most_above(quota, 1.0) > allowed(quota, prepaid)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("plan", "owners"),
    [(CLUSTER, nodes), (WORKERS, nodes), (WORKERS, members)],
    ids=["nodes", "nodes of two workers", "workers"],
)
def test_demand_that_moves_for_two_minutes_uses_the_quota_and_never_exceeds_it(
    tmp_path: Path, note: Note, plan: Plan, owners: Callable[[Federation, int], list[str]]
) -> None:
    with federation(tmp_path, plan) as running:
        seen, prepaid, used = demand_moves(running, owners(running, 60), 2.0, note)

    assert seen.most_above(QUOTA, 1.0) <= allowed(QUOTA, prepaid)
    assert used >= USED
