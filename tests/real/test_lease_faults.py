"""A line's quota while its lease office dies, or a node cannot reach it: counted at the wire, by real nodes."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.real.conftest import Note
from tests.real.lab.counters import Sampled, sampled
from tests.real.lab.federation import CONTROL_PORT, Federation, Machine, Plan, Span, federation
from tests.real.lab.reads import Read, Thing
from tests.real.lab.shared import Prepaid, allowed, watched_prepaid
from tests.real.test_cluster_quota import LINE, MIB, OVERHEAD, QUOTA, REGION

pytestmark = [pytest.mark.real, pytest.mark.root, pytest.mark.timeout(240)]
SAFE = 0.4


def plan(office: str) -> Plan:
    rules = {"overhead": OVERHEAD, "safe": f"{SAFE:.0%}", "hold": "5s", "static_for": "10m"}
    return Plan({"idc-bj": 1, REGION: 3}, {LINE: Span(("idc-bj", REGION), "200 Mbit/s", office=office)}, rules=rules)


def leases(machine: Machine) -> dict[str, Any]:
    """What `causeway lines --json` says of the line at a node."""
    (line,) = json.loads(machine.node.cli("lines", "--json"))
    found: dict[str, Any] = line
    return found


def state(machine: Machine) -> str:
    return str(leases(machine)["lease"]["state"])


def in_office(machine: Machine) -> bool:
    return bool(leases(machine)["office_epoch"])


def wait(machine: Machine, holds: Callable[[], bool]) -> None:
    machine.node.process.wait_until(holds)


@contextmanager
def read_at(running: Federation, machines: list[Machine], seconds: float) -> Iterator[tuple[Sampled, Prepaid]]:
    """Cold reads at these nodes while the `with` lasts, `seconds` at most; what the wire and the nodes say then."""
    cluster = running.clusters[REGION]
    each = int(QUOTA * seconds / len(machines) / (4 * MIB)) + 8
    things = [Thing(f"faults/{n:04}", 4 * MIB, n % 7) for n in range(len(machines) * each)]
    running.put(things)
    wire = running.cables[LINE].towards(cluster.site)
    with watched_prepaid(cluster) as prepaid, sampled(wire.received) as seen:
        loads = []
        for number, machine in enumerate(machines):
            mine = [Read(thing, 0, thing.size, True) for thing in things[number * each : (number + 1) * each]]
            loads.append(running.loading(machine, mine, 6))
        for load in loads:
            load.__enter__()
        try:
            yield seen, prepaid
        finally:
            for load in loads:
                load.__exit__(None, None, None)


def shown(note: Note, what: str, over: float, prepaid: int) -> None:
    note(
        what,
        f"{over / 1e6:+.2f} MB against the quota in the fullest second",
        f"<= {allowed(QUOTA, prepaid) / 1e6:.2f} MB",
    )


def test_an_office_that_is_killed_is_replaced_and_the_quota_kept_all_the_while(tmp_path: Path, note: Note) -> None:
    with federation(tmp_path, plan(REGION)) as running:
        machines = running.clusters[REGION].machines
        for one in machines:
            wait(one, lambda one=one: state(one) == "leased")
        (office,) = (one for one in machines if in_office(one))
        others = [one for one in machines if one is not office]
        before = leases(others[0])["lease"]["epoch"]

        with read_at(running, others, 40) as (seen, prepaid):
            office.kill()
            wait(others[0], lambda: any(in_office(one) for one in others))
            for one in others:
                wait(one, lambda one=one: leases(one)["lease"]["epoch"] > before)
                wait(one, lambda one=one: state(one) == "leased")

        over = seen.most_above(QUOTA, 1.0)
        shown(note, "office killed, 3 nodes", over, prepaid.most)
        assert over <= allowed(QUOTA, prepaid.most)


def test_a_node_that_does_not_reach_the_office_goes_on_at_its_safe_rate_and_is_back_with_a_lease(
    tmp_path: Path, note: Note
) -> None:
    with federation(tmp_path, plan("idc-bj")) as running:
        machines = running.clusters[REGION].machines
        cut, rest = machines[0], machines[1:]
        for one in machines:
            wait(one, lambda one=one: state(one) == "leased")

        with read_at(running, machines, 45) as (seen, prepaid):
            heal = running.network.cut_one_way(cut.host, running.home.machines[0].host, port=CONTROL_PORT)
            wait(cut, lambda: state(cut) == "static")
            held, silent = leases(cut)["lease"], cut.node.cli("status")
            assert all(state(one) == "leased" for one in rest)
            heal()
            wait(cut, lambda: state(cut) == "leased")

        over = seen.most_above(QUOTA, 1.0)
        shown(note, "a node cut from the office", over, prepaid.most)
        assert over <= allowed(QUOTA, prepaid.most)
        assert 0 < held["rate"] <= SAFE * QUOTA / 3 + 1
        assert "its lease office in idc-bj is silent" in silent
