"""The lease office and what it stands on go away under load: the line's quota is kept, counted at the wire."""

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.real.conftest import Note
from tests.real.lab.counters import sampled
from tests.real.lab.crowd import crowd
from tests.real.lab.federation import CONTROL_PORT, Cluster, Federation, Machine, Plan, Span, federation
from tests.real.lab.reads import Read, Thing
from tests.real.lab.shared import allowed, watched_prepaid

pytestmark = [pytest.mark.real, pytest.mark.root]
MIB = 1 << 20
LINE, REGION = "bj-use1", "aws-use1"
QUOTA = 25_000_000
CLUSTER = Plan(
    {"idc-bj": 1, REGION: 3},
    {LINE: Span(("idc-bj", REGION), "200 Mbit/s", office=REGION)},
    rules={"overhead": 1.06},
)
Undo = Callable[[], None]


def office(cluster: Cluster) -> Machine:
    """The machine whose log said last that it is the line's office."""
    said = {}
    for machine in cluster.machines:
        lines = [one for one in machine.node.process.log.read_text().splitlines() if "the lease office of line" in one]
        mine = [one.partition("Z")[0] for one in lines if "this node is the lease office" in one]
        if mine and "this node is the lease office" in [one for one in lines if "this node is" in one][-1]:
            said[mine[-1]] = machine
    return said[max(said)]


def cut_from_etcd(running: Federation, cluster: Cluster, victim: Machine) -> Undo:
    assert cluster.etcd_host is not None
    return running.network.cut(victim.host, cluster.etcd_host)


def cut_from_office(running: Federation, cluster: Cluster, victim: Machine) -> Undo:
    """Its control port is out of reach, the peer doors are not."""
    return running.network.cut_one_way(victim.host, office(cluster).host, port=CONTROL_PORT)


def cut_from_all(running: Federation, cluster: Cluster, victim: Machine) -> Undo:
    """From everything in its region and beyond but its readers."""
    others = [one.host for one in cluster.machines if one is not victim]
    hosts = [*others, *([cluster.etcd_host] if cluster.etcd_host else [])]
    heals = [running.network.cut(victim.host, host) for host in hosts]
    return lambda: [heal() for heal in heals] and None


def office_killed(running: Federation, cluster: Cluster, victim: Machine) -> Undo:
    at = office(cluster)
    at.kill()
    return at.start


def etcd_stopped(running: Federation, cluster: Cluster, victim: Machine) -> Undo:
    assert cluster.etcd is not None
    member = cluster.etcd.members[0]
    member.pause()
    return member.resume


def all_at_once(running: Federation, cluster: Cluster, victim: Machine) -> Undo:
    undo = [etcd_stopped(running, cluster, victim), cut_from_all(running, cluster, victim)]
    undo.append(office_killed(running, cluster, victim))
    return lambda: [one() for one in undo] and None


MISHAPS = {
    "office killed": office_killed,
    "a node cut from etcd": cut_from_etcd,
    "a node cut from the office": cut_from_office,
    "a node cut from all": cut_from_all,
    "etcd stopped": etcd_stopped,
    "all at once": all_at_once,
}
# What test_lease_faults.py does not try by itself.
FEW = ("a node cut from etcd", "a node cut from all", "etcd stopped", "all at once")


def kept_within(running: Federation, mishaps: Iterable[str], seconds: float, note: Note) -> None:
    """One mishap after the other, each for so many seconds and as long to heal, under cold reads."""
    cluster = running.clusters[REGION]
    todo = {name: MISHAPS[name] for name in mishaps}
    total = seconds * 2 * len(todo)
    things = [Thing(f"office/{n:05}", 4 * MIB, n % 7) for n in range(int(total * QUOTA * 1.3 / (4 * MIB)))]
    running.put(things)
    # Whose door is not killed with the office, at first at least: its readers would see that alone.
    reader = next(one for one in cluster.machines if one is not office(cluster))
    reads = [Read(thing, 0, thing.size, True) for thing in things]
    wire, rates = running.cables[LINE].towards(cluster.site), []
    with watched_prepaid(cluster) as prepaid, sampled(wire.received) as seen, ExitStack() as stack:
        under_way = stack.enter_context(crowd(running, {reader: reads}, 12, seconds=total + 4, heed=True, patient=True))
        time.sleep(4)
        for name, mishap in todo.items():
            begun = time.monotonic()
            victim = next(one for one in cluster.machines if one is not reader and one is not office(cluster))
            undo = mishap(running, cluster, victim)
            time.sleep(seconds)
            healed = time.monotonic()
            undo()
            time.sleep(seconds)
            rates.append((name, seen.rate_between(begun, healed), seen.rate_between(healed, time.monotonic())))
    over, most = seen.most_above(QUOTA, 1.0), allowed(QUOTA, prepaid.most)
    for name, during, after in rates:
        figure = f"{during / QUOTA:.0%} of the quota on the wire, {after / QUOTA:.0%} once healed"
        note(f"{name}, for {seconds:.0f} s", figure, "<= 100 %; >= 90 % within two leases")
    note("office and all away, fullest second", f"{over / 1e6:+.2f} MB against the quota", f"<= {most / 1e6:.2f} MB")
    assert over <= most
    assert under_way.statuses <= {200, 206, 503}, under_way.faults
    assert not [fault for fault in under_way.faults if "wrong bytes" in fault], under_way.faults


@pytest.mark.timeout(240)
def test_the_quota_is_kept_whatever_becomes_of_the_office(tmp_path: Path, note: Note) -> None:
    with federation(tmp_path, CLUSTER) as running:
        kept_within(running, FEW, 2.0, note)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_quota_is_kept_for_minutes_without_the_office(tmp_path: Path, note: Note) -> None:
    with federation(tmp_path, CLUSTER) as running:
        kept_within(running, MISHAPS, 60.0, note)
