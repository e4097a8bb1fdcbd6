"""First-in first-out queues through arrays by slot, and which of many queues has the entry that leaves first.

Each group of entries has queues of its own, so that what a group means can change at once. Together they are one
queue again: the oldest entry of all leaves first, where the age of an entry counts by the priority of its group.
"""

from array import array
from collections import deque
from heapq import heappop, heappush, heapreplace

from regioncache.store.groups import PRIORITIES, Keep

NIL = 0xFFFFFFFF
NOWHERE, SMALL, MAIN = 0, 1, 2
NOT_ON_DISK = 0xFF
"""In place of a round: the disk does not say of the entry in which group it is."""
_LAST_ROUND = NOT_ON_DISK
_AGING = (16, 4, 1)
"""How fast entries age, by priority: one of high priority stays four times as long unread as a normal one, one of low
a quarter as long. All age, so that none stays for ever because of its priority alone, and none leaves at once."""


class Links:
    """The queues' links and weights by slot, in arrays (29 bytes a slot), shared by the queues of all paths."""

    __slots__ = (
        "after", "before", "clock", "group", "guarded", "hits", "labelled", "queue", "round", "since", "stamp",
        "weight",
    )  # fmt: skip

    def __init__(self) -> None:
        self.before = array("I")
        self.after = array("I")
        self.weight = array("I")
        self.hits = bytearray()
        self.queue = bytearray()
        self.stamp = array("H")
        self.group = array("H")
        """Number of the entry's group."""
        self.labelled = bytearray()
        """The round in which the entry's group was found; another than `round`: it is to be looked at again."""
        self.since = array("Q")
        """What `clock` was when the entry came to its place."""
        self.clock = 0
        """Bytes admitted so far: the age of entries is counted in them."""
        self.round = 0
        self.guarded = False
        """What is not labelled in this round may be pinned by it: no victim before it is looked at."""

    def begin_round(self) -> None:
        """All entries are to be looked at again."""
        if self.round + 1 == _LAST_ROUND:
            self.labelled[:] = bytes(len(self.labelled))
            self.round = 0
        self.round += 1

    def grow(self, count: int = 1) -> None:
        """Adds room for `count` more slots."""
        for bits in (self.before, self.after):
            bits.frombytes(b"\xff" * 4 * count)
        for column in (self.weight, self.stamp, self.group, self.since):
            column.frombytes(bytes(column.itemsize * count))
        for flags in (self.hits, self.queue, self.labelled):
            flags.extend(bytes(count))


class Queue:
    """A first-in first-out list through the links, from which any slot can be taken."""

    __slots__ = ("_links", "count", "first", "last", "nbytes")

    def __init__(self, links: Links) -> None:
        self._links = links
        self.first = NIL
        self.last = NIL
        self.count = 0
        self.nbytes = 0

    def push(self, slot: int) -> None:
        """To the end."""
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
        """Out of the queue, from anywhere."""
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

    def unlabelled(self, most: int) -> list[int]:
        """Those of the first `most` that are to be looked at."""
        links, slot = self._links, self.first
        found: list[int] = []
        for _ in range(most):
            if slot == NIL:
                break
            if links.labelled[slot] != links.round:
                found.append(slot)
            slot = links.after[slot]
        return found


class Shelf:
    """The queues of one group on one path. What is pinned waits in the main one."""

    __slots__ = ("heads", "main", "number", "pinned", "priority", "small")

    def __init__(self, number: int, keep: Keep, links: Links) -> None:
        self.number = number
        self.small = Queue(links)
        self.main = Queue(links)
        self.heads: set[tuple[int, int]] = set()
        """Where it is known by its head, queue and priority: see `Heads`."""
        self.mean(keep)

    def mean(self, keep: Keep) -> None:
        """Takes what the group means now."""
        self.pinned = keep.pinned
        self.priority = PRIORITIES.index(keep.priority)

    def of(self, queue: int) -> Queue:
        """SMALL's or MAIN's."""
        return self.small if queue == SMALL else self.main


class Heads:
    """Finds the shelf whose small (or main) queue has the entry to leave first.

    A heap by priority of (since when the queue's first entry waits, the shelf's number). Those that have changed since
    are put right when they come up: queues only grow at their end, so what stands in the heap is never too young.
    """

    __slots__ = ("_heaps", "_links", "_queue")

    def __init__(self, links: Links, queue: int) -> None:
        self._links = links
        self._queue = queue
        self._heaps: tuple[list[tuple[int, int]], ...] = tuple([] for _ in PRIORITIES)

    def enter(self, shelf: Shelf) -> None:
        """The shelf's queue has a first entry now, or another priority."""
        first = shelf.of(self._queue).first
        if first != NIL and not shelf.pinned and (self._queue, shelf.priority) not in shelf.heads:
            shelf.heads.add((self._queue, shelf.priority))
            heappush(self._heaps[shelf.priority], (self._links.since[first], shelf.number))

    def oldest(self, shelves: dict[int, Shelf]) -> Shelf | None:
        """The shelf whose first entry is the oldest, by its priority; None where all queues are empty or pinned."""
        best, greatest, clock = None, -1, self._links.clock
        for priority, aging in enumerate(_AGING):
            shelf = self._first(priority, shelves)
            if shelf is not None:
                age = (clock - self._links.since[shelf.of(self._queue).first]) * aging
                if age > greatest:
                    best, greatest = shelf, age
        return best

    def _first(self, priority: int, shelves: dict[int, Shelf]) -> Shelf | None:
        heap, since = self._heaps[priority], self._links.since
        while heap:
            known, number = heap[0]
            shelf = shelves[number]
            first = shelf.of(self._queue).first
            if first == NIL or shelf.pinned or shelf.priority != priority:
                heappop(heap)
                shelf.heads.discard((self._queue, priority))
            elif since[first] != known:
                heapreplace(heap, (since[first], number))
            else:
                return shelf
        return None


class Ghosts:
    """Fingerprints of what left the small queue, the oldest forgotten first."""

    __slots__ = ("_known", "_order")

    def __init__(self) -> None:
        self._order: deque[int] = deque()
        self._known: set[int] = set()

    def add(self, fingerprint: int, limit: int) -> None:
        """Remembers one, and `limit` of them at most."""
        if fingerprint not in self._known:
            self._known.add(fingerprint)
            self._order.append(fingerprint)
        while len(self._order) > limit:
            self._known.discard(self._order.popleft())

    def __contains__(self, fingerprint: int) -> bool:
        return fingerprint in self._known
