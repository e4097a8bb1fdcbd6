"""Keeps the view in force on the disk, behind: who adopts one does not wait, and only the newest is written."""

import asyncio
from pathlib import Path

from regioncache.cluster import viewfile
from regioncache.cluster.view import View
from regioncache.cluster.viewfile import ViewTorn
from regioncache.tidings import Tidings


class ViewKeeper:
    """Mutable state: the view to be written."""

    def __init__(self, path: Path, tidings: Tidings) -> None:
        self._path = path
        self._tidings = tidings
        self._view: View | None = None
        self._due = asyncio.Event()

    async def kept(self) -> View | None:
        """Returns the view on the disk; a torn one is told, and is none."""
        try:
            return await asyncio.to_thread(viewfile.kept, self._path)
        except ViewTorn as fault:
            self._tidings.warning(f"{fault}; it is left out, and etcd alone tells who the members are")
            return None

    def keep(self, view: View) -> None:
        """This one is to be on the disk."""
        self._view = view
        self._due.set()

    async def run(self) -> None:
        """Writes until cancelled; what cannot be written is told once."""
        failed = False
        while True:
            await self._due.wait()
            self._due.clear()
            failed = not await self._written(failed)

    async def _written(self, told: bool) -> bool:
        if self._view is None:
            return True
        try:
            await asyncio.to_thread(viewfile.keep, self._path, self._view)
        except OSError as fault:
            if not told:
                self._tidings.warning(
                    f"the view cannot be kept at {self._path}: {fault.strerror or fault}; a start without etcd would go"
                    " on by an older one"
                )
            return False
        return True
