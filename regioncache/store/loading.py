"""What a start finds on the disks: the index is rebuilt from headers and journals, data are not read.

Of two versions of an object the one learned of later stays. What cannot be read is removed and counted; a layout
newer than ours is refused before anything is removed.
"""

from array import array
from collections.abc import Callable
from dataclasses import dataclass

from regioncache.store.cachepath import CachePath
from regioncache.store.index import Index, Kind
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
    for path in paths:
        if path.disk.out is not None:
            continue
        try:
            _load_extents(path, paths, index, found)
            dropped, unknown = path.packs.load(_placing(path, paths, index))
            found.dropped += dropped
            found.unknown += unknown
        except OSError as error:
            # What was not read whole is not used at all: a path that fails at the start is out.
            path.disk.out = f"{error.strerror or error} at the start"
            _leave_out(path, index)
    return found


def _leave_out(path: CachePath, index: Index) -> None:
    for slot in range(len(index.kinds)):
        if index.kinds[slot] != Kind.FREE and index.paths[slot] == path.number:
            path.fifo.remove(slot)
            index.remove(slot)


def _load_extents(path: CachePath, paths: list[CachePath], index: Index, found: Found) -> None:
    order = array("Q")
    unreadable: list[str] = []
    for looked in look(path.disk):
        for seen in looked.seen:
            slot, worse = _enter(path, paths, index, seen)
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
            path.fifo.readmit(slot, index.links.weight[slot])
    found.dropped += len(unreadable)
    for name in unreadable:
        path.disk.unlink(name)


def _enter(path: CachePath, paths: list[CachePath], index: Index, seen: Seen) -> tuple[int | None, str | None]:
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
    if seen.notes:
        index.torn[slot] = seen.notes
    return slot, worse


def _placing(path: CachePath, paths: list[CachePath], index: Index) -> Callable[[Segment, Line], None]:
    """Returns what enters a journal's line into the index; one call a line, of which there are millions."""
    slots, kinds, learned_column, number = index.slots, index.kinds, index.learned, path.number

    def place(segment: Segment, line: Line) -> None:
        digest, offset, length, learned_at, what, version = line
        slot = slots.get(digest)
        if what != What.KEPT:
            packed = slot is not None and kinds[slot] == Kind.PACKED and index.paths[slot] == number
            if slot is None or not packed or index.packed_place(slot) != (segment.number, offset):
                return
            if what == What.LEARNED:
                learned_column[slot] = learned_at
            else:
                lose(slot)
            return
        if slot is not None:
            if learned_column[slot] > learned_at:
                path.packs.count_dead(segment, length)
                return
            lose(slot)
        slot = index.add(digest, Kind.PACKED, number)
        index.versions[slot] = version or b""
        learned_column[slot] = learned_at
        index.segment[slot] = segment.number
        index.place[slot] = offset
        index.length[slot] = length
        path.fifo.readmit(slot, length)

    def lose(slot: int) -> None:
        loser = paths[index.paths[slot]]
        loser.fifo.remove(slot)
        if kinds[slot] == Kind.PACKED:
            loser.packs.count_dead(loser.packs.segments[index.segment[slot]], index.length[slot])
        else:
            loser.disk.unlink(loser.file_path(index.keys[slot], index.place[slot]))
        index.remove(slot)

    return place
