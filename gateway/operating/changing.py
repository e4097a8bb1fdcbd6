"""What administrators change: the files in force and the keys. Every change is recorded with its author."""

from dataclasses import replace

from gateway.admin.answers import KeyShown, MadeKey, NewKey
from gateway.admin.operations import BadOperation
from gateway.applying import Applied, AppliedFiles, Revision
from gateway.operating.pinning import Pinning
from gateway.operating.running import Running
from namespace import keys as namespace_keys
from namespace.errors import NamespaceError
from namespace.keeping import NamespaceAway, Superseded
from namespace.keys import AccessKey


class Changing(Pinning):
    """`gateway.admin.operations.Changing`. One change at a time, kept and then put in force.

    A commit takes milliseconds, but while another process holds the file (a backup) it waits for seconds.
    """

    running: Running

    async def apply(self, files: AppliedFiles, author: str, dry_run: bool, made_from: int | None = None) -> Applied:
        """Puts files in force; raises `policy.yamlfile.Faults`, Superseded, BadOperation."""
        applying = self.running.applying
        try:
            # Before its turn: origins are asked for what is to be pinned, and others need not wait for that.
            checked = await applying.check(files)
            unsummed = await self.check_pins(checked.pair)
            async with self.running.changing:
                applied = await self._kept(applying.keep(checked, files, author, dry_run, made_from))
        except NamespaceError as wrong:
            raise _told(wrong) from wrong
        return replace(applied, warnings=(*applied.warnings, *unsummed))

    async def rollback(self, number: int, author: str, dry_run: bool, made_from: int | None = None) -> Applied:
        """Puts the files of an older revision in force, as a new one; raises as `apply`."""
        async with self.running.changing:
            return await self._kept(self.running.applying.rollback(number, author, dry_run, made_from))

    async def history(self) -> tuple[Revision, ...]:
        """Every revision that is kept, newest first."""
        return await self.running.namespace.history()

    async def keys(self) -> tuple[KeyShown, ...]:
        """Every access key, by name."""
        return tuple(_shown(key) for key in self.running.namespace.newest().keys)

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
                key.regions,
            )
        except (NamespaceError, ValueError) as wrong:
            raise BadOperation(str(wrong)) from wrong
        async with self.running.changing:
            await self._kept(self.running.namespace.add_key(made, author, self.running.wall()))
        return MadeKey(made.id, made.secret)

    async def remove_key(self, name: str, author: str) -> KeyShown:
        """Removes a key by name or id. Raises UnknownKey."""
        async with self.running.changing:
            return _shown(await self._kept(self.running.namespace.remove_key(name, author, self.running.wall())))


def _told(wrong: NamespaceError) -> Exception:
    return wrong if isinstance(wrong, Superseded | NamespaceAway) else BadOperation(str(wrong))


def _shown(key: AccessKey) -> KeyShown:
    return KeyShown(key.id, key.name, key.tenant, key.cls, key.may_class, key.read, key.write, key.until, key.regions)
