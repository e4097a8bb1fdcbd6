"""What a start finds on the disks: the index is rebuilt from headers and journals, data are not read.

Of two versions of an object the one learned of later stays. What cannot be read is removed and counted; a layout
newer than ours is refused before anything is removed.
"""

from array import array
from collections.abc import Callable
from dataclasses import dataclass

from regioncache.store import groupfile
from regioncache.store.cachepath import CachePath
from regioncache.store.groups import PLAIN_NUMBER
from regioncache.store.index import Index, Kind
from regioncache.store.label import UNKNOWN, Label
from regioncache.store.looking import Seen, look
from regioncache.store.record import Line, What
from regioncache.store.segment import Segment

_SLOT = 0xFFFFFFFF


@dataclass(slots=True)
class Found:
    """What a start came upon besides what it could use."""

    dropped: int = 0
    unknown: int = 0
    last_generation: int = 0


def load(paths: list[CachePath], index: Index) -> Found:
    """Fills the index. Blocks; nobody else may use the paths yet. Raises LayoutTooNew."""
    found = Found()
    digests: set[str | None] = set()
    for path in paths:
        if path.disk.out is not None:
            continue
        try:
            file = groupfile.read(path.disk.path)
            numbers = path.keeping.place(file)
            labels = _Labels(numbers or frozenset(), int(path.keeping.now()))
            _load_extents(path, paths, index, found, labels)
            dropped, unknown = path.packs.load(_placing(path, paths, index, labels))
            found.dropped += dropped
            found.unknown += unknown
            if len(path.fifo):
                digests.add(None if numbers is None else file.labelled)
        except OSError as error:
            # What was not read whole is not used at all: a path that fails at the start is out.
            path.disk.out = f"{error.strerror or error} at the start"
            _leave_out(path, index)
    paths[0].keeping.adopt(digests)
    return found


@dataclass(frozen=True, slots=True)
class _Labels:
    """What a path's labels may say: the groups that are known, and a time brought that is not to come."""

    numbers: frozenset[int]
    now: int

    def group(self, number: int) -> int:
        return number if number in self.numbers else UNKNOWN

    def brought(self, told: float) -> int:
        # The clock may have been set back since.
        return max(0, min(int(told), self.now))


def _leave_out(path: CachePath, index: Index) -> None:
    for slot in range(len(index.kinds)):
        if index.kinds[slot] != Kind.FREE and index.paths[slot] == path.number:
            path.fifo.remove(slot)
            index.remove(slot)


def _load_extents(path: CachePath, paths: list[CachePath], index: Index, found: Found, labels: _Labels) -> None:
    order = array("Q")
    unreadable: list[str] = []
    for looked in look(path.disk):
        for seen in looked.seen:
            slot, worse = _enter(path, paths, index, seen, labels)
            if slot is not None:
                order.append(seen.generation << 32 | slot)
            if worse is not None:
                unreadable.append(worse)
        unreadable.extend(looked.unreadable)
        found.unknown += looked.unknown
    # As they were made, so that the oldest leave first again.
    for word in sorted(order):
        slot = word & _SLOT
        found.last_generation = max(found.last_generation, word >> 32)
        if index.kinds[slot] != Kind.FREE and index.place[slot] == word >> 32:
            path.fifo.restore(slot, index.links.weight[slot], index.links.group[slot])
    found.dropped += len(unreadable)
    for name in unreadable:
        path.disk.unlink(name)


def _enter(
    path: CachePath, paths: list[CachePath], index: Index, seen: Seen, labels: _Labels
) -> tuple[int | None, str | None]:
    """Returns the slot, None where another file of the same extent is better; and the path of the worse, if any."""
    held, worse = index.slots.get(seen.digest), None
    if held is not None:
        if (index.learned[held], index.place[held]) >= (seen.learned_at, seen.generation):
            return None, path.file_path(seen.digest, seen.generation)
        loser = paths[index.paths[held]]
        worse = loser.file_path(seen.digest, index.place[held])
        loser.fifo.remove(held)
        index.remove(held)
    slot = index.add(seen.digest, seen.kind, path.number)
    index.versions[slot] = seen.version
    index.learned[slot] = seen.learned_at
    index.size[slot] = seen.size
    index.place[slot] = seen.generation
    index.length[slot] = seen.page_bytes
    index.set_present(slot, seen.present)
    index.links.weight[slot] = seen.disk_bytes
    label = seen.label or Label(PLAIN_NUMBER, seen.learned_at)
    index.brought[slot] = labels.brought(label.brought)
    index.links.group[slot] = labels.group(label.group)
    if seen.notes:
        index.torn[slot] = seen.notes
    return slot, worse


def _placing(path: CachePath, paths: list[CachePath], index: Index, labels: _Labels) -> Callable[[Segment, Line], None]:
    """Returns what enters a journal's line into the index; one call a line, of which there are millions."""
    slots, learned_column, brought_column = index.slots, index.learned, index.brought
    number, numbers, now, restore = path.number, labels.numbers, labels.now, path.fifo.restore
    add, versions, kept, packed = index.add, index.versions, int(What.KEPT), Kind.PACKED
    segments, places, lengths = index.segment, index.place, index.length

    def place(segment: Segment, line: Line) -> None:
        digest, offset, length, learned_at, what, version, group, brought = line
        slot = slots.get(digest)
        if what != kept:
            if slot is not None and _points_to(index, slot, path, segment, offset):
                amend(slot, line)
            return
        if slot is not None:
            if learned_column[slot] > learned_at:
                path.packs.count_dead(segment, length)
                return
            _lose(paths, index, slot)
        slot = add(digest, packed, number)
        versions[slot] = version or b""
        learned_column[slot] = learned_at
        segments[slot] = segment.number
        places[slot] = offset
        lengths[slot] = length
        came = int(brought)
        brought_column[slot] = came if 0 <= came <= now else labels.brought(brought)
        restore(slot, length, group if group in numbers else UNKNOWN)

    def amend(slot: int, line: Line) -> None:
        _, _, _, learned_at, what, _, group, brought = line
        if what == What.LEARNED:
            learned_column[slot] = learned_at
            brought_column[slot] = labels.brought(brought)
            path.fifo.amend(slot, labels.group(group))
        else:
            _lose(paths, index, slot)

    return place


def _points_to(index: Index, slot: int, path: CachePath, segment: Segment, offset: int) -> bool:
    packed_here = index.kinds[slot] == Kind.PACKED and index.paths[slot] == path.number
    return packed_here and index.packed_place(slot) == (segment.number, offset)


def _lose(paths: list[CachePath], index: Index, slot: int) -> None:
    """What is better takes the entry's place."""
    loser = paths[index.paths[slot]]
    loser.fifo.remove(slot)
    if index.kinds[slot] == Kind.PACKED:
        loser.packs.count_dead(loser.packs.segments[index.segment[slot]], index.length[slot])
    else:
        loser.disk.unlink(loser.file_path(index.keys[slot], index.place[slot]))
    index.remove(slot)
