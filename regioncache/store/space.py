"""How much a cache path may still take: its own size, and what others leave of its file system. A core.

A twentieth of the file system is others' alone: the cache never grows into it. Where others have grown into it, the
cache keeps what it has and grows no more: what is new takes the place of as much that is old. Where less than a
hundredth is left, nothing new is kept at all, until there is twice that: what the cache gave up then, others would
take at once, and in the end it would hold nothing while the file system is as full as before.
"""

from regioncache.pages import MIB
from regioncache.store.base import KEEP_FREE

LEAST_FREE = 0.01
"""Share of a file system below which nothing new is kept."""
_LOOK_BYTES = 16 * MIB
"""Free space is asked for again after so many admitted bytes: often enough beside a twentieth of a disk."""


class Space:
    """Mutable state: what was seen last, the bytes admitted since, and `_most` while others leave too little."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._free = 0
        self._spare = 0
        self._least = 0
        self._since = 0
        self._most: int | None = None
        self._stale = True
        self._removed = False

    def __repr__(self) -> str:
        return f"Space({self.limit_bytes} bytes, {self._spare - self._since} spare, at most {self._most})"

    def stale(self, nbytes: int) -> bool:
        """Whether the file system shall be looked at before `nbytes` are admitted."""
        if self._stale or self._since >= _LOOK_BYTES:
            return True
        # Where files were removed there is more than was seen: of interest where that was too little.
        return self._removed and (self.narrow or self._spare - self._since < nbytes)

    @property
    def narrow(self) -> bool:
        """Whether it is others who leave no room, not the cache's own size."""
        return self._most is not None

    def removed(self) -> None:
        """Files were removed."""
        self._removed = True

    def changed(self) -> None:
        """What is on the file system may be quite another thing."""
        self._stale = True

    @property
    def since(self) -> int:
        """Bytes admitted since the last look."""
        return self._since

    def look(self, free: int, disk_bytes: int, coming: int, asked_at: int = 0) -> None:
        """The file system of `disk_bytes` has `free` ones, of which `coming` were admitted and are not there yet.

        Args:
            asked_at: what `since` was when it was looked at: what was admitted later is not in `coming`.
        """
        self._free = free
        self._spare = free - int(disk_bytes * KEEP_FREE) - coming
        self._least = int(disk_bytes * LEAST_FREE)
        self._since = max(0, self._since - asked_at) if asked_at else 0
        self._stale = self._removed = False

    def admitted(self, nbytes: int) -> None:
        """So many bytes will be written."""
        self._since += nbytes

    def short(self, nbytes: int, held: int, *, full: bool) -> int | None:
        """Returns how many bytes of those held must leave for `nbytes` more (none where it is not above 0).

        Args:
            held: bytes that the cache has on the path, and those it has admitted.
            full: whether admission had stopped: it begins again at twice the room.

        Returns None where nothing shall leave, since others have filled the file system.
        """
        spare = self._spare - self._since
        if spare >= nbytes:
            self._most = None
            return held + nbytes - self.limit_bytes
        self._most = max(held if self._most is None else self._most, held + spare)
        if self._free < self._least * (2 if full else 1):
            return None
        return held + nbytes - min(self.limit_bytes, self._most)
