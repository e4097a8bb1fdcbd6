"""Paths in memory behind a door: real `Opened` values, counted calls, faults on demand.

`hot` objects of at most 256 KiB are at hand in `open_now`, as if the kernel had them; everything else takes `open`.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable
from dataclasses import dataclass, field

from gateway.s3.base import Caller, ListPath
from regioncache.errors import NoSuchObject, NoSuchPart, RangeOutside
from regioncache.opened import Opened, Waited
from regioncache.origins.base import Listed, ListPage, Part
from regioncache.pages import STEP_BYTES, Span, Wanted
from tests.fakes.origin import FakeObject


@dataclass(slots=True)
class FakeOpened(Opened):
    """A read of a fake object; `closed` counts calls of `close`. The stream fails at `breaks_at`, if that is set."""

    found: FakeObject | None = None
    closed: int = 0
    breaks_at: int | None = None

    async def stream(self) -> AsyncGenerator[memoryview, None]:
        """Yields the span in pieces of 256 KiB."""
        assert self.found is not None
        at = self.span.start
        while at < self.span.end:
            if self.breaks_at is not None and at >= self.breaks_at:
                raise ConnectionError("the origin went away in mid-stream")
            end = min(at + STEP_BYTES, self.span.end)
            piece = self.found.bytes_at(at, end)
            yield memoryview(piece)
            at = end

    def pull(self) -> None:
        """Nothing is at hand: all comes by the stream."""

    def close(self) -> None:
        """Counts."""
        self.closed += 1


@dataclass(slots=True)
class FakeFiles:
    """Paths and their objects. `calls` counts by method; `opened` are all reads given out, in order."""

    objects: dict[str, FakeObject] = field(default_factory=dict)
    hot: bool = True
    faults: dict[str, Exception] = field(default_factory=dict)
    source: str = "page"
    waited: Waited | None = None
    stale_seconds: float | None = None
    breaks_at: int | None = None
    calls: Counter[str] = field(default_factory=Counter)
    callers: list[Caller] = field(default_factory=list)
    opened: list[FakeOpened] = field(default_factory=list)
    gate: Awaitable[None] | None = None
    """What `open` waits for first."""

    def put(self, path: str, size: int = 0, **more: object) -> FakeObject:
        """Stores a ramp of `size` bytes, or what `body` holds."""
        body = more.get("body")
        made = FakeObject(len(body) if isinstance(body, bytes) else size, **more)  # type: ignore[arg-type]
        self.objects[path] = made
        return made

    def open_now(self, caller: Caller, path: str, wanted: Wanted) -> Opened | None:
        """Answers for hot objects only."""
        self.calls["open_now"] += 1
        if not self.hot or path not in self.objects or path in self.faults:
            return None
        found = self._find(caller, path)
        span = _span(found, wanted)
        return self._open(found, span, "page") if len(span) <= STEP_BYTES else None

    async def open(self, caller: Caller, path: str, wanted: Wanted) -> Opened:
        """Opens any object."""
        self.calls["open"] += 1
        if self.gate is not None:
            await self.gate
        found = self._find(caller, path)
        return self._open(found, _span(found, wanted), self.source)

    async def part(self, caller: Caller, path: str, number: int, *, newest: bool = False) -> tuple[Opened, Part | None]:
        """Metadata, and where a part lies of what was stored in parts."""
        self.calls["part newest" if newest else "part"] += 1
        found = self._find(caller, path)
        if number > (len(found.parts) or 1):
            raise NoSuchPart("no such part", found.size)
        opened = Opened(found.meta(), Span(0, 0), self.source, self.waited, self.stale_seconds)
        return opened, found.part(number) if found.parts else None

    async def stat(self, caller: Caller, path: str, *, newest: bool = False, checksums: bool = False) -> Opened:
        """Metadata alone."""
        self.calls["stat newest" if newest else "stat checksums" if checksums else "stat"] += 1
        found = self._find(caller, path)
        return Opened(found.meta(), Span(0, 0), self.source, self.waited, self.stale_seconds)

    async def list(self, caller: Caller, ask: ListPath) -> ListPage:
        """A plain walk over all paths, showing what the key may see."""
        self.calls["list"] += 1
        if ask.prefix in self.faults:
            raise self.faults[ask.prefix]
        names = sorted({_rolled(path, ask): path for path in self.objects if path.startswith(ask.prefix)}.items())
        names = [(name, path) for name, path in names if name > ask.after and caller.key.may_show(name)]
        shown = names[: ask.limit]
        entries = tuple(self._listed(name) for name, path in shown if name == path)
        prefixes = tuple(name for name, path in shown if name != path)
        return ListPage(entries, prefixes, shown[-1][0] if len(names) > len(shown) else None)

    def _find(self, caller: Caller, path: str) -> FakeObject:
        self.callers.append(caller)
        if path in self.faults:
            raise self.faults[path]
        if path not in self.objects:
            raise NoSuchObject(f"{path!r} is no object")
        return self.objects[path]

    def _open(self, found: FakeObject, span: Span, source: str) -> FakeOpened:
        whole = memoryview(found.bytes_at(span.start, span.end)) if len(span) <= STEP_BYTES else None
        opened = FakeOpened(
            found.meta(), span, source, self.waited, self.stale_seconds, whole, found=found, breaks_at=self.breaks_at
        )
        self.opened.append(opened)
        return opened

    def _listed(self, path: str) -> Listed:
        found = self.objects[path]
        return Listed(path, found.size, found.etag, found.last_modified)


def _span(found: FakeObject, wanted: Wanted) -> Span:
    span = wanted.of(found.size)
    if span is None:
        raise RangeOutside(found.size)
    return span


def _rolled(path: str, ask: ListPath) -> str:
    """The path itself, or the prefix it is rolled up into."""
    at = path.find(ask.delimiter, len(ask.prefix)) if ask.delimiter else -1
    return path if at < 0 else path[: at + len(ask.delimiter)]
