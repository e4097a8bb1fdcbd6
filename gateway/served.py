"""The namespace service as this process runs it, on the control door. Loaded only where `namespace.regions` says so."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from gateway.config import NodeSettings
from gateway.controldoor import ControlDoor
from gateway.logs import tidings
from namespace.etcdclient.client import Etcd
from namespace.sealing import KEYS, Seal
from namespace.service.publishing import Publishing
from namespace.service.serving import NamespaceService
from namespace.service.sights import Seals
from namespace.store.etcdstore import EtcdStore

FIRST_SECONDS = 5.0
"""A start waits so long for etcd; regions that ask earlier wait with it."""


class ServedNamespace:
    """One instance of the service. Mutable state: what runs for it."""

    def __init__(self, settings: NodeSettings, wall: Callable[[], float] = time.time) -> None:
        """Builds it; raises SecretUnreadable, EtcdRefused."""
        assert settings.etcd is not None
        etcd = Etcd(settings.etcd.access())
        secrets = {region: settings.secrets[region].read() for region in settings.namespace.regions}
        reference = settings.namespace.seal or settings.secrets.get(settings.region)
        opening = None if reference is None else Seal(reference.read(), KEYS)
        closing = {region: Seal(secret, KEYS) for region, secret in secrets.items()}
        self._etcd = etcd
        self._store = EtcdStore(etcd, tidings("causeway.namespace").warning, wall)
        self._publishing = Publishing(etcd, etcd.clock)
        self.service = NamespaceService(
            self._store, self._publishing, lambda region: Seals(opening, closing.get(region)), frozenset(secrets)
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, control: ControlDoor) -> None:
        """Follows etcd and offers the service at the control door, which is opened after this."""
        control.offer(self.service.service())
        self._tasks = [asyncio.create_task(self._store.follow()), asyncio.create_task(self._publishing.look())]
        await self._store.read(FIRST_SECONDS)

    def concern(self) -> str:
        """What an operator should know, in one sentence."""
        return self._store.damage or self._store.trouble

    def leave(self) -> None:
        """Ends what would never end by itself; before the control door is closed."""
        self.service.leave()

    async def close(self) -> None:
        """Ends it; the control door is closed before. Safe to call twice."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(FIRST_SECONDS):
                await self._publishing.close()
        await self._etcd.close()
