"""A node's admin port in a thread of its own, as commands find it: they know nothing of event loops."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from gateway.admin.server import AdminServer
from gateway.admin.token import AdminToken
from gateway.cli.main import run
from gateway.config import Address
from gateway.metrics import DoorCounters
from namespace.store.embedded import EmbeddedStore
from tests.fakes.operations import FakeOperations

TOKEN = "a-token-of-sixteen-characters"


@dataclass(frozen=True, slots=True)
class FakeNode:
    """A running port and what stands behind it."""

    url: str
    operations: FakeOperations


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]
StartNode = Callable[[], FakeNode]


def _serve(operations: FakeOperations, stack: ExitStack) -> str:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    starting = AdminServer.start(Address("127.0.0.1", 0), operations, AdminToken(TOKEN), DoorCounters())
    server = asyncio.run_coroutine_threadsafe(starting, loop).result()

    def stop() -> None:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    stack.callback(stop)
    return server.url


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The node's log goes elsewhere: commands and node share a process here."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[StartNode]:
    with ExitStack() as stack:
        started: list[FakeNode] = []

        def start() -> FakeNode:
            store = EmbeddedStore(tmp_path / f"namespace-{len(started)}.db")
            stack.callback(store.close)
            operations = FakeOperations(store, {"/ns/train/a": 1_000_000})
            started.append(FakeNode(_serve(operations, stack), operations))
            return started[-1]

        yield start


@pytest.fixture
def node(start_node: StartNode, monkeypatch: pytest.MonkeyPatch) -> FakeNode:
    """The node that CAUSEWAY_ADMIN and CAUSEWAY_TOKEN name."""
    started = start_node()
    monkeypatch.setenv("CAUSEWAY_ADMIN", started.url)
    monkeypatch.setenv("CAUSEWAY_TOKEN", TOKEN)
    return started


@pytest.fixture
def causeway(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.delenv("CAUSEWAY_CONFIG", raising=False)

    def command(*arguments: object) -> Ended:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        told = capfd.readouterr()
        return Ended(code, told.out, told.err)

    return command
