"""The small objects read most of late, whole and decoded in memory: a hit costs a look-up, not a read.

What lies here was checked when it was read, belongs to one version, and is dropped when another record of the object
is written. It has a part of the memory budget of its own. Every so often a hit is sent to the disk all the same: there
eviction learns that the object is in use.
"""

from collections import OrderedDict
from dataclasses import dataclass

from regioncache.pages import KIB, Meta, ObjectId

LARGEST_BYTES = 64 * KIB
"""Above this, reading from the kernel's cache costs less than what the memory is worth."""
OVERHEAD_BYTES = 1024
"""An entry's metadata and places in tables, with up to a few hundred bytes of user metadata."""
HITS_BETWEEN_TOUCHES = 32


@dataclass(slots=True)
class Hot:
    """One object. `left` counts down to the hit that goes to the disk."""

    meta: Meta
    data: memoryview
    left: int


@dataclass(frozen=True, slots=True)
class HotStatistics:
    objects: int
    nbytes: int
    limit: int


class HotObjects:
    """First in, first out under `limit` bytes. Mutable state: `_objects`, `_nbytes`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._objects: OrderedDict[ObjectId, Hot] = OrderedDict()
        self._nbytes = 0

    def find(self, oid: ObjectId) -> Hot | None:
        """The object if it is here and this hit need not be seen by the disk."""
        hot = self._objects.get(oid)
        if hot is None:
            return None
        hot.left -= 1
        if hot.left < 0:
            self.drop(oid)
            return None
        return hot

    def keep(self, oid: ObjectId, meta: Meta, data: memoryview) -> None:
        """Takes an object that was just read and checked."""
        nbytes = len(data) + OVERHEAD_BYTES
        if len(data) > LARGEST_BYTES or nbytes > self._limit:
            return
        self.drop(oid)
        self._objects[oid] = Hot(meta, data, HITS_BETWEEN_TOUCHES)
        self._nbytes += nbytes
        while self._nbytes > self._limit:
            self._weigh_out(self._objects.popitem(last=False)[1])

    def drop(self, oid: ObjectId) -> None:
        """Lets an object go, here or not."""
        hot = self._objects.pop(oid, None)
        if hot is not None:
            self._weigh_out(hot)

    def clear(self) -> None:
        """Lets all go: some of it shall be held no longer."""
        self._objects.clear()
        self._nbytes = 0

    def _weigh_out(self, hot: Hot) -> None:
        self._nbytes -= len(hot.data) + OVERHEAD_BYTES

    def statistics(self) -> HotStatistics:
        return HotStatistics(len(self._objects), self._nbytes, self._limit)
