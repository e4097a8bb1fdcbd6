"""S3-FIFO weighted by bytes: which entry leaves first. It knows slots and bytes, no files and no clock.

New entries pass through a small queue (a tenth of the bytes); those asked for again there move to the main queue,
the others leave and are remembered for a while as ghosts, which enter the main queue when they come back
(Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023).
"""

from array import array
from collections import deque
from collections.abc import Iterable

NIL = 0xFFFFFFFF
SMALL_SHARE = 0.1
MOST_HITS = 3
EPOCH_TOUCHES = 4096
"""Touches of one entry within this many touches count once: reading an extent step by step is one use of it."""
_NOWHERE, _SMALL, _MAIN = 0, 1, 2


class Links:
    """The queues' links and weights by slot, in arrays (18 bytes a slot), shared by the queues of all paths."""

    __slots__ = ("after", "before", "hits", "queue", "stamp", "weight")

    def __init__(self) -> None:
        self.before = array("I")
        self.after = array("I")
        self.weight = array("I")
        self.hits = bytearray()
        self.queue = bytearray()
        self.stamp = array("H")

    def grow(self, count: int = 1) -> None:
        """Adds room for `count` more slots."""
        self.before.frombytes(b"\xff" * 4 * count)
        self.after.frombytes(b"\xff" * 4 * count)
        self.weight.frombytes(bytes(4 * count))
        self.hits.extend(bytes(count))
        self.queue.extend(bytes(count))
        self.stamp.frombytes(bytes(2 * count))


class _Queue:
    """A first-in first-out list through the links, from which any slot can be taken."""

    __slots__ = ("_links", "count", "first", "last", "nbytes")

    def __init__(self, links: Links) -> None:
        self._links = links
        self.first = NIL
        self.last = NIL
        self.count = 0
        self.nbytes = 0

    def push(self, slot: int) -> None:
        links = self._links
        links.before[slot] = self.last
        links.after[slot] = NIL
        if self.last == NIL:
            self.first = slot
        else:
            links.after[self.last] = slot
        self.last = slot
        self.count += 1
        self.nbytes += links.weight[slot]

    def take(self, slot: int) -> None:
        links = self._links
        before, after = links.before[slot], links.after[slot]
        if before == NIL:
            self.first = after
        else:
            links.after[before] = after
        if after == NIL:
            self.last = before
        else:
            links.before[after] = before
        self.count -= 1
        self.nbytes -= links.weight[slot]


class _Ghosts:
    """Fingerprints of what left the small queue, the oldest forgotten first."""

    __slots__ = ("_known", "_order")

    def __init__(self) -> None:
        self._order: deque[int] = deque()
        self._known: set[int] = set()

    def add(self, fingerprint: int, limit: int) -> None:
        if fingerprint not in self._known:
            self._known.add(fingerprint)
            self._order.append(fingerprint)
        while len(self._order) > limit:
            self._known.discard(self._order.popleft())

    def __contains__(self, fingerprint: int) -> bool:
        return fingerprint in self._known


class S3Fifo:
    """The entries of one path. Weights are bytes on disk; `held` slots are never victims."""

    __slots__ = ("_epoch", "_ghosts", "_held", "_links", "_main", "_small", "_touches")

    def __init__(self, links: Links) -> None:
        self._links = links
        self._small = _Queue(links)
        self._main = _Queue(links)
        self._ghosts = _Ghosts()
        self._held: dict[int, int] = {}
        self._touches = 0
        self._epoch = 0

    def __len__(self) -> int:
        return self._small.count + self._main.count

    def __repr__(self) -> str:
        return f"S3Fifo({self._small.count} small, {self._main.count} main, {len(self._held)} held, {self.used} bytes)"

    @property
    def used(self) -> int:
        """Bytes of all entries."""
        return self._small.nbytes + self._main.nbytes

    def admit(self, slot: int, weight: int, fingerprint: int) -> None:
        """A new entry of `weight` bytes comes in; what left the small queue not long ago goes to the main one."""
        self._place(slot, weight, _MAIN if fingerprint & 0xFFFFFFFFFFFFFFF in self._ghosts else _SMALL)

    def readmit(self, slot: int, weight: int) -> None:
        """An entry that had its place before (before a restart, or at another size) goes to the main queue."""
        self._place(slot, weight, _MAIN)

    def touch(self, slot: int) -> None:
        """The entry was read."""
        self._touches += 1
        if self._touches >= EPOCH_TOUCHES:
            self._touches = 0
            self._epoch = (self._epoch + 1) & 0xFFFF
        links = self._links
        if links.stamp[slot] != self._epoch:
            links.stamp[slot] = self._epoch
            if links.hits[slot] < MOST_HITS:
                links.hits[slot] += 1

    def reweigh(self, slot: int, weight: int) -> None:
        """The entry's bytes on disk changed."""
        self._queue_of(slot).nbytes += weight - self._links.weight[slot]
        self._links.weight[slot] = weight

    def remove(self, slot: int) -> None:
        """The entry is gone for another reason than room; one that has no place yet is let be."""
        if self._links.queue[slot] == _NOWHERE:
            return
        self._queue_of(slot).take(slot)
        self._links.queue[slot] = _NOWHERE
        self._held.pop(slot, None)

    def hold(self, slot: int) -> None:
        """The entry may not leave until as many `release`s as `hold`s."""
        self._held[slot] = self._held.get(slot, 0) + 1

    def release(self, slot: int) -> None:
        """Takes one `hold` back."""
        holds = self._held.pop(slot) - 1
        if holds:
            self._held[slot] = holds

    def held(self) -> Iterable[int]:
        """The slots that may not leave now."""
        return self._held

    def evict(self, capacity: int, fingerprints: list[int]) -> int | None:
        """Takes out and returns the entry that leaves first, or None where all are held.

        Args:
            capacity: bytes that the entries may have, for the small queue's share.
            fingerprints: by slot; what ghosts are known by.
        """
        # Each entry is looked at once per hit it has, and once more: held ones must not keep the search going.
        for _ in range((MOST_HITS + 2) * len(self) + 1):
            small = self._small.count and (self._small.nbytes > capacity * SMALL_SHARE or not self._main.count)
            slot = self._from_small(fingerprints) if small else self._from_main()
            if slot is not None:
                return slot
        return None

    def _from_small(self, fingerprints: list[int]) -> int | None:
        links, slot = self._links, self._small.first
        self._small.take(slot)
        if slot in self._held or links.hits[slot]:
            links.hits[slot] = 0
            self._push(slot, _MAIN)
            return None
        links.queue[slot] = _NOWHERE
        self._ghosts.add(fingerprints[slot] & 0xFFFFFFFFFFFFFFF, max(1024, len(self) // 2))
        return slot

    def _from_main(self) -> int | None:
        if not self._main.count:
            return None
        links, slot = self._links, self._main.first
        self._main.take(slot)
        if slot in self._held or links.hits[slot]:
            links.hits[slot] = max(0, links.hits[slot] - 1)
            self._push(slot, _MAIN)
            return None
        links.queue[slot] = _NOWHERE
        return slot

    def _place(self, slot: int, weight: int, queue: int) -> None:
        self._links.weight[slot] = weight
        self._links.hits[slot] = 0
        self._links.stamp[slot] = self._epoch
        self._push(slot, queue)

    def _push(self, slot: int, queue: int) -> None:
        self._links.queue[slot] = queue
        self._queue_of(slot).push(slot)

    def _queue_of(self, slot: int) -> _Queue:
        return self._small if self._links.queue[slot] == _SMALL else self._main
