"""Which group an entry is in, by the grouping in force, and which labels are still to be looked at. A core.

What a grouping means for what is held is found out entry by entry, behind; what it means for what comes, and what its
groups mean, is in force at once. Labels outlive a restart: where the grouping is the one they were made by, nothing
has to be read.
"""

from array import array
from collections.abc import Callable
from dataclasses import replace

from regioncache.pages import ObjectId
from regioncache.store.evict import S3Fifo
from regioncache.store.groupfile import GroupFile
from regioncache.store.groups import PLAIN_NUMBER, Account, Grouping, Groups, Keep
from regioncache.store.label import UNKNOWN
from regioncache.store.queues import NOT_ON_DISK, Links
from regioncache.tidings import Tidings

PINNED_SHARE = 0.9
"""Of a path's bytes may be pinned: the rest keeps the cache working for all else."""
MOST_PINNED = 0.95
"""Of a path's bytes: above it pins are let go down to `PINNED_SHARE`. Extents that grow lead a little above that."""
_LET_GO = " (not pinned: too much is)"
"""Behind the name of a group, for its entries that came when no more could be pinned."""


class Keeping:
    """Mutable state: the grouping, `labelled` (the digest under which every label is right; None: not all are),
    `aimed` (the digest that labels are being made for), and what was told."""

    def __init__(self, links: Links, brought: "array[int]", now: Callable[[], float], tidings: Tidings) -> None:
        """Args:
        brought: by slot, when it was brought.
        now: seconds since the epoch that never go back while the process runs.
        """
        self.groups = Groups()
        self.now = now
        self.grouping: Grouping | None = None
        self.labelled: str | None = ""
        self.aimed: str | None = ""
        self._links = links
        self._brought = brought
        self._tidings = tidings
        self._told_pinned = False
        self._told_many = False
        self.on_groups: Callable[[], None] = _nobody
        """Called when a group was made or means something else, before anything is labelled with it."""
        self._fresh = False
        self.groups.heard.append(self._changed)
        self.expiring = False
        """Whether any group has a ttl."""

    def __repr__(self) -> str:
        return f"Keeping({self.groups!r}, labelled for {self.labelled!r}, aimed at {self.aimed!r})"

    def adopt(self, digests: set[str | None]) -> None:
        """At the start, after all entries were restored: by which digests, of the paths that have any."""
        self.labelled = digests.pop() if len(digests) == 1 else None if digests else ""
        self.aimed = self.labelled
        if self.labelled is None:
            self._links.begin_round()
        self._links.guarded = self.labelled != ""

    def place(self, file: GroupFile) -> frozenset[int] | None:
        """At the start: which groups the numbers on a path's disk mean; None where they are not to be believed."""
        groups = self.groups
        for number, keep in file.keeps.items():
            known = groups.find(keep.name)
            if known is None and not (number < len(groups.keeps) and groups.keeps[number].name):
                groups.place(number, keep)
            elif known != number:
                # Another path's numbers, from another time: labels are made anew.
                return None
        return frozenset(file.keeps) if file.labelled is not None else None

    def regroup(self, grouping: Grouping) -> None:
        """Puts a grouping in force. Entries that it has not labelled are those of an earlier round."""
        self.grouping = grouping
        self._told_pinned = False
        for number in self.groups.numbers():
            keep = self._meant(self.groups.keeps[number])
            if keep is not None:
                self.groups.number(keep)
        if grouping.digest != self.aimed:
            self._links.begin_round()
            self.labelled, self.aimed = None, grouping.digest
            self._fresh = True
        self._links.guarded = grouping.pins
        self._tell()

    def anew(self) -> None:
        """No label is believed any more: more is pinned than a path may have, which is found out entry by entry."""
        self._links.begin_round()
        self.labelled = None
        self._fresh = True
        self._tell()

    def complete(self) -> None:
        """Every entry is labelled for the grouping in force."""
        if self.labelled != self.aimed:
            for number in self.groups.numbers():
                if self._meant(self.groups.keeps[number]) is None:
                    self.groups.forget(number)
            self.labelled = self.aimed
            self._fresh = True
            self._tell()

    def group_of(self, oid: ObjectId, nbytes: int, fifo: S3Fifo, limit: int) -> int:
        """Returns the number of the object's group, for `nbytes` more on a path of `limit` bytes."""
        grouping = self.grouping
        if grouping is None:
            return PLAIN_NUMBER if self.labelled == "" else UNKNOWN
        keep = grouping.keep_of(oid)
        if keep.pinned and not takes_pinned(fifo, limit, nbytes):
            self._too_much(keep)
            keep = replace(keep, name=keep.name + _LET_GO, pinned=False)
        number = self.groups.number(keep)
        if number is None:
            self._too_many()
            number = PLAIN_NUMBER
        self._tell()
        return number

    def label(self, slot: int, oid: ObjectId, fifo: S3Fifo, limit: int) -> bool:
        """Puts a held entry into the group that the grouping in force says; whether the disk says another."""
        links = self._links
        more = 0 if self.groups.keeps[links.group[slot]].pinned else links.weight[slot]
        group = self.group_of(oid, more, fifo, limit)
        other = group != links.group[slot] or links.labelled[slot] == NOT_ON_DISK
        fifo.relabel(slot, group)
        links.labelled[slot] = links.round
        return other

    def pins(self, oid: ObjectId) -> bool:
        """Whether the object is to be pinned."""
        grouping = self.grouping
        return grouping is not None and grouping.pins and grouping.keep_of(oid).pinned

    def let_go(self, slot: int) -> bool:
        """Whether the entry would be pinned if its path took more of that."""
        return self.groups.keeps[self._links.group[slot]].name.endswith(_LET_GO)

    def account_of(self, group: int) -> Account | None:
        """Under which quota the group is, if it is under any."""
        return None if group == UNKNOWN else self.groups.account_of[group]

    def stale(self, slot: int) -> bool:
        """Whether the entry's group is to be looked for."""
        return self._links.labelled[slot] != self._links.round

    def pinned(self, slot: int, oid: ObjectId) -> bool:
        """Whether the object's entry is pinned, or shall be when it is labelled."""
        if self.grouping is not None and self.stale(slot):
            return self.grouping.keep_of(oid).pinned
        return self.groups.keeps[self._links.group[slot]].pinned

    def past(self, slot: int) -> bool:
        """Whether the entry has outlived its time."""
        ttl = self.groups.ttls[self._links.group[slot]]
        # Rules that are no more let nothing go.
        return ttl is not None and not self.stale(slot) and self.now() - self._brought[slot] >= ttl

    def _meant(self, keep: Keep) -> Keep | None:
        """What the group means now; None: nothing new is put into it, what it has is as it was."""
        assert self.grouping is not None
        if not keep.name.endswith(_LET_GO):
            return self.grouping.named(keep.name)
        whole = self.grouping.named(keep.name.removesuffix(_LET_GO))
        return None if whole is None else replace(whole, name=keep.name, pinned=False)

    def _changed(self, number: int) -> None:
        self._fresh = True
        self.expiring = any(ttl is not None for ttl in self.groups.ttls)

    def _tell(self) -> None:
        if self._fresh:
            self._fresh = False
            self.on_groups()

    def _too_much(self, keep: Keep) -> None:
        if not self._told_pinned:
            self._told_pinned = True
            self._tidings.warning(
                f"more is pinned than a cache path can hold: above {PINNED_SHARE:.0%} of it what the pin of "
                f"{keep.name} covers is kept like anything else; pin less, or enlarge the cache"
            )

    def _too_many(self) -> None:
        if not self._told_many:
            self._told_many = True
            self._tidings.warning(
                f"the cache has {len(self.groups)} groups of entries under different rules and pins, which is the "
                "most it can tell apart: what comes under another is kept under none; make the rules fewer"
            )


def takes_pinned(fifo: S3Fifo, limit: int, nbytes: int) -> bool:
    """Whether a path of `limit` bytes may have `nbytes` more that are pinned."""
    return fifo.pinned + nbytes <= limit * PINNED_SHARE


def steady(wall: Callable[[], float], clock: Callable[[], float]) -> Callable[[], float]:
    """Returns a wall clock that does not jump: set once, now, it follows the monotonic one.

    A wall clock that is set back by two days would otherwise let nothing expire for as long, and one that is set on
    would let all expire at once.
    """
    began, since = wall(), clock()
    return lambda: began + clock() - since


def _nobody() -> None:
    """Nothing is to be written: no disk is there yet."""
