"""A cache path that takes no more: admission stops, and the log is told once that it did, and once that it goes on."""

from regioncache.pages import MIB
from regioncache.store.disk import Disk
from regioncache.tidings import Tidings

_AGAIN_BYTES = 16 * MIB
"""So much must have been kept since a path was full before it is told that it keeps again: where some writes fail and
others do not, the log is not filled in its turn."""


class Fullness:
    """Mutable state: whether it was told that the path is full, and the bytes kept since."""

    def __init__(self, disk: Disk, tidings: Tidings) -> None:
        self._disk = disk
        self._tidings = tidings
        self._told = False
        self._kept = 0

    def __repr__(self) -> str:
        return f"Fullness({'told' if self._told else 'not full'}, {self._kept} kept since)"

    def stops(self, why: str) -> None:
        """Admission stops; told once."""
        self._disk.full = True
        self._kept = 0
        if not self._told:
            self._told = True
            self._tidings.warning(
                f"cache path {self._disk.path} is full: {why}; what it has is served, nothing more is kept "
                "until there is room: free space on its file system"
            )

    def kept(self, nbytes: int) -> None:
        """So much more is on the disk."""
        if self._told:
            self._kept += nbytes
            if self._kept >= _AGAIN_BYTES:
                self._told = False
                self._tidings.news(f"cache path {self._disk.path} has room again: what is read is kept")
