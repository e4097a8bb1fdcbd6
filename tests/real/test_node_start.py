"""How long a node of a cluster takes from its start to serving: after a `kill -9`, with ten thousand extents."""

import time
from pathlib import Path

import pytest

from regioncache.store.disk import Disk, SystemCalls
from tests.real.conftest import Note
from tests.real.lab.etcd import etcd
from tests.real.lab.nodes import Place, node
from tests.real.test_store_scale import make_extents

pytestmark = [pytest.mark.real, pytest.mark.soak]
EXTENTS, STARTS = 10_000, 3


def extents(path: Path) -> None:
    disk = Disk(path, 1, SystemCalls())
    disk.prepare()
    make_extents(disk, EXTENTS)
    disk.close()


def test_a_member_with_ten_thousand_extents_is_back_soon(tmp_path: Path, note: Note) -> None:
    place, took, cpu = Place("here", tmp_path / "n1"), [], []
    extents(place.directory / "cache")
    with etcd(tmp_path) as servers:
        for _ in range(STARTS + 1):
            begun = time.monotonic()
            with node(place, settings={"etcd": servers.urls}, cache="1TiB") as started:
                took.append(time.monotonic() - begun)
                cpu.append(started.process.cpu_seconds())
                held = started.metric("causeway_cache_bytes")
                started.process.kill()

    # The first start may have had to compile the program.
    note(f"node with {EXTENTS} extents, killed: until it serves", f"{min(took[1:]):.2f} s", "<= 2 s")
    note("of that, CPU", f"{min(cpu[1:]):.2f} s", "")
    assert held > 0
