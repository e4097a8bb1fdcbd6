"""The control door: the one gRPC address of a node. Opened only if some part of the node has a service for it.

Whoever has one calls `offer` while the node is built; `open` and `close` are the node's. Nothing of gRPC is
loaded where nothing is offered.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.config import Address, Listener
from gateway.logs import call_faults

if TYPE_CHECKING:
    from namespace.rpc.serving import RpcServer, Service


class ControlDoor:
    """Services waiting for their server, then the server."""

    def __init__(self, listener: Listener, region: str, secret_of: Callable[[str], str | None]) -> None:
        """Args:
        listener: `listen.control`.
        region: ours.
        secret_of: the secret of a region with ours, None where there is none.
        """
        self._listener = listener
        self._region = region
        self._secret_of = secret_of
        self._services: list[Service] = []
        self._server: RpcServer | None = None

    def offer(self, service: "Service") -> None:
        """Adds a service; before `open`."""
        self._services.append(service)

    async def open(self) -> Address | None:
        """Listens, and returns where; None: nothing was offered. Raises AddressTaken, OSError (certificate)."""
        if not self._services:
            return None
        from namespace.rpc.channels import RpcTls
        from namespace.rpc.serving import RpcServer
        from namespace.rpc.signing import Trust

        tls = self._listener.tls
        pair = None if tls is None else RpcTls(cert=tls.cert.read_bytes(), key=tls.key.read_bytes())
        self._server = RpcServer(self._services, Trust(self._region, self._secret_of), call_faults())
        port = await self._server.start(str(self._listener.address), pair)
        return Address(self._listener.address.host, port)

    async def close(self, grace_seconds: float) -> None:
        """Ends what runs after so many seconds. Safe to call more than once."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(grace_seconds)
