"""The region's own etcd keeps the namespace: one apply at any node of the region reaches all of them.

The nodes share the secret that seals the keys. Each keeps the newest snapshot on its own disk too, and goes on with it
while etcd is away.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress

from namespace import contents
from namespace.contents import PublishedNode
from namespace.errors import NamespaceError
from namespace.etcdclient.client import Etcd
from namespace.etcdclient.errors import EtcdError
from namespace.etcdclient.session import Session
from namespace.holding import Holding
from namespace.items import Difference, Snapshot
from namespace.keeping import Adopt, Draft, Known, NamespaceAway
from namespace.keys import AccessKey
from namespace.sealing import Seal
from namespace.store.base import PinnedPath, Revision
from namespace.store.etcdstore import EtcdStore
from namespace.store.layout import LIVE

FIRST_SECONDS = 5.0
"""A start waits so long for etcd to be read, and then goes on with what is on disk."""
SESSION_SECONDS = 10.0
STALE_SECONDS = 30.0
"""Of silence, after which `status` speaks of it: an election or a restart of etcd is over by then."""


class EtcdNamespace:
    """`namespace.keeping.Namespace` over an etcd that it closes. Made by `start`."""

    def __init__(self, region: str, store: EtcdStore, holding: Holding, seal: Seal | None) -> None:
        self.store = store
        self._region = region
        self._holding = holding
        self._seal = seal
        self._tasks: list[asyncio.Task[None]] = []
        self._session: Session | None = None
        store.on_change(self._heard)

    def __repr__(self) -> str:
        return f"<EtcdNamespace of {self._region}: {self.store!r}>"

    @classmethod
    async def start(
        cls, region: str, etcd: Etcd, holding: Holding, seal: Seal | None, warn: Callable[[str], None],
        wall: Callable[[], float], *, adopt: Adopt = "",
    ) -> "EtcdNamespace":  # fmt: skip
        """Follows etcd; on return the newest namespace is known, or what was on disk if etcd does not answer.

        Args:
            region: the node's.
            etcd: closed at the end, whatever happens.
            holding: the node's copy.
            seal: opens and closes keys; None: there are none that could be opened.
            warn: tells an operator.
            wall: seconds since the epoch.
            adopt: take what etcd has, whatever is on disk; an empty one only where that is said.

        Raises:
            SealBroken: no key opens: another secret is named here than the one they were sealed with.
        """
        namespace = cls(region, EtcdStore(etcd, warn, wall), holding, seal)
        try:
            await holding.restore(adopt)
            namespace._tasks = [
                asyncio.create_task(namespace.store.follow()),
                asyncio.create_task(holding.save()),
            ]
            await namespace.store.read(FIRST_SECONDS)
            holding.check_opened()
        except BaseException:
            await namespace.close()
            raise
        return namespace

    def newest(self) -> Known:
        """What is known now."""
        return self._holding.newest()

    async def newer(self, serial: int) -> Known:
        """Waits until something newer than `serial` is known, and returns it."""
        return await self._holding.newer(serial)

    def age_seconds(self) -> float:
        """How long ago etcd was heard."""
        return self.store.age_seconds()

    def concern(self) -> str:
        """What an operator should know, in one sentence."""
        if concern := self._holding.concern() or self.store.damage or self.store.trouble:
            return concern
        age = self.age_seconds()
        return f"etcd was not heard for {age:.0f} s: changes of the namespace wait" if age > STALE_SECONDS else ""

    async def apply(self, draft: Draft) -> Revision:
        """Keeps a draft as the newest revision, for all nodes of the region. Raises Superseded, NamespaceAway."""
        self._check_taken()
        revision = await self.store.apply(draft)
        await self.store.tidy()
        return revision

    async def history(self) -> tuple[Revision, ...]:
        """The revisions that are kept, newest first. Raises NamespaceAway."""
        return await self.store.history()

    async def files(self, number: int) -> Mapping[str, str] | None:
        """The texts of a revision, None if it is not kept. Raises NamespaceAway."""
        return await self.store.files(number)

    async def add_key(self, key: AccessKey, author: str, at: float) -> None:
        """Keeps a key, sealed. Raises KeyExists, NamespaceAway; NamespaceError: no secret is named that seals it."""
        self._check_taken()
        if self._seal is None:
            raise NamespaceError(
                "no secret is named that seals access keys in etcd: name the same one in each node of the region, as"
                " namespace: {seal: {file: ...}}, or that of the region itself under `secrets`"
            )
        await self.store.add_key(contents.key_item(key, self._seal), author, at)

    async def remove_key(self, name: str, author: str, at: float) -> AccessKey:
        """Removes the key of this name or id. Raises UnknownKey, NamespaceAway."""
        self._check_taken()
        return contents.key_shown(await self.store.remove_key(name, author, at))

    async def add_pin(self, pin: PinnedPath) -> None:
        """Keeps a pin of this region; one of the same path gives way to it. Raises NamespaceAway."""
        self._check_taken()
        name = contents.pin_name(self._region, pin.path)
        await self.store.put_item(name, contents.pin_item(pin), pin.author, pin.at)

    async def remove_pin(self, path: str, author: str, at: float) -> PinnedPath | None:
        """Removes this region's pin of this very path; None where there is none. Raises NamespaceAway."""
        self._check_taken()
        removed = await self.store.remove_item(contents.pin_name(self._region, path), author, at)
        return None if removed is None else contents.pin_of(removed)

    async def publish(self, node: PublishedNode) -> None:
        """Tells whoever follows this etcd of a node of this region, as long as this process lives."""
        try:
            if self._session is None:
                self._session = await Session.open(self.store.etcd, SESSION_SECONDS)
            elif not self._session.alive:
                await self._session.renew()
            await self._session.put(LIVE + contents.node_name(node).encode(), contents.node_item(node).encode())
        except EtcdError as fault:
            raise NamespaceAway(f"the namespace's etcd cannot be told of this node: {fault}") from fault

    async def close(self) -> None:
        """Ends what runs for it, and closes etcd. Safe to call twice."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        with suppress(OSError):
            await asyncio.to_thread(self._holding.save_now)
        await self.store.etcd.close()

    async def _heard(self, snapshot: Snapshot, base: Snapshot | None, changed: Difference | None) -> None:
        try:
            await self._holding.offer(snapshot, base, changed)
        except (ValueError, NamespaceError) as wrong:
            self._holding.unreadable(wrong)

    def _check_taken(self) -> None:
        if self._holding.refused:
            raise NamespaceAway(f"nothing was changed: {self._holding.concern()}")
