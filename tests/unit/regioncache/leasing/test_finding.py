"""Finding a line's office: a node that has no control port is named, with the remedy."""

import asyncio

import pytest

from regioncache.errors import OriginUnavailable
from regioncache.http.client import Client
from regioncache.http.server import Server
from regioncache.leasing.finding import OPERATION, Asked, Place, desk
from regioncache.peers.desks import Questioner
from regioncache.peers.digests import Digests
from regioncache.peers.door import PeerDoor

pytestmark = pytest.mark.anyio
NOW = 1_800_000_000.0


async def test_a_node_without_a_control_port_is_named_with_what_it_lacks() -> None:
    secrets = {"here": "h" * 16}
    door = PeerDoor("there", secrets.get, None, None, None, lambda: NOW, Digests(), print)  # type: ignore[arg-type]
    server, client = Server(door), Client()
    host, port = await server.listen(("127.0.0.1", 0))
    questioner = Questioner("here", {"there": "h" * 16}.get, client, lambda: NOW)
    asked = Asked("here-there", "there", lambda: [f"{host}:{port}"], questioner)
    try:
        with pytest.raises(OriginUnavailable) as told:
            await asked.find()
        assert f"node {host}:{port} has no control port: give `listen.control`" in str(told.value)

        async def known(_line: str) -> Place:
            return Place("there-1:9300")

        door.desks[OPERATION] = desk(known, lambda _: ("here", "there"))
        assert await asked.find() == Place("there-1:9300")
    finally:
        client.close()
        await server.stop(0.0)
        await asyncio.sleep(0)
