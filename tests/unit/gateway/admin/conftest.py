"""A running admin port over fake operations."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from gateway.admin.server import AdminServer
from gateway.admin.token import AdminToken
from gateway.config import Address
from gateway.metrics import DoorCounters
from namespace.store.embedded import EmbeddedStore
from tests.fakes.operations import FakeOperations

TOKEN = "a-token-of-sixteen-characters"


@dataclass(frozen=True, slots=True)
class Port:
    """The port, what stands behind it, and a session that has the token."""

    url: str
    operations: FakeOperations
    counters: DoorCounters
    session: aiohttp.ClientSession


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    opened = EmbeddedStore(tmp_path / "namespace.db")
    yield opened
    opened.close()


@pytest.fixture
async def port(anyio_backend: str, store: EmbeddedStore) -> AsyncIterator[Port]:
    operations, counters = FakeOperations(store, {"/ns/train/a": 1_000_000}), DoorCounters()
    server = await AdminServer.start(Address("127.0.0.1", 0), operations, AdminToken(TOKEN), counters)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    try:
        async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(60)) as session:
            yield Port(server.url, operations, counters, session)
    finally:
        await server.stop()
