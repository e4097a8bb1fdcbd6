"""An origin in memory that counts requests, spans and bytes. Objects are ramps computed on the fly: 100 GB is cheap.

`FakeOrigin` is a `regioncache.origins.base.Source`; it tells its crossing what a real source tells, in the same order.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from regioncache.errors import NoSuchObject, RangeOutside, VersionChanged
from regioncache.lines.base import Crossing
from regioncache.origins.base import Hops, ListAsk, Listed, ListPage, Part, Payer, Question, Reading, Want
from regioncache.pages import Meta, Span, Version
from tests.fakes.ramp import ramp, ramp_view

LEARNED = 1_700_000_000.0


@dataclass(frozen=True, slots=True)
class FakeObject:
    """One version of one object: `size` bytes of the ramp moved by `shift`, or exactly `body`."""

    size: int
    shift: int = 0
    body: bytes | None = None
    revision: int = 1
    content_type: str = "application/octet-stream"
    headers: tuple[tuple[str, str], ...] = ()
    last_modified: float = 1_600_000_000.0
    tag: str = ""
    """The ETag with its quotes, where a test wants a certain one."""
    parts: tuple[int, ...] = ()
    """The sizes of the parts it was uploaded in, none for an object that was uploaded whole."""
    checksums: tuple[tuple[str, str], ...] = ()
    """Told only to who asks for them."""

    @property
    def etag(self) -> str:
        """A quoted tag that differs between versions; of an object in parts as S3 writes it."""
        if self.parts:
            return f'"{self.revision:08x}{self.shift:08x}{self.size:016x}-{len(self.parts)}"'
        return self.tag or f'"{self.revision:08x}{self.shift:04x}{self.size:016x}"'

    def bytes_at(self, start: int, end: int) -> bytes | memoryview:
        """The bytes [start, end), at most 4 MiB of them."""
        return ramp_view(start, end, self.shift) if self.body is None else memoryview(self.body)[start:end]

    def part(self, number: int) -> Part:
        """Where part `number`, from 1, lies."""
        start = sum(self.parts[: number - 1])
        return Part(Span(start, start + self.parts[number - 1]), len(self.parts))

    def whole(self) -> bytes:
        """All bytes; for objects that fit into memory."""
        return ramp(0, self.size, self.shift) if self.body is None else self.body

    def meta(self, learned_at: float = LEARNED) -> Meta:
        """What the cache should know of it."""
        return Meta(
            version=Version(self.etag),
            size=self.size,
            etag=self.etag,
            last_modified=self.last_modified,
            content_type=self.content_type,
            headers=self.headers,
            learned_at=learned_at,
        )


@dataclass(slots=True)
class Bucket:
    """Keys and their newest versions, shared by the fake origin and the fake S3 server."""

    objects: dict[str, FakeObject] = field(default_factory=dict)
    revisions: Iterator[int] = field(default_factory=lambda: iter(range(1, 1 << 31)))

    def put(self, key: str, size: int, shift: int = 0, **more: Any) -> FakeObject:
        """Stores (or overwrites) a ramp object and returns it; its ETag is a new one."""
        made = replace(FakeObject(size, shift, revision=next(self.revisions)), **more)
        self.objects[key] = made
        return made

    def put_bytes(self, key: str, body: bytes, **more: Any) -> FakeObject:
        """Stores exact bytes."""
        return self.put(key, len(body), body=body, **more)

    def remove(self, key: str) -> None:
        """Deletes a key."""
        del self.objects[key]

    def find(self, key: str) -> FakeObject:
        """Raises NoSuchObject where the key is unknown."""
        if key not in self.objects:
            raise NoSuchObject(f"no object {key!r} at the fake origin")
        return self.objects[key]

    def list(self, ask: ListAsk) -> ListPage:
        """Lists in the order of the keys' UTF-8 bytes, as S3 does."""
        entries: list[Listed] = []
        prefixes: list[str] = []
        last = ""
        for key in sorted(self.objects, key=str.encode):
            if not key.startswith(ask.prefix) or key.encode() <= ask.after.encode():
                continue
            rolled = _rolled(key, ask)
            if rolled is not None and (rolled in prefixes or rolled.encode() <= ask.after.encode()):
                continue
            if len(entries) + len(prefixes) == ask.limit:
                return ListPage(tuple(entries), tuple(prefixes), next_after=last)
            last = rolled if rolled is not None else key
            if rolled is not None:
                prefixes.append(rolled)
                continue
            found = self.objects[key]
            entries.append(Listed(key, found.size, found.etag, found.last_modified))
        return ListPage(tuple(entries), tuple(prefixes))


def _rolled(key: str, ask: ListAsk) -> str | None:
    """The common prefix that stands for `key` in the list, or None where the key stands for itself."""
    at = key.find(ask.delimiter, len(ask.prefix)) if ask.delimiter else -1
    return None if at < 0 else key[: at + len(ask.delimiter)]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that reached the origin. `operation` is read, head or list; `key` a list's prefix."""

    operation: str
    key: str
    span: Span | None = None
    version: Version | None = None
    payer: Payer | None = None
    hops: Hops = ()


class FakeOrigin:
    """A counting source over a bucket in memory. `piece` bounds what one `receive` gives, as a socket would."""

    def __init__(
        self,
        bucket: Bucket | None = None,
        name: str = "fake",
        piece: int = 64 * 1024,
        wall: Callable[[], float] = lambda: LEARNED,
    ) -> None:
        """`wall` tells when what is answered was learned, in seconds since the epoch."""
        self.bucket = bucket or Bucket()
        self.name = name
        self.piece = piece
        self.wall = wall
        self.asked: list[Asked] = []
        self.bytes_sent: Counter[str] = Counter()
        self.open_readings = 0
        self.giving = 0
        """Readings that have something left to give: of the others, the reader may still be writing the last bytes."""

    def put(self, key: str, size: int, shift: int = 0, **more: Any) -> FakeObject:
        """Stores (or overwrites) a ramp object."""
        return self.bucket.put(key, size, shift, **more)

    @property
    def total_bytes(self) -> int:
        """Payload handed out so far, over all keys."""
        return self.bytes_sent.total()

    def spans(self, key: str) -> list[Span]:
        """What was asked of `key`, in order."""
        return [asked.span for asked in self.asked if asked.key == key and asked.span is not None]

    def count(self, operation: str, key: str | None = None) -> int:
        """How many requests of a kind came."""
        return sum(asked.operation == operation and key in (None, asked.key) for asked in self.asked)

    async def read(self, want: Want, crossing: Crossing) -> Reading:
        """As Source.read: one ranged GET, conditional where a version is wanted."""
        await crossing.prepay(len(want.span), crossing.buffer_wanted(len(want.span)))
        self.asked.append(Asked("read", want.key, want.span, want.version, want.payer, want.hops))
        try:
            found = self.bucket.find(want.key)
            if want.version is not None and want.version != found.etag:
                raise VersionChanged(f"{want.key!r} is {found.etag} now, not {want.version}")
            if want.span.start >= found.size:
                raise RangeOutside(found.size)
        except BaseException:
            crossing.learned(0)
            crossing.close()
            raise
        span = Span(want.span.start, min(want.span.end, found.size))
        crossing.learned(len(span))
        return FakeReading(self, want.key, found, span, crossing)

    async def head(self, question: Question, crossing: Crossing) -> Meta:
        """As Source.head."""
        await crossing.prepay(0, 0)
        self.asked.append(Asked("head", question.key, payer=question.payer))
        crossing.close()
        found = self.bucket.find(question.key)
        meta = found.meta(self.wall())
        return replace(meta, headers=meta.headers + found.checksums) if question.checksums else meta

    async def part(self, question: Question, number: int, version: Version, crossing: Crossing) -> Part:
        """As PartSource.part."""
        await crossing.prepay(0, 0)
        self.asked.append(Asked("part", question.key, version=version, payer=question.payer))
        crossing.close()
        found = self.bucket.find(question.key)
        if found.etag != version:
            raise VersionChanged(f"{question.key!r} is {found.etag} now, not {version}")
        if number > len(found.parts):
            raise RangeOutside(found.size)
        return found.part(number)

    async def list(self, ask: ListAsk, question: Question, crossing: Crossing) -> ListPage:
        """As Source.list."""
        await crossing.prepay(0, 0)
        self.asked.append(Asked("list", ask.prefix, payer=question.payer))
        crossing.close()
        return self.bucket.list(ask)


class FakeReading:
    """A reply under way."""

    def __init__(self, origin: FakeOrigin, key: str, found: FakeObject, span: Span, crossing: Crossing) -> None:
        self.meta = found.meta(origin.wall())
        self.span = span
        self._origin, self._key, self._found, self._crossing = origin, key, found, crossing
        self._at = span.start
        self._open = self._gives = True
        origin.open_readings += 1
        origin.giving += 1

    async def receive(self, into: memoryview) -> int:
        """Gives the next bytes, at most `piece` of them, once the crossing has room."""
        most = min(len(into), self.span.end - self._at, self._origin.piece)
        if not most or not self._open:
            return 0
        n = min(most, await self._crossing.room(most))
        into[:n] = self._found.bytes_at(self._at, self._at + n)
        self._at += n
        self._origin.bytes_sent[self._key] += n
        self._crossing.read(n)
        if self._at == self.span.end:
            self._gives_no_more()
        return n

    def _gives_no_more(self) -> None:
        self._origin.giving -= self._gives
        self._gives = False

    def close(self) -> None:
        """Tells the crossing, once."""
        if self._open:
            self._open = False
            self._gives_no_more()
            self._origin.open_readings -= 1
            self._crossing.close()
