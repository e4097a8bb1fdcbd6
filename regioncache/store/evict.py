"""S3-FIFO weighted by bytes: which entry leaves first. It knows slots, bytes and groups, no files and no clock.

New entries pass through a small queue (a tenth of the bytes); those asked for again there move to the main queue,
the others leave and are remembered for a while as ghosts, which enter the main queue when they come back
(Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023). What is pinned is never looked at;
a group's priority says how fast its entries age (see `queues`).
"""

from collections.abc import Iterable, Sequence

from regioncache.store.groups import PLAIN_NUMBER, Groups
from regioncache.store.label import UNKNOWN
from regioncache.store.queues import MAIN, NIL, NOT_ON_DISK, NOWHERE, SMALL, Ghosts, Heads, Links, Queue, Shelf

SMALL_SHARE = 0.1
MOST_HITS = 3
EPOCH_TOUCHES = 4096
"""Touches of one entry within this many touches count once: reading an extent step by step is one use of it."""
LOOKED_AT_ONCE = 64
"""Entries that are looked at together where an eviction comes upon one that has no label yet."""


class S3Fifo:
    """The entries of one path. Weights are bytes on disk; `held` slots and pinned groups are never victims.

    Mutable state: the shelves by group, what they have together (`_used`, `_count`) and what of it may leave, by queue
    (`_open_bytes`, `_open_count`), the ghosts, the holds, the epoch of touches.
    """

    __slots__ = (
        "_count", "_epoch", "_ghosts", "_heads", "_held", "_links", "_open_bytes", "_open_count", "_shelves",
        "_touches", "_used", "behind", "groups", "reused", "unlabelled",
    )  # fmt: skip

    def __init__(self, links: Links, groups: Groups | None = None) -> None:
        """Args: groups: shared by the queues of all paths; None: all is under no rule."""
        self._links = links
        self.groups = Groups() if groups is None else groups
        self.groups.heard.append(self._meant)
        self._shelves: dict[int, Shelf] = {}
        self._heads = {SMALL: Heads(links, SMALL), MAIN: Heads(links, MAIN)}
        self._open_bytes = {SMALL: 0, MAIN: 0}
        self._open_count = {SMALL: 0, MAIN: 0}
        self._used = 0
        self._count = 0
        self._ghosts = Ghosts()
        self._held: dict[int, int] = {}
        self._touches = 0
        self._epoch = 0
        self.behind = 0
        """Entries on slower disks behind this one: what left is remembered as long as for a cache of all of them."""
        self.reused = False
        """Whether what left last had been asked for again while it was here."""
        self.unlabelled: list[int] = []
        """Where `evict` found none: the entries that it must know more of first."""

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        small, main = self._open_count[SMALL], self._open_count[MAIN]
        pinned = self._count - small - main
        return f"S3Fifo({small} small, {main} main, {pinned} pinned, {len(self._held)} held, {self._used} bytes)"

    @property
    def used(self) -> int:
        """Bytes of all entries."""
        return self._used

    @property
    def pinned(self) -> int:
        """Bytes of those that are pinned."""
        return self._used - self._open_bytes[SMALL] - self._open_bytes[MAIN]

    @property
    def uses(self) -> int:
        """How often an entry was read."""
        return self._epoch * EPOCH_TOUCHES + self._touches

    def used_by(self, numbers: Iterable[int]) -> int:
        """Bytes that these groups have here."""
        shelves = (self._shelves.get(number) for number in numbers)
        return sum(shelf.small.nbytes + shelf.main.nbytes for shelf in shelves if shelf is not None)

    def admit(self, slot: int, weight: int, fingerprint: int, group: int = PLAIN_NUMBER) -> None:
        """A new entry of `weight` bytes comes in; what left the small queue not long ago goes to the main one.

        Args:
            group: its number; `UNKNOWN` if it is to be looked for.
        """
        self._links.clock += weight
        self._enter(slot, weight, MAIN if fingerprint & 0xFFFFFFFFFFFFFFF in self._ghosts else SMALL, group)

    def readmit(self, slot: int, weight: int, group: int = PLAIN_NUMBER) -> None:
        """An entry that had its place before (before a restart, or at another size) goes to the main queue."""
        self._links.clock += weight
        self._enter(slot, weight, MAIN, group)

    def restore(self, slot: int, weight: int, group: int) -> None:
        """As `readmit`, at the start: nothing was touched yet, and a million entries take half a second less."""
        links, known = self._links, group != UNKNOWN
        if not known:
            group = PLAIN_NUMBER
        shelf = self._shelves.get(group)
        if shelf is None or shelf.pinned or shelf.main.last == NIL:
            self.readmit(slot, weight, group)
            links.labelled[slot] = links.round if known else NOT_ON_DISK
            return
        main, groups = shelf.main, self.groups
        links.clock += weight
        links.since[slot] = links.clock
        links.weight[slot] = weight
        links.queue[slot] = MAIN
        links.group[slot] = group
        links.labelled[slot] = links.round if known else NOT_ON_DISK
        links.before[slot] = last = main.last
        links.after[slot] = NIL
        links.after[last] = main.last = slot
        main.count += 1
        main.nbytes += weight
        self._used += weight
        self._count += 1
        self._open_bytes[MAIN] += weight
        self._open_count[MAIN] += 1
        groups.used[group] += weight
        groups.entries[group] += 1
        account = groups.account_of[group]
        if account is not None:
            account.used += weight

    def amend(self, slot: int, group: int) -> None:
        """At the start: a later label of an entry that has its place already."""
        known = group != UNKNOWN
        self._links.labelled[slot] = self._links.round if known else NOT_ON_DISK
        self.relabel(slot, group if known else PLAIN_NUMBER)

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
        links = self._links
        more, group, queue = weight - links.weight[slot], links.group[slot], links.queue[slot]
        shelf = self._shelves[group]
        shelf.of(queue).nbytes += more
        links.weight[slot] = weight
        self._used += more
        if not shelf.pinned:
            self._open_bytes[queue] += more
        self.groups.charge(group, more, 0)

    def relabel(self, slot: int, group: int) -> None:
        """The entry belongs to that group: it goes to the end of the same queue there."""
        links = self._links
        if links.group[slot] == group:
            return
        queue, weight = links.queue[slot], links.weight[slot]
        if queue == NOWHERE:
            links.group[slot] = group
            return
        self._take(slot)
        self.groups.charge(links.group[slot], -weight, -1)
        links.group[slot] = group
        self.groups.charge(group, weight, 1)
        self._push(slot, queue)

    def remove(self, slot: int) -> None:
        """The entry is gone for another reason than room; one that has no place yet is let be."""
        if self._links.queue[slot] == NOWHERE:
            return
        self._leave(slot)
        self._held.pop(slot, None)

    def hold(self, slot: int) -> None:
        """The entry may not leave until as many `release`s as `hold`s."""
        self._held[slot] = self._held.get(slot, 0) + 1

    def release(self, slot: int) -> None:
        """Takes one `hold` back; none where all were let go."""
        holds = self._held.pop(slot, 1) - 1
        if holds:
            self._held[slot] = holds

    def let_go(self, slot: int) -> None:
        """Takes all `hold`s back: who held it does not go on."""
        self._held.pop(slot, None)

    def holds(self, slot: int) -> int:
        """How many hold it."""
        return self._held.get(slot, 0)

    def held(self) -> Iterable[int]:
        """The slots that may not leave now."""
        return self._held

    def evict(self, capacity: int, fingerprints: list[int], within: Sequence[int] | None = None) -> int | None:
        """Takes out and returns the entry that leaves first, or None where none may: see `unlabelled` then.

        Args:
            capacity: bytes that the entries may have, for the small queue's share.
            fingerprints: by slot; what ghosts are known by.
            within: only of these groups, of whose bytes the small queue has its share then.
        """
        self.unlabelled = []
        # Each entry is looked at once per hit it has, and once more: held ones must not keep the search going.
        for _ in range((MOST_HITS + 2) * self._count + 1):
            queue = self._next(capacity) if within is None else self._next_within(within)
            if queue is None:
                return None
            slot = queue.first
            if self._links.guarded and self._links.labelled[slot] != self._links.round:
                self.unlabelled = queue.unlabelled(LOOKED_AT_ONCE)
                return None
            if self._goes(slot, fingerprints):
                return slot
        return None

    def _next(self, capacity: int) -> Queue | None:
        """The queue whose first entry is the next to be looked at."""
        share = (capacity - self.pinned) * SMALL_SHARE
        small = self._open_bytes[SMALL] > share or not self._open_count[MAIN]
        which = SMALL if small else MAIN
        shelf = self._heads[which].oldest(self._shelves)
        return None if shelf is None else shelf.of(which)

    def _next_within(self, within: Sequence[int]) -> Queue | None:
        found = (self._shelves.get(number) for number in within)
        shelves = [shelf for shelf in found if shelf is not None and not shelf.pinned]
        small_bytes = sum(shelf.small.nbytes for shelf in shelves)
        small = small_bytes > (small_bytes + sum(shelf.main.nbytes for shelf in shelves)) * SMALL_SHARE
        mains = [shelf.main for shelf in shelves if shelf.main.count]
        smalls = [shelf.small for shelf in shelves if shelf.small.count]
        since = self._links.since
        return min(smalls if smalls and (small or not mains) else mains, key=lambda one: since[one.first], default=None)

    def _goes(self, slot: int, fingerprints: list[int]) -> bool:
        """Whether the first of a queue leaves; else it goes to the end of the main one."""
        links = self._links
        queue = links.queue[slot]
        if slot in self._held or links.hits[slot]:
            self._take(slot)
            links.hits[slot] = max(0, links.hits[slot] - 1) if queue == MAIN else 0
            self._push(slot, MAIN)
            return False
        self._leave(slot)
        self.reused = queue == MAIN
        if queue == SMALL:
            self._ghosts.add(fingerprints[slot] & 0xFFFFFFFFFFFFFFF, max(1024, (self._count + self.behind) // 2))
        return True

    def _enter(self, slot: int, weight: int, queue: int, group: int) -> None:
        links = self._links
        links.weight[slot] = weight
        links.hits[slot] = 0
        links.stamp[slot] = self._epoch
        links.group[slot] = group
        links.labelled[slot] = links.round
        if group == UNKNOWN:
            links.group[slot] = group = PLAIN_NUMBER
            links.labelled[slot] = NOT_ON_DISK
        self._used += weight
        self._count += 1
        self.groups.charge(group, weight, 1)
        self._push(slot, queue)

    def _leave(self, slot: int) -> None:
        links = self._links
        weight = links.weight[slot]
        self._take(slot)
        links.queue[slot] = NOWHERE
        self._used -= weight
        self._count -= 1
        self.groups.charge(links.group[slot], -weight, -1)

    def _push(self, slot: int, queue: int) -> None:
        links = self._links
        group = links.group[slot]
        shelf = self._shelves.get(group)
        if shelf is None:
            shelf = self._shelves[group] = Shelf(group, self.groups.keeps[group], links)
        links.since[slot] = links.clock
        if shelf.pinned:
            links.queue[slot] = MAIN
            shelf.main.push(slot)
            return
        links.queue[slot] = queue
        into = shelf.small if queue == SMALL else shelf.main
        into.push(slot)
        self._open_bytes[queue] += links.weight[slot]
        self._open_count[queue] += 1
        if into.first == slot:
            self._heads[queue].enter(shelf)

    def _take(self, slot: int) -> None:
        links = self._links
        shelf, queue = self._shelves[links.group[slot]], links.queue[slot]
        shelf.of(queue).take(slot)
        if not shelf.pinned:
            self._open_bytes[queue] -= links.weight[slot]
            self._open_count[queue] -= 1

    def _meant(self, number: int) -> None:
        """The group means something else now."""
        shelf = self._shelves.get(number)
        if shelf is None:
            return
        was = shelf.pinned
        shelf.mean(self.groups.keeps[number])
        for queue in (SMALL, MAIN):
            if was != shelf.pinned:
                sign = 1 if was else -1
                self._open_bytes[queue] += sign * shelf.of(queue).nbytes
                self._open_count[queue] += sign * shelf.of(queue).count
            self._heads[queue].enter(shelf)
