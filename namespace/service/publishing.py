"""What regions tell of their nodes: in etcd as long as the node goes on telling, by whichever instance it tells.

The items hang on this process's lease; a node that falls silent is taken out by it, unless it tells another instance by
now, and all go with the lease if the process dies.
"""

import asyncio
from collections.abc import Callable

from namespace import contents
from namespace.etcdclient.client import Etcd
from namespace.etcdclient.errors import EtcdError
from namespace.etcdclient.session import Session
from namespace.etcdclient.values import Delete, held_by
from namespace.keeping import PUBLISH_SECONDS, NamespaceAway
from namespace.store.layout import LIVE

SILENT_SECONDS = 3 * PUBLISH_SECONDS
SESSION_SECONDS = SILENT_SECONDS
LOOK_SECONDS = 1.0


class Publishing:
    """Mutable state: the session, and by key what was told and when."""

    def __init__(self, etcd: Etcd, clock: Callable[[], float]) -> None:
        """`clock` is monotonic seconds."""
        self._etcd = etcd
        self._clock = clock
        self._session: Session | None = None
        self._told: dict[bytes, tuple[bytes, float]] = {}
        self._turn = asyncio.Lock()

    async def tell(self, item: str) -> None:
        """A node tells of itself. Raises NamespaceAway."""
        key, value = LIVE + contents.node_name(contents.node_of(item)).encode(), item.encode()
        known = self._told.get(key)
        try:
            async with self._turn:
                session = await self._alive()
                if known is None or known[0] != value:
                    await session.put(key, value)
        except EtcdError as fault:
            raise NamespaceAway(f"the namespace's etcd cannot be told of the node: {fault}") from fault
        self._told[key] = (value, self._clock())

    async def look(self) -> None:
        """Takes out who has fallen silent, until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = self._clock()
            for key in [key for key, (_, at) in self._told.items() if now - at > SILENT_SECONDS]:
                del self._told[key]
                await self._take_out(key)

    async def close(self) -> None:
        """Ends the lease; who still tells tells another instance."""
        if self._session is not None:
            await self._session.close()

    async def _alive(self) -> Session:
        if self._session is None:
            self._session = await Session.open(self._etcd, SESSION_SECONDS)
        elif not self._session.alive:
            # All keys are put again: of a node that tells another instance by now it is the same, or soon taken out.
            await self._session.renew()
        return self._session

    async def _take_out(self, key: bytes) -> None:
        session = self._session
        if session is None:
            return
        session.drop(key)
        try:
            await self._etcd.transact([held_by(key, session.lease)], [Delete(key)])
        except EtcdError:
            # It goes with the lease, or the node comes back: nothing is lost by it.
            return
