"""What administrators change: the files in force and the keys. Every change is recorded with its author."""

import asyncio
from dataclasses import replace

from gateway.admin.answers import KeyShown, MadeKey, NewKey
from gateway.admin.operations import BadOperation
from gateway.applying import Applied, AppliedFiles, Revision
from gateway.operating.pinning import Pinning
from gateway.operating.running import Running
from namespace import keys as namespace_keys
from namespace.errors import KeyExists, NamespaceError
from namespace.keys import AccessKey


class Changing(Pinning):
    """`gateway.admin.operations.Changing`. One change at a time, kept by a thread and then put in force.

    A commit takes milliseconds, but while another process holds the file (a backup) it waits for seconds.
    """

    running: Running

    async def apply(self, files: AppliedFiles, author: str, dry_run: bool) -> Applied:
        """Puts files in force; raises `policy.yamlfile.Faults`, BadOperation."""
        applying = self.running.applying
        try:
            # Before its turn: origins are asked for what is to be pinned, and others need not wait for that.
            unsummed = await self.check_pins(await asyncio.to_thread(applying.check, files))
            async with self.running.changing:
                kept = await asyncio.to_thread(applying.keep, files, author, dry_run)
                applying.adopt(kept)
        except NamespaceError as wrong:
            raise BadOperation(str(wrong)) from wrong
        return replace(kept.applied, warnings=(*kept.applied.warnings, *unsummed))

    async def history(self) -> tuple[Revision, ...]:
        """Every revision, newest first."""
        kept = await asyncio.to_thread(self.running.store.history)
        return tuple(Revision(one.number, one.author, one.at, one.digest) for one in kept)

    async def keys(self) -> tuple[KeyShown, ...]:
        """Every access key, by name."""
        return tuple(_shown(key) for key in await asyncio.to_thread(self.running.store.keys))

    async def add_key(self, key: NewKey, author: str) -> MadeKey:
        """Makes a key. Raises KeyExists, BadOperation."""
        try:
            made = AccessKey(
                key.id or namespace_keys.new_id(),
                key.secret or namespace_keys.new_secret(),
                key.name,
                key.tenant,
                key.cls,
                key.may_class,
                key.read,
                key.write,
                key.until,
            )
            async with self.running.changing:
                await asyncio.to_thread(self.running.store.add_key, made, author, self.running.wall())
                self.running.keys.adopt(await asyncio.to_thread(self.running.store.keys))
        except KeyExists:
            raise
        except (NamespaceError, ValueError) as wrong:
            raise BadOperation(str(wrong)) from wrong
        return MadeKey(made.id, made.secret)

    async def remove_key(self, name: str, author: str) -> KeyShown:
        """Removes a key by name or id. Raises UnknownKey."""
        async with self.running.changing:
            removed = await asyncio.to_thread(self.running.store.remove_key, name, author, self.running.wall())
            self.running.keys.adopt(await asyncio.to_thread(self.running.store.keys))
        return _shown(removed)


def _shown(key: AccessKey) -> KeyShown:
    return KeyShown(key.id, key.name, key.tenant, key.cls, key.may_class, key.read, key.write, key.until)
