"""Keeps the view in force on the disk, behind: who adopts one does not wait, and only the newest is written."""

import asyncio
import threading
from pathlib import Path

from regioncache.cluster import viewfile
from regioncache.cluster.view import View
from regioncache.cluster.viewfile import ViewTorn
from regioncache.tidings import Tidings

LAST_SECONDS = 2.0
"""A stop waits so long for the disk: a write takes some ms, and a node whose disk hangs must end nevertheless."""


class ViewKeeper:
    """Mutable state: the view to be written, the one that was, and whether a fault was told."""

    def __init__(self, path: Path, tidings: Tidings, last_seconds: float = LAST_SECONDS) -> None:
        self._path = path
        self._tidings = tidings
        self._last_seconds = last_seconds
        self._view: View | None = None
        self._written: View | None = None
        self._told = False
        self._due = asyncio.Event()
        self._writing = threading.Lock()

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
        while True:
            await self._due.wait()
            self._due.clear()
            await self._save()

    async def close(self) -> None:
        """Returns once the newest view is on the disk and nothing is being written, or could not be in 2 s.

        `run` has ended before; the thread it was waiting for goes on without it.
        """
        try:
            async with asyncio.timeout(self._last_seconds):
                await self._save()
        except TimeoutError:
            self._fault(f"the disk has not answered for {self._last_seconds:g} s")

    async def _save(self) -> None:
        try:
            await asyncio.to_thread(self._write)
            self._told = False
        except OSError as fault:
            self._fault(fault.strerror or str(fault))

    def _write(self) -> None:
        with self._writing:  # who ends `run` has left its thread behind, and an older view must not come last
            view = self._view
            if view is not None and view is not self._written:
                viewfile.keep(self._path, view)
                self._written = view

    def _fault(self, why: str) -> None:
        if not self._told:
            self._tidings.warning(
                f"the view cannot be kept at {self._path}: {why}; a start without etcd would go on by an older one"
            )
        self._told = True
