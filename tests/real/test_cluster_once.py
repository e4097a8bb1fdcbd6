"""Once, over three regions of clusters: each byte crosses each line once, counted at the interfaces.

Readers at every node of two regions read the same cold things; what they read lies in the third.
"""

import random
from pathlib import Path

import pytest

from tests.real.conftest import Note
from tests.real.lab.crowd import crowd
from tests.real.lab.federation import Federation, Plan, Span, federation
from tests.real.lab.reads import Read, Thing

pytestmark = [pytest.mark.real, pytest.mark.root]
MIB = 1 << 20
EXTENT = 64 * MIB


def plan(quota: str) -> Plan:
    return Plan(
        {"idc-bj": 2, "aws-use1": 3, "gpu-7": 1},
        {"bj-use1": Span(("idc-bj", "aws-use1"), quota), "use1-gpu7": Span(("aws-use1", "gpu-7"), quota)},
        {"gpu-7": "aws-use1"},
    )


def some_things(total: int) -> list[Thing]:
    """One of several extents, and the rest of 8 MiB and a little, `total` or more together."""
    large = Thing("once/large", min(total // 2, 8 * EXTENT) + 12_345, 1)
    count = -((large.size - total) // (8 * MIB))
    return [large, *(Thing(f"once/{n:03}", 8 * MIB + n, 2 + n) for n in range(count))]


def all_of_it(things: list[Thing], seed: int) -> list[Read]:
    """Every page of every thing, in steps of 16 MiB, in an order of its own."""
    step = 16 * MIB
    reads = [Read(thing, at, min(at + step, thing.size)) for thing in things for at in range(0, thing.size, step)]
    random.Random(seed).shuffle(reads)
    return reads


def read_once(running: Federation, total: int, readers: int, note: Note) -> None:
    things = some_things(total)
    running.put(things)
    unique = sum(thing.size for thing in things)
    ends = {"bj-use1": running.clusters["aws-use1"], "use1-gpu7": running.clusters["gpu-7"]}
    wires = {line: running.cables[line].towards(end.site) for line, end in ends.items()}
    at = [machine for end in ends.values() for machine in end.machines]
    before = {line: wire.received() for line, wire in wires.items()}
    origin = running.store_host.interface.sent()
    ledgers = {line: end.kinds(line) for line, end in ends.items()}

    shares = [len(range(n, readers, len(at))) for n in range(len(at))]
    with crowd(running, {machine: all_of_it(things, n) for n, machine in enumerate(at)}, shares) as seen:
        pass

    carried = {line: wire.received() - before[line] for line, wire in wires.items()}
    sent = running.store_host.interface.sent() - origin
    kinds = {line: end.kinds(line) - ledgers[line] for line, end in ends.items()}
    who = f"{len(at)} nodes, {readers} readers"
    for line, nbytes in carried.items():
        told = f"{nbytes / unique:.4f} of {unique} B, {dict(kinds[line])}"
        note(f"once over {line}, {who}", told, "<= 1.06, all of it unique")
    note(f"once, the origin, {who}", f"{sent / unique:.4f}", "read once: <= 1.06")
    assert seen.faults == ()
    assert seen.bytes == unique * len(at)
    for line, nbytes in carried.items():
        assert {kind: n for kind, n in kinds[line].items() if kind != "meta"} == {"unique": unique}, line
        # Within that is what the regions tell one another meanwhile: headers alone are 1.048.
        assert nbytes <= unique * 1.06, line
    assert sent <= unique * 1.06


@pytest.mark.timeout(240)
def test_readers_of_two_regions_bring_each_byte_over_each_line_once(tmp_path: Path, note: Note) -> None:
    with federation(tmp_path, plan("400 Mbit/s")) as running:
        read_once(running, 160 * MIB, 8, note)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_30_readers_of_two_regions_bring_2_gib_over_each_line_once(tmp_path: Path, note: Note) -> None:
    with federation(tmp_path, plan("400 Mbit/s")) as running:
        read_once(running, 2048 * MIB, 30, note)
