"""A namespace of 100,000 mounts: `python -m tests.bench.namespaces` prints what it takes beside what it may take.

The regions are simulated: each has its own copy, on disk and in memory, and gets what the service would send it; all
share this process, so that a hundred of them do here one after the other what a hundred nodes do at once. Times are of
the process's CPU: what it takes on a core of its own.
"""

import asyncio
import gc
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from namespace import contents, forms
from namespace.holding import Holding
from namespace.items import Snapshot, difference, unpacked, unpacked_difference
from namespace.knowing import Knowing
from namespace.model import Bucket, Endpoint, Endpoints, Line, Mount, Region, Topology
from namespace.resolver import Resolver
from namespace.sealing import KEYS, Seal
from namespace.service.feeds import Feeds, Seen
from namespace.service.sights import Seals
from namespace.snapshots import SnapshotFiles
from namespace.store.base import Revision

MOUNTS, REGIONS = 100_000, 100
SEAL = Seal(b"the seal of this bench", KEYS)


def topology() -> Topology:
    """100,000 mounts of 100 buckets in 100 regions."""
    regions = {f"region-{at}": Region(name=f"region-{at}", nodes=(f"10.0.0.{at}:9100",)) for at in range(REGIONS)}
    lines = {
        f"line-{at}": Line(name=f"line-{at}", between=("region-0", f"region-{at}"), capacity=1e9)
        for at in range(1, REGIONS)
    }
    buckets = {
        f"b{at}": Bucket(
            name=f"b{at}", provider="s3", bucket=f"real{at}", region=f"region-{at}",
            endpoints=Endpoints(internal=Endpoint(url=f"http://10.1.0.{at}:9000", scope="internal")),
        )
        for at in range(100)
    }  # fmt: skip
    mounts = {
        path: Mount(path=path, bucket=f"b{at % 100}", prefix=f"team-{at}/")
        for at in range(MOUNTS)
        for path in (f"/ns/org-{at % 317}/team-{at}",)
    }
    return Topology(regions=regions, lines=lines, buckets=buckets, mounts=mounts)


def snapshot(serial: int, made: Topology) -> Snapshot:
    revision = Revision(serial, "bench", 0.0, str(serial))
    return Snapshot("cluster", serial, {**forms.items_of(made), contents.REVISION: contents.revision_item(revision)})


class Figures:
    """What was measured, and whether it is within its bound."""

    def __init__(self) -> None:
        self.failed = False

    def told(self, what: str, value: float, most: float, unit: str) -> None:
        over = value > most
        self.failed = self.failed or over
        print(f"{what:58} {value:9.3f} {unit:3} of {most:g}{'  ABOVE' if over else ''}")

    def timed(self, what: str, most: float, call: Callable[[], object]) -> None:
        began = time.process_time()
        call()
        self.told(what, time.process_time() - began, most, "s")


async def main() -> int:
    figures, made = Figures(), topology()
    first = snapshot(1, made)
    with tempfile.TemporaryDirectory() as directory:
        SnapshotFiles(Path(directory), print).write(first)
        holding = Holding(SnapshotFiles(Path(directory), print), Knowing("region-1", SEAL), print)
        began = time.process_time()
        await holding.restore()
        loaded = holding.newest().topology
        resolver = Resolver("region-1")
        assert loaded is not None
        resolver.adopt(loaded, 1)
        figures.told("snapshot load: from disk until paths are found", time.process_time() - began, 2.0, "s")
        look_ups(figures, resolver)
        changed = forms.changed(loaded, *one_change(first))
        figures.timed("one changed mount: until the resolver finds it", 1.0, lambda: resolver.adopt(changed, 2))
        await reaching(figures, first, Path(directory))
    return int(figures.failed)


def look_ups(figures: Figures, resolver: Resolver) -> None:
    paths = [f"/ns/org-{at % 317}/team-{at}/images/part-0001.tar" for at in range(0, MOUNTS, 7)]
    began = time.process_time()
    for path in paths:
        assert resolver.find(path) is not None
    figures.told("look-up of a path", (time.process_time() - began) / len(paths) * 1e6, 5.0, "us")


def one_change(before: Snapshot):  # type: ignore[no-untyped-def]
    after = dict(before.items) | {"mount//ns/org-1/team-1": '{"bucket":"b2","prefix":"moved/"}'}
    return difference(before.items, after), after


async def reaching(figures: Figures, first: Snapshot, directory: Path) -> None:
    """One change, from the service's feeds until 100 regions know it."""
    feeds = Feeds(lambda _region: Seals(SEAL, SEAL))
    feeds.take(first, None)
    whole = [unpacked(packet) for packet in feeds.since("region-1", Seen()).packets]
    regions = []
    for at in range(REGIONS):
        name = f"region-{at}"
        holding = Holding(SnapshotFiles(directory / name, print), Knowing(name, SEAL), print)
        await holding.offer(Snapshot("cluster", 1, {name: text for part in whole for name, text in part.items()}))
        regions.append((name, holding))
    changed, _ = one_change(first)
    # As a node does once it stands: a hundred copies are a hundred times what its collector would look at.
    gc.collect()
    gc.freeze()
    began = time.process_time()
    feeds.take(first.changed(2, changed), changed)
    for name, holding in regions:
        news = feeds.since(name, Seen(1, "full"))
        for packet in news.packets:
            found = unpacked_difference(packet)
            held = holding.snapshot
            await holding.offer(held.changed(news.seen.serial, found), held, found)
    figures.told("one change: until 100 regions in this process know it", time.process_time() - began, 1.0, "s")
    assert all(holding.newest().serial == 2 for _, holding in regions)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
