"""What leaves a cache path, and why: victims of eviction, a few hundred at a time, so that reads have the loop between.

Each byte that leaves is counted by its reason: `size`, `quota`, `ttl`, `free`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from regioncache.store.base import HEADER_BYTES
from regioncache.store.disk import Disk
from regioncache.store.evict import S3Fifo
from regioncache.store.extentfile import ExtentFile
from regioncache.store.index import Index, Kind
from regioncache.store.packs import Packs
from regioncache.store.space import Space
from regioncache.store.tiers import HIGH

_VICTIMS_AT_ONCE = 256
"""Most entries evicted without letting others have the loop: about a millisecond."""


@dataclass(slots=True)
class Doomed:
    """What is to be removed from the disk: the loop has forgotten it already. Holds the file open until then."""

    path: str
    file: ExtentFile | None


class Left(Protocol):
    """The cache path, as far as what leaves it goes."""

    disk: Disk
    index: Index
    fifo: S3Fifo
    packs: Packs
    space: Space
    limit_bytes: int

    def forget(self, slot: int) -> list[Doomed]: ...
    def hollow(self, slot: int) -> asyncio.Future[ExtentFile]: ...
    def remove(self, doomed: list[Doomed]) -> None: ...
    def unlink(self, doomed: list[Doomed]) -> None: ...
    def failed(self, error: OSError) -> None: ...
    async def looked_at(self, slots: list[int]) -> int: ...


class Leaving:
    """Mutable state: the bytes that left, by reason, and the eviction that runs behind."""

    def __init__(self, path: Left, high: float, low: float) -> None:
        """Args: high, low: shares of the path's size: above `high` eviction begins behind, and goes on to `low`."""
        self._path = path
        self._high = high
        self._low = low
        self._behind: asyncio.Task[None] | None = None
        self.gone_bytes = Counter[str]()
        self.moves_down: Callable[[], bool] = _stays
        """Whether what is too much is taken to a slower disk (`moving`), so that nothing need leave behind."""

    def __repr__(self) -> str:
        return f"Leaving({dict(self.gone_bytes)})"

    def watch(self, nbytes: int) -> None:
        """So much was let in: begins to evict behind, if it is time."""
        if self._behind is None and self._above(self._high) + nbytes > 0 and not self.moves_down():
            self._behind = asyncio.get_running_loop().create_task(self._lower())

    @property
    def mark(self) -> float:
        """To how many bytes the path is emptied ahead of need."""
        return min(HIGH, self._low) * self._path.limit_bytes

    async def close(self) -> None:
        """Ends what runs behind."""
        if self._behind is not None:
            self._behind.cancel()
            await asyncio.wait([self._behind])

    def _above(self, share: float) -> int:
        path = self._path
        return path.fifo.used + path.packs.dead_bytes - int(share * path.limit_bytes)

    async def _lower(self) -> None:
        try:
            while self._path.disk.out is None and (short := self._above(self._low)) > 0 and await self.some(short):
                pass
        finally:
            self._behind = None

    async def some(self, short: int, within: Sequence[int] | None = None, why: str = "size") -> bool:
        """Evicts for `short` bytes, or as many entries as the loop can bear at once; False where none could leave.

        Args:
            within: only of these groups.
        """
        path, fifo = self._path, self._path.fifo
        doomed: list[Doomed] = []
        enough, entries = fifo.used - short, 0
        unlabelled: list[int] = []
        while entries < _VICTIMS_AT_ONCE and fifo.used > enough:
            slot = fifo.evict(path.limit_bytes, path.index.keys, within)
            if slot is None:
                unlabelled = fifo.unlabelled
                break
            self._evict(slot, doomed, why)
            entries += 1
        if doomed:
            try:
                await path.disk.append(path.unlink, doomed)
            except OSError as error:
                path.failed(error)
            path.space.removed()
        # Packed bytes are not free before their segment is rewritten.
        await path.packs.rewritten()
        # What may be pinned by now is looked at before it leaves.
        looked = await path.looked_at(unlabelled) if unlabelled else 0
        return entries + looked > 0

    def one(self, slot: int, why: str = "size") -> None:
        """What has left the queues leaves the disk, behind."""
        doomed: list[Doomed] = []
        self._evict(slot, doomed, why)
        self._path.remove(doomed)
        self._path.space.removed()

    def _evict(self, slot: int, doomed: list[Doomed], why: str) -> None:
        path, index = self._path, self._path.index
        weight = index.links.weight[slot]
        if weight > HEADER_BYTES and index.has_tails(slot):
            # The head keeps its header: without it the other extents could not be read while the origin is away.
            path.fifo.readmit(slot, HEADER_BYTES, index.label(slot).group)
            self._hollow(slot, weight, why)
            return
        self.gone_bytes[why] += weight
        doomed.extend(path.forget(slot))

    def hollow(self, slot: int, why: str) -> None:
        """Lets an extent that has its place give up its pages, and keep its header."""
        weight = self._path.index.links.weight[slot]
        self._path.fifo.reweigh(slot, HEADER_BYTES)
        self._hollow(slot, weight, why)

    def _hollow(self, slot: int, weight: int, why: str) -> None:
        self.gone_bytes[why] += weight - HEADER_BYTES
        self._path.hollow(slot).add_done_callback(self._hollowed(slot, weight, why))

    def _hollowed(self, slot: int, weight: int, why: str) -> "Callable[[asyncio.Future[ExtentFile]], None]":
        path, index, generation = self._path, self._path.index, self._path.index.place[slot]

        def hollowed(done: asyncio.Future[ExtentFile]) -> None:
            same = index.kinds[slot] == Kind.HEAD and index.place[slot] == generation
            if same and not done.cancelled() and done.exception() is not None and not index.present[slot]:
                # It lies there as before, and leaves when it is its turn again.
                path.fifo.reweigh(slot, weight)
                self.gone_bytes[why] -= weight - HEADER_BYTES

        return hollowed


def _stays() -> bool:
    return False
