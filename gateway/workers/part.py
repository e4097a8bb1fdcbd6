"""A worker's side of its node: what it inherited, the word from its supervisor, and how it ends without errors."""

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.admin.operations import Operations
from gateway.config import NodeSettings
from gateway.operating.running import Running
from gateway.workers.link import Link
from gateway.workers.order import Order
from gateway.workers.shares import share
from gateway.workers.whole import Whole
from regioncache.http.server import Server
from regioncache.owners.siblings import SiblingSettings

if TYPE_CHECKING:
    from gateway.admin.server import AdminServer

LINGER_SECONDS = 1.0
"""Clients that ask often get `Connection: close` with a reply within this; those that are silent for longer are
unlikely to ask in the very moment in which their connection is closed."""
QUIET_SECONDS = 20.0
"""A worker whose replies have ended serves siblings, whose have not, for so long."""


class Part:
    """Mutable state: the link, once the loop runs."""

    def __init__(self, order: Order, whole: NodeSettings) -> None:
        """`whole` are the settings of the node."""
        self.order = order
        self.whole = whole
        self.settings = share(whole, order.number)
        self.sockets = {door: _inherited(getattr(order, door)) for door in ("s3", "admin", "peer", "own")}
        self._link_end = _inherited(order.link)
        self._link: Link | None = None

    def attach(self, on_ended: Callable[[str, str], None]) -> None:
        """The loop runs; `on_ended` is told the name and process of a sibling that has died."""
        link = self.link
        link.on_ended = on_ended

    @property
    def siblings(self) -> SiblingSettings:
        """The workers of this node."""
        return SiblingSettings(self.whole.node, self.whole.cache.directories, self.whole.workers)

    @property
    def link(self) -> Link:
        """To the supervisor; asked for in the running loop."""
        if self._link is None:
            self._link = Link(self._link_end)
        return self._link

    async def quiet(self, s3: Server, admin: "AdminServer | None", grace_seconds: float) -> None:
        """Ends the doors of clients, while siblings still read through this worker; returns once none needs it."""
        async with asyncio.TaskGroup() as doors:
            doors.create_task(s3.stop(grace_seconds, min(LINGER_SECONDS, grace_seconds)))
            if admin is not None:
                doors.create_task(admin.stop())
        if grace_seconds:
            await self.link.quiet(QUIET_SECONDS)

    async def orphaned_or(self, other: "asyncio.Future[str]") -> str:
        """Returns why this worker must end by itself: there is no supervisor any more, or what `other` says."""
        orphaned = asyncio.ensure_future(self.link.gone.wait())
        try:
            await asyncio.wait((orphaned, other), return_when=asyncio.FIRST_COMPLETED)
            if other.done():
                return other.result()
            return f"the supervisor of {self.settings.node} has gone: its workers end, and start again with it"
        finally:
            orphaned.cancel()
            other.cancel()

    def answering(self, running: Running, operations: Operations) -> Whole:
        """Returns what answers for all workers of the node."""
        return Whole(self.whole.node, running, operations)

    def close(self) -> None:
        """Closes what was inherited and is still held here."""
        for one in self.sockets.values():
            one.close()
        if self._link is not None:
            self._link.close()


def _inherited(descriptor: int) -> socket.socket:
    return socket.socket(fileno=descriptor)
