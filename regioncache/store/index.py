"""What is held, by slot: one for each packed object or extent, none for each page, nothing for what is not held.

Columns are arrays and lists of small values, so that a million entries are no million objects for the garbage
collector. One version of an object is held at a time, so its head (its packed record, or its extent 0) is found by
the object's hash alone and says which version that is; all later extents are found by their own hash.
"""

from array import array
from enum import IntEnum

from regioncache.pages import EXTENT_BYTES, Span, Version
from regioncache.store.identity import extent_digest, unsqueeze
from regioncache.store.label import UNKNOWN, Label
from regioncache.store.queues import Links

_GROWTH = 1024
"""Slots made at once: growing the columns one by one would be a quarter of a restart."""


class Kind(IntEnum):
    """What a slot holds."""

    FREE = 0
    PACKED = 1
    HEAD = 2
    TAIL = 3


class Index:
    """The columns and the way to a slot. `slots` maps hashes (of objects for heads, of extents for tails) to slots."""

    __slots__ = (
        "_free", "_full", "_next", "aside", "brought", "keys", "kinds", "learned", "length", "links", "outdated",
        "paths", "place", "present", "segment", "size", "slots", "torn", "versions",
    )  # fmt: skip

    def __init__(self) -> None:
        self.slots: dict[int, int] = {}
        self.aside: dict[int, int] = {}
        """As `slots`, of what lies on paths that are out: nothing finds it, and it may come back."""
        self.outdated: set[int] = set()
        """Slots that were set aside and were dropped, or replaced, meanwhile: they leave the disk when it is back."""
        self.links = Links()
        self.keys: list[int] = []
        self.kinds = bytearray()
        self.paths = bytearray()
        """The cache path's number."""
        self.versions: list[bytes] = []
        """Squeezed version; of heads only."""
        self.present: list[int] = []
        """Pages held, bit 0 the extent's first; of extents only."""
        self.learned = array("d")
        self.brought = array("I")
        """Seconds since the epoch when bytes of it were last brought."""
        self.size = array("Q")
        """The object's bytes."""
        self.segment = array("I")
        """Packed: the segment's number."""
        self.place = array("I")
        """Packed: where in the segment. Extents: the file's generation."""
        self.length = array("I")
        """Packed: the record's bytes. Extents: bytes of a page."""
        self.torn: dict[int, list[tuple[int, int]]] = {}
        """Runs of pages that were under way when the process died, until they come again; of few."""
        self._free: list[int] = []
        self._next = 0
        self._full: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.slots)

    def __repr__(self) -> str:
        return f"Index({len(self.slots)} held, {len(self._free)} free)"

    def add(self, digest: int, kind: Kind, path: int) -> int:
        """Returns a slot for a new entry; its columns are the caller's to fill."""
        if self.aside:
            self.outdate(digest)
        if self._free:
            slot = self._free.pop()
        else:
            slot = self._next
            self._next += 1
            if slot == len(self.kinds):
                self._grow()
        self.keys[slot] = digest
        self.kinds[slot] = kind
        self.paths[slot] = path
        self.slots[digest] = slot
        return slot

    def remove(self, slot: int) -> None:
        """Forgets the entry."""
        digest = self.keys[slot]
        for found in (self.slots, self.aside):
            if found.get(digest) == slot:
                del found[digest]
        self.outdated.discard(slot)
        self.keys[slot] = 0
        self.kinds[slot] = Kind.FREE
        self.versions[slot] = b""
        self.present[slot] = 0
        self.torn.pop(slot, None)
        self._free.append(slot)

    def set_aside(self, slot: int) -> None:
        """The entry's path is out: nothing finds it from now on."""
        digest = self.keys[slot]
        if self.slots.get(digest) == slot:
            del self.slots[digest]
            self.aside[digest] = slot

    def outdate(self, digest: int) -> None:
        """What may be set aside under this hash shall not come back."""
        slot = self.aside.pop(digest, None)
        if slot is not None:
            self.outdated.add(slot)

    def outdate_older(self, digest: int, version: bytes, learned_at: float) -> None:
        """The object set aside has this version, as was learned then: another one shall not come back."""
        slot = self.aside.get(digest)
        if slot is None or self.learned[slot] > learned_at:
            return
        if self.versions[slot] == version:
            self.learned[slot] = learned_at
        else:
            self.outdate(digest)

    def bring_back(self, slot: int) -> bool:
        """The entry's path is in use again; False where something newer has taken the entry's place."""
        digest = self.keys[slot]
        if self.aside.get(digest) == slot:
            del self.aside[digest]
            self.slots[digest] = slot
        return slot not in self.outdated

    def newest(self, of_object: int) -> Version | None:
        """Which version is held."""
        slot = self.slots.get(of_object)
        return None if slot is None else Version(unsqueeze(self.versions[slot]))

    def set_present(self, slot: int, bits: int) -> None:
        """Keeps the pages held. Full extents share one number: of 64 KiB pages it has 164 bytes."""
        self.present[slot] = self._full.setdefault(bits, bits) if not bits & (bits + 1) else bits

    def label(self, slot: int) -> Label:
        """What lies on disk of how the entry is kept."""
        links = self.links
        known = links.labelled[slot] == links.round
        return Label(links.group[slot] if known else UNKNOWN, float(self.brought[slot]))

    def packed_place(self, slot: int) -> tuple[int, int]:
        """A packed object's segment and place in it."""
        return self.segment[slot], self.place[slot]

    def torn_runs(self, slot: int, extent: int) -> list[Span]:
        """Runs under way when the process died, each from its first missing page on; pages of the object."""
        first = extent * (EXTENT_BYTES // self.length[slot])
        found: list[Span] = []
        for start, end in sorted(self.torn.get(slot, ())):
            missing = runs(~self.present[slot] >> start, start, end - start)
            if missing:
                found.append(Span(first + missing[0].start, first + end))
        return found

    def untear(self, slot: int, run: Span) -> None:
        """The run comes now: what was torn there is no longer."""
        left = [note for note in self.torn.pop(slot, ()) if note[1] <= run.start or note[0] >= run.end]
        if left:
            self.torn[slot] = left

    def tails(self, head: int) -> list[int]:
        """The slots of the later extents of a head's object that are held."""
        if self.kinds[head] != Kind.HEAD:
            return []
        version, of_object, slots = unsqueeze(self.versions[head]), self.keys[head], self.slots
        later = range(1, -(-self.size[head] // EXTENT_BYTES))
        found = (slots.get(extent_digest(of_object, version, extent)) for extent in later)
        return [slot for slot in found if slot is not None]

    def has_tails(self, head: int) -> bool:
        """Whether a later extent of the object is held; stops at the first."""
        if self.kinds[head] != Kind.HEAD or self.size[head] <= EXTENT_BYTES:
            return False
        version, of_object, slots = unsqueeze(self.versions[head]), self.keys[head], self.slots
        later = range(1, -(-self.size[head] // EXTENT_BYTES))
        return any(extent_digest(of_object, version, extent) in slots for extent in later)

    def _grow(self) -> None:
        count = _GROWTH
        self.links.grow(count)
        self.keys.extend([0] * count)
        self.kinds.extend(bytes(count))
        self.paths.extend(bytes(count))
        self.versions.extend([b""] * count)
        self.present.extend([0] * count)
        for column in (self.learned, self.brought, self.size, self.segment, self.place, self.length):
            column.frombytes(bytes(column.itemsize * count))


def runs(bits: int, first: int, count: int) -> list[Span]:
    """Returns the runs of ones among the `count` lowest bits, as spans of pages counted from `first`."""
    everything = (1 << count) - 1
    if bits & everything == everything:
        return [Span(first, first + count)] if count else []
    found: list[Span] = []
    at = 0
    bits &= everything
    while bits:
        zeros = (bits & -bits).bit_length() - 1
        at += zeros
        bits >>= zeros
        ones = (~bits & (bits + 1)).bit_length() - 1
        found.append(Span(first + at, first + at + ones))
        at += ones
        bits >>= ones
    return found


def extend(found: list[Span], more: list[Span]) -> None:
    """Appends runs, the first joined to the last where they touch (across an extent's border)."""
    if found and more and found[-1].end == more[0].start:
        more = [Span(found.pop().start, more[0].end), *more[1:]]
    found.extend(more)


def mask(start: int, end: int) -> int:
    """The bits [start, end)."""
    return ((1 << (end - start)) - 1) << start
