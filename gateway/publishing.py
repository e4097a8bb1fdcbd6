"""Tells the namespace of this node, for the nodes of other regions: where it is reached, and whether it is well."""

import asyncio
import socket
from contextlib import suppress

from gateway.config import Address
from gateway.operating.running import Running
from namespace.contents import PublishedNode
from namespace.errors import NamespaceError
from namespace.keeping import PUBLISH_SECONDS


async def publish(running: Running) -> None:
    """Tells it every few seconds, until it is cancelled; that nobody can be told is the namespace's own concern."""
    while True:
        # The keeper is away or refuses: `status` shows it, and it is told again in a moment.
        with suppress(NamespaceError):
            await running.namespace.publish(told_of(running))
        await asyncio.sleep(PUBLISH_SECONDS)


def told_of(running: Running) -> PublishedNode:
    """What is told of this node now."""
    said, held = running.settings.advertise, running.app.store.statistics()
    addresses = {
        door: str(_reached(getattr(said, door, None) or address)) for door, address in running.addresses.items()
    }
    fault = "; ".join(held.paths_out) if running.in_force.pair is not None else "no topology is in force here"
    return PublishedNode(running.settings.region, running.settings.node, addresses, held.limit_bytes, fault)


def _reached(address: Address) -> Address:
    """A wildcard is no address that others can ask."""
    return Address(socket.gethostname(), address.port) if address.host in {"0.0.0.0", "::"} else address  # noqa: S104
