"""The laboratory's federation: regions that read through one another over counted lines, and `make lab`."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.lab.byhand import THINGS
from tests.real.lab.federation import Federation, Plan, Span, federation
from tests.real.lab.load import ROOT
from tests.real.lab.process import child
from tests.real.lab.reads import Read, Thing, crossed

pytestmark = [pytest.mark.real, pytest.mark.root]
MIB = 1 << 20
CHAIN = Plan(
    {"idc-bj": 1, "aws-use1": 1, "gpu-7": 1},
    {"bj-use1": Span(("idc-bj", "aws-use1")), "use1-gpu7": Span(("aws-use1", "gpu-7"))},
    {"gpu-7": "aws-use1"},
)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with federation(tmp_path_factory.mktemp("chain"), CHAIN) as running:
        yield running


def whole(things: list[Thing]) -> list[Read]:
    return [Read(thing, 0, thing.size, True) for thing in things]


def settle(chain: Federation) -> None:
    """Waits until all that readers have is counted and kept: they have it before."""
    for cluster in chain.clusters.values():
        for one in cluster.nodes:
            one.process.wait_until(lambda one=one: not one.metric("causeway_flights"))  # type: ignore[misc]


def test_what_a_region_reads_crosses_each_line_on_its_way_and_is_counted_there(chain: Federation) -> None:
    things = [Thing(f"chain/{n}", 3 * MIB + n, n) for n in range(4)]
    chain.put(things)
    asked = sum(thing.size for thing in things)
    wires = [chain.cables[line].towards(chain.clusters[end].site) for line, end in
             (("bj-use1", "aws-use1"), ("use1-gpu7", "gpu-7"))]  # fmt: skip
    before = [wire.received() for wire in wires]

    seen = chain.load(chain.clusters["gpu-7"].machines[0], whole(things), 4)
    settle(chain)

    carried = [wire.received() - was for wire, was in zip(wires, before, strict=True)]
    assert (seen.faults, seen.bytes) == ((), asked)
    assert all(asked < one <= asked * 1.06 + MIB for one in carried)
    assert crossed(chain.clusters["gpu-7"].kinds("use1-gpu7")) == asked
    assert crossed(chain.clusters["aws-use1"].kinds("bj-use1")) == asked


def test_a_node_is_killed_and_starts_again_on_what_it_had(chain: Federation) -> None:
    thing = Thing("again", 2 * MIB, 3)
    chain.put([thing])
    machine = chain.clusters["gpu-7"].machines[0]
    assert chain.load(machine, whole([thing])).faults == ()
    settle(chain)
    wire = chain.cables["use1-gpu7"].towards(chain.clusters["gpu-7"].site)

    machine.kill()
    assert "cannot connect" in chain.load(machine, whole([thing])).faults[0]
    machine.start()
    chain.wait_ready()
    before = wire.received()

    assert chain.load(machine, whole([thing])).faults == ()
    assert wire.received() - before < MIB


def test_a_cached_object_is_read_while_the_line_is_cut(chain: Federation) -> None:
    thing = Thing("cut", 2 * MIB, 5)
    chain.put([thing])
    machine = chain.clusters["gpu-7"].machines[0]
    assert chain.load(machine, whole([thing])).faults == ()
    settle(chain)

    heal = chain.network.cut(chain.clusters["aws-use1"].site, chain.clusters["gpu-7"].site)
    seen = chain.load(machine, whole([thing]))
    heal()

    assert seen.faults == ()


def test_make_lab_says_how_to_reach_everything_and_leaves_nothing_behind(tmp_path: Path) -> None:
    env = {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    with child("lab", [sys.executable, "-m", "tests.real.lab.byhand"], tmp_path, env=env) as lab:
        lab.wait_until(lambda: "Ctrl-C ends" in lab.log.read_text(), 100)
        text = lab.log.read_text()
        keys = dict(re.findall(r"(AWS_\w+)=(\S+)", text))
        reading, asking = re.findall(r"^  read +(ip .*)$|^    ask it +(ip .*)$", text, re.MULTILINE)[:2]
        listed = subprocess.check_output([*reading[0].split(), "--recursive"], text=True, env={**env, **keys})
        status = subprocess.check_output(asking[1].split(), text=True, env=env)
        lab.process.send_signal(signal.SIGINT)
        assert lab.process.wait(60) == 0, lab.tail()

    assert len(listed.splitlines()) == len(THINGS)
    assert "idc-bj" in status
    names = re.findall(r"netns exec (\S+)", text)
    assert len(set(names)) >= 6
    assert not [name for name in names if Path("/run/netns", name).exists()]
    assert not list(tmp_path.glob("causeway-lab-*"))
