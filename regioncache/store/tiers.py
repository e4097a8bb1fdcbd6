"""Which entries change their tier: what leaves a fast disk and is worth it goes down, what is used below comes up.

A core: it knows queues, slots and bytes. New data land in the fastest tier (0). What leaves a fast disk goes down
where it was used again, or where there is room below anyhow; the rest leaves the cache. An entry comes up when it was
used in `HOT_USES` separate spells since it went down: less would have two tiers exchange the same entries for ever
(measured on zipf, loop and scan: twice the moves at 2, for the same hits).
"""

from regioncache.store.evict import S3Fifo
from regioncache.store.groups import Groups
from regioncache.store.queues import Links

HIGH = 0.95
"""Of a path's size, unless `low` is less. A fuller one is emptied ahead of need: what must leave at once finds room."""
HOT_USES = 3
_MOST_HOT = 4096
"""Entries that wait to come up; others wait until they are used once more."""


class Below(S3Fifo):
    """The entries of a path that is not of the fastest tier: it takes note of those used again and again."""

    __slots__ = ("_hot",)

    def __init__(self, links: Links, groups: Groups | None = None) -> None:
        """See `S3Fifo`."""
        super().__init__(links, groups)
        self._hot: dict[int, None] = {}

    def touch(self, slot: int) -> None:
        """See `S3Fifo.touch`."""
        super().touch(slot)
        if self._links.hits[slot] >= HOT_USES and len(self._hot) < _MOST_HOT:
            self._hot[slot] = None

    def hottest(self) -> int | None:
        """Takes and returns what has waited longest to come up, perhaps gone meanwhile; None where nothing waits."""
        while self._hot:
            slot = next(iter(self._hot))
            del self._hot[slot]
            if self._links.hits[slot] >= HOT_USES:
                return slot
        return None


def goes_down(fifo: S3Fifo, below: S3Fifo, weight: int, mark: float) -> bool:
    """Whether what has just left `fifo` is worth a place in `below`, which is emptied above `mark` bytes."""
    return fifo.reused or below.used + weight <= mark


def comes_down(below: S3Fifo, slot: int, weight: int, fingerprint: int, *, reused: bool, group: int) -> None:
    """The entry has its place below from now on: what was used again is not on trial there."""
    if reused:
        below.readmit(slot, weight, group)
    else:
        below.admit(slot, weight, fingerprint, group)
