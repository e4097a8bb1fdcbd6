"""What a flight reads from: a bucket's endpoint or a far region's node, behind one small protocol.

A source is asked for a span of an object and says, before the first byte, which version it sends, how long the object
is and which bytes follow. The bytes are pulled, so that the reader (the line's debits) decides when each one is read.
"""

from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, runtime_checkable

from regioncache.lines.base import Crossing
from regioncache.pages import Meta, Span, Version
from regioncache.tracing import Passage, Trail

DIGITS = 18
"""Of a number in an answer: no object is as long as 10^18 bytes, and `int` refuses what is much longer."""
_LAST_DATE = 253_402_300_799.0
"""The end of the year 9999: later than HTTP and S3 can say."""


def sayable(at: float) -> float:
    """Returns a time, seconds since the epoch, within what dates can say: objects may bear any time."""
    return min(max(0.0, at), _LAST_DATE)


Hops = tuple[str, ...]
"""The regions that a question has come over, the reader's first; empty for one of this region."""


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays for bytes on a line and how urgent they are; if the read is traced, the stretch that asks."""

    tenant: str
    cls: str = "training"
    trail: Trail | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Want:
    """A ranged read: `key` of the source's bucket, the version it must have (None: whichever is newest), the bytes."""

    key: str
    version: Version | None
    span: Span
    payer: Payer
    hops: Hops = ()
    fresh_seconds: float = 0.0
    """How old an answer about the newest version may be, where a cache answers and `version` is None."""


@dataclass(frozen=True, slots=True)
class Question:
    """Asks about the newest version of `key`, or for a list: who pays, over which regions it came, how fresh."""

    key: str
    payer: Payer
    hops: Hops = ()
    fresh_seconds: float = 0.0
    checksums: bool = False
    """Whether the answer shall tell the checksums that the object was stored with; who knows none tells none."""

    def by(self, passage: Passage | None) -> "Question":
        """The same question, asked in the name of a traced stretch."""
        return self if passage is None else replace(self, payer=replace(self.payer, trail=passage.far))


MOST_PARTS = 10_000
"""An object has no more (S3 user guide, multipart upload limits)."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part that an object was uploaded in: its bytes, and how many parts there are."""

    span: Span
    count: int


class Reading(Protocol):
    """A reply under way. `span` is what will come: never outside what was wanted, shorter at the object's end."""

    meta: Meta
    span: Span

    async def receive(self, into: memoryview) -> int:
        """Reads up to len(into) bytes in order, 0 at the end of the span; raises `OriginUnavailable` when cut short."""
        ...

    def close(self) -> None:
        """Gives the connection back if the reply was read whole, else closes it. Safe to call twice."""
        ...


@dataclass(frozen=True, slots=True)
class ListAsk:
    """A list of keys in order: those with `prefix`, strictly after `after`, rolled up at `delimiter`."""

    prefix: str = ""
    after: str = ""
    delimiter: str = ""
    limit: int = 1000


class Listed(NamedTuple):
    """One key of a list. A named tuple: a list of 100,000 makes as many, and they are made three times as fast."""

    key: str
    size: int
    etag: str
    last_modified: float
    storage_class: str = "STANDARD"


@dataclass(frozen=True, slots=True)
class ListPage:
    """Keys and rolled-up prefixes in key order; `next_after` is None at the end, else where the next page goes on."""

    entries: tuple[Listed, ...] = ()
    prefixes: tuple[str, ...] = ()
    next_after: str | None = None
    age: float = field(default=0.0)
    """Seconds since the origin said so; ages add up over hops."""


class Source(Protocol):
    """One way to a bucket's bytes."""

    @property
    def name(self) -> str:
        """What it is called in faults and in `explain`."""
        ...

    async def read(self, want: Want, crossing: Crossing) -> Reading:
        """Opens a ranged read; the crossing is told what is asked, what comes and what is read.

        Raises: NoSuchObject (KeyRefused where there can be none), OriginForbids, VersionChanged (If-Match failed),
        RangeOutside (the object's size where known), OriginUnavailable (no answer, 5xx, reset), SlowDown (503 with
        Retry-After), BadAnswer.
        """
        ...

    async def head(self, question: Question, crossing: Crossing) -> Meta:
        """Asks for the newest version. Raises as `read`."""
        ...

    async def list(self, ask: ListAsk, question: Question, crossing: Crossing) -> ListPage:
        """Lists up to `ask.limit` keys and prefixes; the question's key means nothing. Raises as `read`."""
        ...


@runtime_checkable
class PartSource(Protocol):
    """A source that can tell where the parts of an object lie, besides what every source can."""

    async def part(self, question: Question, number: int, version: Version, crossing: Crossing) -> Part:
        """Asks for part `number`, from 1, of this version.

        Raises: as `Source.read`; RangeOutside where there is no such part, NotSupported where the store tells none.
        """
        ...
