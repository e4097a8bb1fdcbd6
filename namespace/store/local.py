"""The embedded store behind the face of all keepers: one node keeps the namespace in a file of its own.

Each call is a thread's, since a backup may hold the file for seconds; what is newest is read again before the call
returns.
"""

import asyncio
from collections.abc import Mapping

from namespace.contents import PublishedNode
from namespace.keeping import Draft, Known, came_between
from namespace.keys import AccessKey
from namespace.store.base import PinnedPath, Revision
from namespace.store.embedded import EmbeddedStore


class LocalNamespace:
    """`namespace.keeping.Namespace` over an open embedded store, which it closes."""

    def __init__(self, store: EmbeddedStore) -> None:
        """Reads what is kept. Raises StoreBroken."""
        self.store = store
        self._known = self._read(1)
        self._changed = asyncio.Event()
        self._one = asyncio.Lock()

    def __repr__(self) -> str:
        return f"<LocalNamespace {self.store.path}>"

    def newest(self) -> Known:
        """What is known now."""
        return self._known

    async def newer(self, serial: int) -> Known:
        """Waits until something newer than `serial` is known, and returns it."""
        while self._known.serial <= serial:
            await self._changed.wait()
        return self._known

    def age_seconds(self) -> float:
        """There is no other keeper."""
        return 0.0

    def concern(self) -> str:
        """A file that cannot be read fails the call that wants it."""
        return ""

    async def apply(self, draft: Draft) -> Revision:
        """Keeps a draft as the newest revision. Raises Superseded, StoreBroken."""
        async with self._one:
            newest = self._known.revision
            if newest is not None and newest.number != draft.made_from:
                raise came_between(draft.made_from, newest)
            await asyncio.to_thread(self.store.apply, draft.files, draft.author, draft.at)
            known = await self._refresh()
        assert known.revision is not None
        return known.revision

    async def history(self) -> tuple[Revision, ...]:
        """Every revision, newest first."""
        return await asyncio.to_thread(self.store.history)

    async def files(self, number: int) -> Mapping[str, str] | None:
        """The texts of a revision, None if there is no such one."""
        return await asyncio.to_thread(self.store.files, number)

    async def add_key(self, key: AccessKey, author: str, at: float) -> None:
        """Keeps a key. Raises KeyExists."""
        async with self._one:
            await asyncio.to_thread(self.store.add_key, key, author, at)
            await self._refresh()

    async def remove_key(self, name: str, author: str, at: float) -> AccessKey:
        """Removes the key of this name or id and returns it. Raises UnknownKey."""
        async with self._one:
            removed = await asyncio.to_thread(self.store.remove_key, name, author, at)
            await self._refresh()
        return removed

    async def add_pin(self, pin: PinnedPath) -> None:
        """Keeps a pin; one of the same path gives way to it."""
        async with self._one:
            await asyncio.to_thread(self.store.add_pin, pin)
            await self._refresh()

    async def remove_pin(self, path: str, author: str, at: float) -> PinnedPath | None:
        """Removes the pin of this very path and returns it; None where there is none."""
        async with self._one:
            removed = await asyncio.to_thread(self.store.remove_pin, path, author, at)
            await self._refresh()
        return removed

    async def publish(self, node: PublishedNode) -> None:
        """Nobody else reads this file."""

    async def close(self) -> None:
        """Closes the file."""
        self.store.close()

    async def _refresh(self) -> Known:
        # A change that is on disk is in force, whoever asked for it and has gone since.
        reading = asyncio.ensure_future(asyncio.to_thread(self._read, self._known.serial + 1))
        self._known = await asyncio.shield(reading)
        self._changed.set()
        self._changed = asyncio.Event()
        return self._known

    def _read(self, serial: int) -> Known:
        current = self.store.current()
        return Known(
            serial,
            None if current is None else current.revision,
            files=None if current is None else current.files,
            keys=self.store.keys(),
            pins=self.store.pins(),
        )
