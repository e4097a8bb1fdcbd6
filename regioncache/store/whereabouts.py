"""Where on a disk an extent or a packed object lies, for other processes of this host that read it there themselves.

Who is told counts as a use: eviction would else take for cold what siblings read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from regioncache.pages import ObjectId, Version
from regioncache.store.cachepath import CachePath
from regioncache.store.identity import extent_digest, object_digest, squeeze
from regioncache.store.index import Index, Kind
from regioncache.store.keeping import Keeping


@dataclass(frozen=True, slots=True)
class Whereabout:
    """A file, and of a packed object the place in it, its length, and when it was learned of; length 0: an extent."""

    path: str
    offset: int = 0
    length: int = 0
    learned_at: float = 0.0


class Whereabouts:
    """Answers from memory."""

    def __init__(self, paths: Sequence[CachePath], index: Index, keeping: Keeping) -> None:
        self._paths = paths
        self._index = index
        self._keeping = keeping

    def of(self, oid: ObjectId, version: Version, extent: int) -> Whereabout | None:
        """Where an extent of that version lies, or the packed object; None: it is not held."""
        index = self._index
        slot = index.slots.get(extent_digest(object_digest(oid), version, extent))
        if slot is None or (self._keeping.expiring and self._keeping.past(slot)):
            return None
        if extent == 0 and index.versions[slot] != squeeze(version):
            return None
        path = self._paths[index.paths[slot]]
        if path.disk.out is not None:
            return None
        if index.kinds[slot] != Kind.PACKED:
            path.fifo.touch(slot)
            return Whereabout(path.file_path(index.keys[slot], index.place[slot]))
        segment = path.packs.segments.get(index.segment[slot])
        if segment is None:
            return None
        path.fifo.touch(slot)
        return Whereabout(segment.path, index.place[slot], index.length[slot], index.learned[slot])
