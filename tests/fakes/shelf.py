"""A shelf over a fake origin: the real store, flights, filler and readers, and a source that counts."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from namespace.codec import topology
from namespace.resolver import Place, Resolver
from policy import units
from regioncache.fill import Filler
from regioncache.flights import Flights
from regioncache.health import Health
from regioncache.hot import HotObjects
from regioncache.lines.base import Crossing
from regioncache.lines.crossing import NoLine
from regioncache.memory import Memory
from regioncache.origins.base import Payer, Source
from regioncache.pages import MIB, Span, Version
from regioncache.reader import Reader, Shelf
from regioncache.sources import Route, Sources
from regioncache.store.base import StoreSettings
from regioncache.store.disk import SystemCalls
from regioncache.store.store import Store
from regioncache.tally import Tally
from tests.fakes.origin import FakeOrigin
from tests.fakes.ramp import is_ramp

TOPOLOGY = {
    "regions": {"home": {"provider": "idc"}},
    "buckets": {
        "b": {
            "provider": "s3",
            "bucket": "real",
            "region": "home",
            "endpoints": {"internal": "http://127.0.0.1:1"},
            "credentials": "none",
        }
    },
    "mounts": {"/ns/b": {"bucket": "b"}},
}
READER = Payer("rec", "training")


@dataclass(slots=True)
class Bench:
    """A shelf, its origin, and the crossing that each request is given."""

    shelf: Shelf
    origin: FakeOrigin
    resolver: Resolver
    crossing: Callable[[], Crossing] = NoLine
    source: Source | None = None
    faults: list[BaseException] = field(default_factory=list)

    def place(self, key: str) -> Place:
        found = self.resolver.find(f"/ns/b/{key}")
        assert found is not None
        return found

    def reader(self, key: str, start: int, end: int, *, keep: bool = True, payer: Payer = READER) -> Reader:
        """A reader of a span of the newest version."""
        meta = self.origin.bucket.find(key).meta()
        return Reader(self.shelf, self.place(key), meta, Span(start, end), payer, 0, keep)

    async def reads(self, key: str, start: int, end: int) -> bool:
        """Reads a span to its end; returns whether every byte is the ramp's."""
        at, right = start, True
        reader = self.reader(key, start, end)
        try:
            while at < end:
                piece = await reader.piece(at)
                right = right and is_ramp(bytes(piece), at, self.origin.bucket.find(key).shift)
                at += len(piece)
        finally:
            reader.leave()
        return right and at == end

    async def landed(self) -> None:
        """Waits until every flight has ended."""
        for flight in list(self.shelf.flights):
            while not flight.done:
                await flight.change()

    def held(self, key: str) -> list[Span]:
        """The runs of pages that are on disk."""
        found = self.origin.bucket.find(key)
        oid = self.reader(key, 0, 1).oid
        return self.shelf.store.present(oid, Version(found.etag), MIB, Span(0, -(-found.size // MIB)))


@asynccontextmanager
async def bench(path: Path, *, piece: int = 64 * 1024, calls: SystemCalls | None = None) -> AsyncIterator[Bench]:
    """Opens a bench whose store lies below `path`; the origin gives `piece` bytes at once."""
    store = await Store.open(StoreSettings((path,), 4096 * MIB), calls)
    made: list[Bench] = []
    sources = Sources(Health(), lambda place, way: _route(made[0]), lambda: 0.0)
    hot, flights, tally = HotObjects(MIB), Flights(), Tally()
    faults: list[BaseException] = []
    filler = Filler(store, hot, flights, sources, Memory(256 * MIB), tally, faults.append)
    resolver = Resolver("home")
    resolver.adopt(topology(TOPOLOGY, units), 1)
    made.append(Bench(Shelf(store, hot, flights, filler, tally), FakeOrigin(piece=piece), resolver, faults=faults))
    try:
        yield made[0]
    finally:
        await filler.stop()
        await store.close()


def _route(bench: Bench) -> Route:
    return Route(
        ("b", "endpoint", "fake"), "origin", None, bench.source or bench.origin, lambda payer, kind: bench.crossing()
    )
