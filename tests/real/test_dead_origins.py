"""A dead origin costs the others nothing: one black-holed, another healthy, 64 readers each, against it alone.

The readers of the dead one come again when Retry-After says so, as SDKs do. Figures are taken in pairs, alone and
beside the dead one, one after the other, so that what else runs on the machine touches both.
"""

import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.real.conftest import Note
from tests.real.lab.hole import far_place, silent_server
from tests.real.lab.load import Get, get, load, loading
from tests.real.lab.nodes import Node, Place, node
from tests.real.lab.process import free_port
from tests.real.lab.regions import HOME, credentials
from tests.real.lab.s3 import S3Server, versitygw, write_ramp
from tests.real.lab.sign import Keys

pytestmark = [pytest.mark.real, pytest.mark.soak]
READERS = 64
OBJECTS = 512
SIZE = 64 * 1024
PAIRS, SECONDS = 9, 4.0
MEMORY = 256 << 20


def documents(sound: str, dead: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two buckets at home; what is read of `cold` is not kept, so that each read asks the origin."""

    def bucket(url: str, name: str) -> dict[str, Any]:
        return {
            "provider": "s3",
            "bucket": name,
            "region": HOME,
            "endpoints": {"internal": url},
            "credentials": {"env": "LAB_BUCKET"},
        }

    topology = {
        "regions": {HOME: {"provider": "idc"}},
        "lines": {},
        "buckets": {"sound": bucket(sound, "data"), "dead": bucket(dead, "data")},
        "mounts": {
            "/ns/cold": {"bucket": "sound", "prefix": "cold/"},
            "/ns/warm": {"bucket": "sound", "prefix": "warm/", "consistency": {"max_age": "1s"}},
            "/ns/dead": {"bucket": "dead"},
        },
    }
    return topology, {"lines": {}, "cache": [{"match": "/ns/cold/**", "admit": "never"}]}


def put(store: S3Server, scratch: Path) -> None:
    assert store.root is not None
    (store.root / "data").mkdir()
    for folder in ("cold", "warm"):
        for n in range(OBJECTS):
            store.put_file("data", f"{folder}/{n}", write_ramp(scratch / "making", SIZE, n))


def plan(at: Node, keys: Keys, folder: str) -> list[Get]:
    return [get(at.address, folder, str(n), keys, size=SIZE, shift=n) for n in range(OBJECTS)]


def dead_plan(at: Node, keys: Keys) -> list[Get]:
    """Reads of more keys than are asked for in the time: none is joined by another reader."""
    found = [get(at.address, "dead", f"k{n}", keys, size=-1, checked=False) for n in range(3000)]
    return [Get(one.target, one.headers, 503) for one in found]


@contextmanager
def stage(tmp_path: Path, dead: str) -> Iterator[tuple[Node, Keys]]:
    with ExitStack() as stack:
        store = stack.enter_context(versitygw(tmp_path))
        put(store, tmp_path)
        place = Place(HOME, tmp_path / HOME)
        running = stack.enter_context(node(place, memory=f"{MEMORY >> 20}MiB", env=credentials()))
        running.apply(*documents(store.url, dead))
        yield running, running.key("reader", "rec", "/ns")


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of the readers of the sound origin. `cpu` is the node's, seconds a read."""

    rate: float
    p99: float
    cpu: float


def measured(at: Node, keys: Keys, folder: str, tmp_path: Path, *, beside_dead: bool) -> Measured:
    """One run. The readers of the dead origin have asked before it begins: to start them costs a second of CPU."""
    with ExitStack() as stack:
        dead = None
        if beside_dead:
            refused, gets = _refused(at), dead_plan(at, keys)
            dead = stack.enter_context(
                loading(at.address, gets, tmp_path, connections=READERS, seconds=2 * SECONDS, heed=True)
            )
            dead.process.wait_until(lambda: _refused(at) - refused >= READERS)
        cpu = at.process.cpu_seconds()
        seen = load(at.address, plan(at, keys, folder), tmp_path, connections=READERS, seconds=SECONDS)
        cpu = at.process.cpu_seconds() - cpu
        assert seen.faults == ()
        assert set(seen.statuses) == {200}
        if dead is not None:
            assert at.metric("causeway_memory_bytes", use="flight") <= 0.75 * MEMORY
            lost = dead.result()
            assert set(lost.statuses) == {503}, lost.faults
    return Measured(seen.count / seen.seconds, seen.percentile(99), cpu / seen.count)


def _refused(at: Node) -> float:
    return at.metric("causeway_requests_total", door="s3", code="503")


def paired(at: Node, keys: Keys, tmp_path: Path, note: Note, what: str) -> None:
    """Prints both figures of each kind of read, and their ratios."""
    picks: tuple[tuple[str, float, Callable[[Measured], float], str], ...] = (
        ("reads/s", 1.0, lambda one: one.rate, ">= 95 %"),
        ("p99, ms", 1e3, lambda one: one.p99, "<= 150 %"),
        ("CPU of the node, us a read", 1e6, lambda one: one.cpu, ""),
    )
    for folder in ("cold", "warm"):
        measured(at, keys, folder, tmp_path, beside_dead=False)
        alone: list[Measured] = []
        beside: list[Measured] = []
        for turn in range(PAIRS):
            for beside_dead in (False, True) if turn % 2 else (True, False):
                seen = measured(at, keys, folder, tmp_path, beside_dead=beside_dead)
                (beside if beside_dead else alone).append(seen)
        for name, unit, pick, most in picks:
            medians = [statistics.median(map(pick, each)) * unit for each in (alone, beside)]
            ratios = sorted(pick(b) / pick(a) for a, b in zip(alone, beside, strict=True))
            spread = f"{ratios[len(ratios) // 4]:.0%} to {ratios[-1 - len(ratios) // 4]:.0%}"
            figure = f"{medians[0]:.1f}, {medians[1]:.1f} = {statistics.median(ratios):.1%} (half: {spread})"
            note(f"{what}: {folder} {name}, alone and beside it", figure, most)


@pytest.mark.timeout(600)
def test_an_origin_that_accepts_and_never_answers_costs_another_one_nothing(tmp_path: Path, note: Note) -> None:
    with silent_server() as dead, stage(tmp_path, f"http://{dead}") as (at, keys):
        paired(at, keys, tmp_path, note, "silent server")


@pytest.mark.root
@pytest.mark.timeout(600)
def test_an_origin_whose_packets_are_dropped_costs_another_one_nothing(tmp_path: Path, note: Note) -> None:
    with far_place() as far:
        far.drop()
        with stage(tmp_path, f"http://{far.address}:{free_port()}") as (at, keys):
            paired(at, keys, tmp_path, note, "dropped packets")
