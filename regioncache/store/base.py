"""What the store is told (settings), what it tells (statistics), and what can go wrong in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from regioncache.errors import CacheError
from regioncache.pages import MIB
from regioncache.store.groups import Account, GroupUse

LAYOUT = 1
"""Version of everything on disk. A newer one is refused, an older or unreadable one dropped and counted."""
HEADER_BYTES = 16 * 1024
"""Before the first page of an extent file: identity, presence and notes, block checksums (design, section 6)."""
KEEP_FREE = 0.05
"""Share of each file system that the cache never grows into: full ones hurt others, and ext4 slows down above 95 %."""
KEY_LIMIT = 1024
"""Bytes of a key, as S3 has it; longer ones are not kept."""


class StoreError(CacheError):
    """Base of the store's faults."""


class WouldBlock(StoreError):
    """The kernel does not hold the bytes in memory: ask again with the awaiting form."""


class PageGone(StoreError):
    """The bytes are not, or no longer, in the store: fetch them."""


class CorruptPage(PageGone):
    """A checksum did not agree. The page is dropped and counted: fetch it again (it counts `refetch`)."""

    def __init__(self, message: str, page: int = 0) -> None:
        super().__init__(message)
        self.page = page


class NotKept(StoreError):
    """The disk took no more of a landing (full, or out): go on without keeping; nothing needs to be done to it."""


class LayoutTooNew(StoreError):
    """A cache path was written by a later version: start that one, or empty the path."""


class PathInUse(StoreError):
    """Another process holds the cache path: one process a path."""


class NoCachePath(StoreError):
    """A cache path cannot be used at all: mend its permissions or its file system."""


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Where the store lies and how much it may take."""

    paths: tuple[Path, ...]
    """Cache paths, one for each disk; extents are spread over them, each has its own threads."""
    size: int | float = 0.9
    """For each path: bytes (an int), or a share of its file system (a float up to 1). 5 % stays free in any case."""
    sizes: tuple[int | float | None, ...] = ()
    """By path, as `size` where it has one of its own; empty: none has."""
    tiers: tuple[int, ...] = ()
    """By path: 0 is the fastest, where new data land; what is worth it moves down and up. Empty: all are 0."""
    high: float = 1.0
    """Share of `size` above which eviction begins behind, so that what comes need not wait for it."""
    low: float = 1.0
    """Share of `size` down to which it goes on."""
    threads: int = 4
    """Threads of each path: a disk serves several reads at once, a dead one may hold only its own threads."""
    open_files: int = 512
    """Extent files kept open for each path (with up to 8 KiB of checksums each); below the usual limit of 1024."""
    segment_bytes: int = 256 * MIB
    """A segment of packed objects: large enough that a few thousand fill a disk, small enough to rewrite."""

    def __post_init__(self) -> None:
        if not self.paths:
            raise ValueError("the cache has no path; name at least one under cache: paths")
        for size in (self.size, *(size for size in self.sizes if size is not None)):
            if isinstance(size, float) and not 0 < size <= 1:
                raise ValueError(f"cache size {size} is no share of a disk; say 90% or a number of bytes")
            if size <= 0:
                raise ValueError(f"cache size {size} is too small; say 90% or a number of bytes")
        if not 0 < self.low <= self.high <= 1:
            raise ValueError(f"watermarks of {self.low} and {self.high} cannot be; 0 < low <= high <= 1")
        if not MIB <= self.segment_bytes < 1 << 31:
            raise ValueError(f"segments of {self.segment_bytes} bytes cannot be; 1 MiB to 2 GiB")

    def limit(self, disk_bytes: int, number: int = 0) -> int:
        """Returns how many bytes of path `number` may lie on its file system of `disk_bytes` (0: it is not known)."""
        own = self.sizes[number] if self.sizes else None
        size = self.size if own is None else own
        if isinstance(size, float):
            return int(size * disk_bytes)
        # What can never be there must not be promised: pins are measured by it.
        return min(size, int((1 - KEEP_FREE) * disk_bytes)) if disk_bytes else size

    def tier(self, number: int) -> int:
        """Returns the tier of path `number`."""
        return self.tiers[number] if self.tiers else 0


@dataclass(frozen=True, slots=True)
class PathStatistics:
    """One cache path. `uses` are reads that it served, `moved_bytes` what came to it from another tier."""

    path: str
    tier: int
    held_bytes: int
    limit_bytes: int
    uses: int
    moved_bytes: int = 0
    out: str = ""
    """Why it is out; empty while it is in use."""
    full: bool = False
    slow: bool = False
    """Whether it does not keep up with what it is asked: nothing is kept there meanwhile."""


REASONS = ("size", "quota", "ttl", "free", "unmounted")
"""Why entries leave: for room, for room within their quota, because their time is over, because somebody said so, and
because no mount shows them any more."""


@dataclass(frozen=True, slots=True)
class Freed:
    """What was dropped because somebody said so."""

    objects: int
    nbytes: int
    """On disk."""
    pinned_bytes: int
    """Of what was meant but is pinned, and stays."""
    paths_out: tuple[str, ...] = ()
    """Cache paths that are out: what they hold could not be looked at, and comes back with them."""


@dataclass(frozen=True, slots=True)
class StoreStatistics:
    """What the store holds and what happened to it since it was opened; all byte counts are bytes on disk."""

    clean_bytes: int
    dead_bytes: int
    """Packed bytes that nothing points to; they go when their segment is rewritten."""
    limit_bytes: int
    extents: int
    packed: int
    landings: int
    open_files: int
    evicted_bytes: int
    """All that left, but for what a newer version took the place of."""
    gone_bytes: Mapping[str, int]
    """The same by reason (`REASONS`); those that never occurred are missing."""
    pinned_bytes: int
    """Of the clean bytes."""
    groups: tuple[GroupUse, ...]
    """What is kept under which rules; the one without a name: under none."""
    accounts: tuple[Account, ...]
    """What is kept under each quota."""
    unlabelled: int
    """About how many entries are still to be looked at since the rules, mounts or pins changed."""
    corrupt_pages: int
    dropped_files: int
    """Files or records found unreadable, of an older layout or torn at the start."""
    unknown_files: int
    """Files in the cache's folders that are not the cache's; left alone."""
    paths_out: tuple[str, ...]
    """Cache paths taken out after an I/O error, each with its reason."""
    paths_full: int
    paths: tuple[PathStatistics, ...] = ()
