"""The directory of a file origin, opened anew for each question: a file system that is mounted again is seen at once.

A directory that is not there, or not what it was, says nothing about its objects: it is an origin that is away. So is
one that was a mount point and is none any more, and one that is empty and no mount point: what an unmounted file system
leaves behind must not look like a bucket whose objects are gone.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

from regioncache.errors import CacheError, NoSuchObject, Refused
from regioncache.origins.beneath import LOOK, OpenFile
from regioncache.origins.filefacts import away, meaning


@dataclass(frozen=True, slots=True)
class FileCalls:
    """The calls that a file system may keep waiting; a test gives ones that hang, fail or meet a change."""

    open: Callable[[str, int], int] = os.open
    pread: Callable[[int, int, int], bytes] = os.pread


class Root:
    """Mutable state: `_mounted`, whether it was ever seen as a mount point. Its calls block, on any thread."""

    def __init__(self, path: str, where: str, calls: FileCalls) -> None:
        """Args: where: what it is called in faults."""
        self.path = path
        self.where = where
        self._open = calls.open
        self._mounted = False

    def open(self) -> OpenFile:
        """Opens the directory, to open things beneath it; raises Refused where it is away."""
        try:
            opened = OpenFile(self._open(self.path, LOOK | os.O_DIRECTORY))
            mounted = self._mount_point(opened)
        except OSError as fault:
            raise away(fault, self.where) from fault
        if self._mounted and not mounted:
            raise Refused(f"{self.where} was a mount point and is none any more: mount its file system again")
        self._mounted = mounted
        return opened

    def meaning(self, fault: OSError, key: str) -> CacheError:
        """Returns what a failed call on `key` means; looks whether the directory is still there."""
        found = meaning(fault, self.where, key)
        try:
            self.open()
            if isinstance(found, NoSuchObject):
                self.check_mounted()
        except CacheError as gone:
            return gone
        return found

    def check_mounted(self) -> None:
        """Raises Refused if the directory looks like one whose file system is not mounted."""
        if self._mounted:
            return
        try:
            with os.scandir(self.path) as entries:
                empty = next(entries, None) is None
        except PermissionError:
            return  # objects may be read where names may not
        except OSError as fault:
            raise away(fault, self.where) from fault
        if empty:
            raise Refused(f"{self.where} is empty and no mount point: mount its file system, or put a file there")

    def _mount_point(self, opened: OpenFile) -> bool:
        return opened.status().st_dev != os.stat("..", dir_fd=opened.fd).st_dev
