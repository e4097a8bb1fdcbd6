"""Objects, versions, pages and spans: the words the whole cache is written in.

A page's identity is (bucket id, key, version, page number); nothing that may change without the bytes changing
(a mount, an endpoint, a credential) is part of it. Spans are half-open everywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, NewType, Protocol

KIB = 1024
MIB = 1024 * KIB
EXTENT_BYTES = 64 * MIB
"""Unit of ownership, of the file on disk and of the longest single WAN GET (design, section 2)."""
BLOCK_BYTES = 64 * KIB
"""Unit of the checksum on disk and of a frame between nodes; every page size is a multiple of it."""
STEP_BYTES = 256 * KIB
"""The most that is debited, handed to a reader, or held for a reply at once."""
PACKED_BYTES = 256 * KIB
"""Objects up to this size are packed into segments instead of having an extent file."""

Version = NewType("Version", str)
"""The origin's version token, opaque and exact; for S3 the ETag with its quotes."""


class ObjectId(NamedTuple):
    """One object of one bucket: `bucket` is the 16-byte bucket id, `key` the exact key.

    A named tuple: it is a key of the tables that every hit looks into, and hashes three times as fast as a dataclass.
    """

    bucket: bytes
    key: str


@dataclass(frozen=True, slots=True)
class Meta:
    """What is known of one version of an object.

    `headers` are the stored representation headers that a reply gives back unchanged, names in lower case
    (content-encoding, cache-control, x-amz-meta-*...). `learned_at` is seconds since the epoch, when the origin
    last said that this version is the newest; it survives a restart, ages are computed from it and never below 0.
    Not `settled` is what changed so lately that its version might not tell it from what comes next: it is not kept.
    """

    version: Version
    size: int
    etag: str
    last_modified: float
    content_type: str
    headers: tuple[tuple[str, str], ...] = field(default=())
    learned_at: float = 0.0
    settled: bool = True

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"an object cannot have {self.size} bytes")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Bytes or pages [start, end)."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"span [{self.start}, {self.end}) is not a span")

    def __len__(self) -> int:
        return self.end - self.start

    def within(self, other: "Span") -> "Span":
        """The part of this span that lies in `other`; empty at `other`'s nearer edge if there is none."""
        start = min(max(self.start, other.start), other.end)
        return Span(start, max(start, min(self.end, other.end)))


def cover(span: Span, page_bytes: int) -> Span:
    """Returns the pages that the byte span touches, as a span of page numbers; empty for an empty span."""
    if not len(span):
        return Span(span.start // page_bytes, span.start // page_bytes)
    return Span(span.start // page_bytes, -(-span.end // page_bytes))


def page_span(pages: Span, page_bytes: int, size: int) -> Span:
    """Returns the bytes of a run of pages of an object of `size` bytes."""
    return Span(min(pages.start * page_bytes, size), min(pages.end * page_bytes, size))


def by_extent(pages: Span, page_bytes: int) -> Iterator[tuple[int, Span]]:
    """Yields (extent number, pages of the run that lie in it), in order."""
    per_extent = EXTENT_BYTES // page_bytes
    at = pages.start
    while at < pages.end:
        extent = at // per_extent
        end = min(pages.end, (extent + 1) * per_extent)
        yield extent, Span(at, end)
        at = end


class Descriptor(Protocol):
    """An open file; it stays open as long as anybody has it."""

    @property
    def fd(self) -> int: ...


class FilePart(NamedTuple):
    """Checked bytes in memory, and where in an open file the same bytes lie: the kernel may send them from there.

    `view` is valid until the next part is asked for; `file` is None for bytes that lie nowhere but in memory. `head`
    goes before them, in the same chunk of a chunked reply; `last`, behind them, is a chunk of its own that ends it.
    """

    view: memoryview
    file: Descriptor | None
    offset: int
    head: bytes = b""
    last: bytes = b""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The range a reader asks for before the size is known: [start, end), `end` None = to the object's end.

    A suffix range has `suffix` bytes, then start and end mean nothing.
    """

    start: int = 0
    end: int | None = None
    suffix: int | None = None

    def of(self, size: int) -> Span | None:
        """The bytes meant in an object of `size` bytes, or None where the range lies outside it (416)."""
        if self.suffix is not None:
            return Span(max(0, size - self.suffix), size) if self.suffix and size else None
        if self.start == 0 and self.end is None:
            return Span(0, size)
        if self.start >= size:
            return None
        return Span(self.start, size if self.end is None else min(self.end, size))


WHOLE = Wanted()
