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


@dataclass(frozen=True, slots=True)
class Sought:
    """What is asked for: the hash of an extent, or of a packed object; of extent 0, whose hash is the object's, with
    the version in few bytes."""

    digest: int
    version: bytes = b""

    @classmethod
    def of(cls, oid: ObjectId, version: Version, extent: int) -> "Sought":
        """Returns how an extent of a version is asked for."""
        digest = extent_digest(object_digest(oid), version, extent)
        return cls(digest, b"" if extent else squeeze(version))


class Whereabouts:
    """Answers from memory."""

    def __init__(self, paths: Sequence[CachePath], index: Index, keeping: Keeping) -> None:
        self._paths = paths
        self._index = index
        self._keeping = keeping

    def of(self, sought: Sought) -> Whereabout | None:
        """Where it lies; None: it is not held."""
        index = self._index
        slot = index.slots.get(sought.digest)
        if slot is None or (self._keeping.expiring and self._keeping.past(slot)):
            return None
        if sought.version and index.versions[slot] != sought.version:
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
