"""One region's cache with nothing around it: a real store, real flights and a real ledger over a fake origin.

Time is a fake clock's, for the ages of what is known; tasks run on the real loop.
"""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from namespace.model import Bucket, Endpoint, Endpoints, Mount
from namespace.resolver import Place
from namespace.routes import Way
from policy.model import LinePolicy
from regioncache.app import CacheApp, CacheAppSettings
from regioncache.asked import Asked
from regioncache.errors import CacheError
from regioncache.isolation import Bounds
from regioncache.ledger import Ledger
from regioncache.lines.line import Line
from regioncache.opened import Opened, Terms
from regioncache.origins.base import Payer, Source
from regioncache.pages import MIB, WHOLE, ObjectId, Span, Version, Wanted
from regioncache.sources import Route, RouteBuilder, way_id
from regioncache.store.base import StoreSettings
from regioncache.store.disk import SystemCalls
from regioncache.store.store import Store
from tests.fakes.clock import FakeClock
from tests.fakes.faulty import Faulty
from tests.fakes.origin import FakeObject, FakeOrigin

HOME = "idc-bj"
LINE = "bj-use1"
PAYER = Payer("rec")
TERMS = Terms()


@dataclass(frozen=True, slots=True)
class Patient(Terms):
    """A reader who would rather hang than have what is cached."""

    @property
    def hold_seconds(self) -> float:
        return 1000.0


def bucket(page: int = MIB) -> Bucket:
    """The one bucket of these tests."""
    return Bucket.model_construct(
        name="data",
        provider="s3",
        bucket="bucket1",
        region=HOME,
        page=page,
        endpoints=Endpoints.model_construct(internal=endpoint("http://origin")),
    )


def endpoint(url: str) -> Endpoint:
    return Endpoint.model_construct(url=url, scope="internal")


@dataclass(slots=True)
class Region:
    """A region's cache. `origins` are its ways in order of preference, each with its faults; all have one bucket."""

    app: CacheApp
    clock: FakeClock
    ways: tuple[Way, ...]
    origins: list[FakeOrigin]
    faulty: list[Faulty]
    page: int = MIB
    faults: list[BaseException] = field(default_factory=list)

    @property
    def origin(self) -> FakeOrigin:
        """The first way."""
        return self.origins[0]

    def put(self, key: str, size: int, shift: int = 0, **more: object) -> FakeObject:
        """Stores (or overwrites) an object at the origin; one second passes, so that it is newer than what is known."""
        self.clock.advance(1)
        return self.origin.put(key, size, shift, **more)

    def place(self, key: str) -> Place:
        mount = Mount.model_construct(path="/ns/data", bucket="data", prefix="")
        return Place(f"/ns/data/{key}", mount, bucket(self.page), key, self.ways)

    def asked(self, key: str, wanted: Wanted = WHOLE, payer: Payer = PAYER, terms: Terms = TERMS) -> Asked:
        return Asked(self.place(key), wanted, payer, terms)

    async def open(self, key: str, start: int = 0, end: int | None = None, **more: object) -> Opened:
        """Opens bytes [start, end) of a key, the way a door does: at a glance if that is enough."""
        asked = self.asked(key, Wanted(start, end) if (start, end) != (0, None) else WHOLE, **more)  # type: ignore[arg-type]
        return self.app.cache.glance(asked) or await self.app.cache.open(asked)

    async def read(self, key: str, start: int = 0, end: int | None = None, **more: object) -> bytes:
        """Reads bytes [start, end) of a key to their end."""
        return await drained(await self.open(key, start, end, **more))

    async def stat(self, key: str, **more: object) -> Opened:
        return await self.app.cache.stat(self.asked(key, **more))  # type: ignore[arg-type]

    async def refresh(self, key: str) -> None:
        await self.app.cache.refresh(self.asked(key))

    def kinds(self) -> dict[str, int]:
        """What the ledger counted, by kind."""
        kinds: Counter[str] = Counter()
        for entry, nbytes in self.app.ledger.totals().items():
            kinds[entry.kind] += nbytes
        return dict(kinds)


async def ended(cache: Region) -> None:
    """Waits until every flight has landed for good."""
    while flights := list(cache.app.flights):
        await flights[0].change()


def held(cache: Region, key: str, pages: Span) -> list[Span]:
    """The runs of pages on disk."""
    asked = cache.asked(key)
    version = Version(cache.origin.bucket.find(key).etag)
    return cache.app.store.present(ObjectId(*asked.oid), version, cache.page, pages)


async def drained(opened: Opened) -> bytes:
    """All bytes of an opened read; whatever happens, it is closed."""
    parts: list[bytes] = []
    try:
        async for piece in opened.stream():
            assert len(piece) <= 256 * 1024
            parts.append(bytes(piece))
    finally:
        opened.close()
    return b"".join(parts)


async def cut_short(opened: Opened) -> tuple[bytes, CacheError]:
    """What came of an opened read before its fault, and the fault; raises AssertionError where there is none."""
    got = bytearray()
    try:
        async for piece in opened.stream():
            got += piece
    except CacheError as fault:
        return bytes(got), fault
    raise AssertionError(f"all {len(got)} bytes came")


@contextlib.asynccontextmanager
async def region(
    folder: Path,
    *,
    clock: FakeClock | None = None,
    origin: FakeOrigin | None = None,
    ways: int = 1,
    line: bool = False,
    page: int = MIB,
    size: int = 1 << 32,
    memory: int = 256 * MIB,
    calls: SystemCalls | None = None,
    bounds: Bounds | None = None,
) -> AsyncIterator[Region]:
    """A region's cache in `folder`; opened again there, it finds what it kept."""
    clock = clock or FakeClock()
    first = origin or FakeOrigin(wall=clock.time)
    origins = [first, *(FakeOrigin(first.bucket, f"fake{n}", wall=clock.time) for n in range(1, ways))]
    faulty = [Faulty(each) for each in origins]
    made = tuple(Way("endpoint", HOME, (), endpoint(f"http://{each.name}"), LINE if line else None) for each in origins)
    faults: list[BaseException] = []
    settings = CacheAppSettings(
        "aws-use1", (folder,), size, memory, lambda _: "s", faults.append, clock=clock, wall=clock.time, bounds=bounds
    )
    app = await _app(settings, folder, dict(zip(made, faulty, strict=True)), calls)
    running = Region(app, clock, made, origins, faulty, page, faults)
    try:
        yield running
    finally:
        await app.stop()
    assert not faults, faults
    assert not app.flights.statistics().flying


async def _app(
    settings: CacheAppSettings, folder: Path, sources: dict[Way, Faulty], calls: SystemCalls | None
) -> CacheApp:
    folder.mkdir(parents=True, exist_ok=True)
    store = await Store.open(StoreSettings((folder,), settings.size), calls)
    ledger = Ledger.open(folder / "ledger", settings.wall)
    # Every byte is accounted as on a line, whether the way has one or not, so that the ledger tells its kind.
    account = Line(LINE, f"{HOME}>aws-use1", LinePolicy.of_capacity(1e9), ledger, limited=False)
    return CacheApp.over(settings, store, ledger, _routes(account, sources))


def _routes(account: Line, sources: dict[Way, Faulty]) -> RouteBuilder:
    def build(place: Place, way: Way) -> Route:
        source: Source = sources[way]
        return Route(
            way_id(place.bucket.name, way),
            "line" if way.line else "origin",
            way.line,
            source,
            lambda payer, kind: account.crossing(payer, place.bucket.name, kind),
        )

    return build


def validated(terms: Terms = TERMS) -> Terms:
    """The terms of a mount that asks each time."""
    return replace(terms, fresh_seconds=0.0)
