"""A node from its start to its end: one line when it is ready, signals, a stop in good order.

The first SIGTERM, SIGINT or SIGHUP stops the node gracefully, the second cuts that short, unless it is a SIGHUP: one
terminal that goes sends several.
"""

import asyncio
import resource
import signal
from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable

import click
import structlog
import uvloop

from gateway.admin.operations import OperationFault, Operations
from gateway.admin.token import TokenUnusable
from gateway.applying import AppliedFiles
from gateway.cli import garbage
from gateway.cli.faults import CommandFault
from gateway.cli.show import patience
from gateway.config import NodeSettings
from gateway.telemetry.telemetry import TelemetryUnavailable
from gateway.tls import CertificateFault
from namespace.errors import NamespaceError
from namespace.references import SecretUnreadable
from policy.errors import Faults
from regioncache.cluster.view import OtherCluster
from regioncache.errors import CacheError
from regioncache.ledger import LedgerUnreadable

FIRST_START = "first start"
REPLACED = 3
"""Exit code of a node whose name another process took: started again it would take the name back, for ever."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""SIGHUP: the terminal has gone. By itself it would kill the process with its replies half sent."""
FILES = 65_536
"""More connections and extents than one process serves; a limit far above costs `fork` and old libraries time."""
KNOWN = (
    CacheError,
    CertificateFault,
    Faults,
    LedgerUnreadable,
    NamespaceError,
    OperationFault,
    OSError,
    OtherCluster,
    SecretUnreadable,
    TelemetryUnavailable,
    TokenUnusable,
)
"""Faults of a start whose message says what to do; every other keeps its traceback."""


class Running(Protocol):
    """A started node."""

    @property
    def operations(self) -> Operations:
        """What can be asked of it."""
        ...

    async def given_up(self) -> str:
        """Returns, if ever, why the node must stop by itself."""
        ...

    async def stop(self) -> None:
        """Ends everything the node began."""
        ...


@runtime_checkable
class Service(Protocol):
    """A started namespace service without a node: it has no admin port."""

    def ready_line(self) -> str:
        """The one line that says where it listens, and what it still waits for."""
        ...

    async def given_up(self) -> str:
        """Returns, if ever, why the service must stop by itself."""
        ...

    async def stop(self) -> None:
        """Ends everything the service began."""
        ...


Start = Callable[[NodeSettings], Awaitable[Running | Service]]


Announce = Callable[[NodeSettings, Operations], None]


def announced(settings: NodeSettings, operations: Operations) -> None:
    """Says where the node listens."""
    click.echo(ready_line(settings, operations))


def run(start: Start, settings: NodeSettings, first: AppliedFiles, announce: Announce = announced) -> int:
    """Runs a node until a signal; returns the exit code: 0 after SIGTERM or SIGHUP, 130 after Ctrl-C, 3 if replaced.

    Args:
        start: starts the node.
        settings: the node's.
        first: topology and policy to put in force if nothing is yet.
        announce: told once that the node stands.

    Raises:
        CommandFault: the node cannot start.
    """
    allow_files()
    garbage.keep_loaded()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(start, settings, first, announce))


def allow_files() -> None:
    """Lets the process open as many files as the system grants it, instead of the 1,024 that shells begin with.

    Each connection is one, and so is each extent that is read often.
    """
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if most == resource.RLIM_INFINITY else min(FILES, most)
    if resource.RLIM_INFINITY != allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


class Stop:
    """What signals ask for. Mutable: the first signal, and the task that a second one cancels."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.by: signal.Signals | None = None
        self.cut: asyncio.Task[None] | None = None

    def signalled(self, number: signal.Signals) -> None:
        """A signal came."""
        if self.by is None:
            self.by = number
            self.asked.set()
        elif self.cut is not None and number is not signal.SIGHUP:  # a login shell and the kernel both hang up
            self.cut.cancel()

    @property
    def code(self) -> int:
        """The exit code."""
        return 130 if self.by is signal.SIGINT else 0


async def _serve(start: Start, settings: NodeSettings, first: AppliedFiles, announce: Announce) -> int:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves SIGHUP
            loop.add_signal_handler(number, stop.signalled, number)
    with patience(f"reading what node {settings.node} keeps on disk"):
        node = await _started(start, settings, stop)
    if node is None:
        return stop.code
    try:
        await _first_apply(node, first)
        garbage.set_aside()
        if isinstance(node, Service):
            click.echo(node.ready_line())
        else:
            announce(settings, node.operations)
        why = await _ended(node, stop)
    finally:
        with patience("finishing the running replies; another signal cuts them"):
            await _stopped(node, stop)
    if why and stop.by is None:
        click.echo(f"causeway: {why}", err=True)
        return REPLACED
    return stop.code


async def _ended(node: Running | Service, stop: Stop) -> str:
    """Returns once the node is to stop: why it must by itself, empty where a signal asks for it."""
    asked, giving_up = asyncio.ensure_future(stop.asked.wait()), asyncio.ensure_future(node.given_up())
    try:
        await asyncio.wait((asked, giving_up), return_when=asyncio.FIRST_COMPLETED)
        return giving_up.result() if giving_up.done() else ""
    finally:
        asked.cancel()
        giving_up.cancel()


async def _started(start: Start, settings: NodeSettings, stop: Stop) -> Running | Service | None:
    """Returns the node, None where a signal came before it stood."""
    starting = asyncio.ensure_future(start(settings))
    waiting = asyncio.ensure_future(stop.asked.wait())
    try:
        await asyncio.wait((starting, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait((starting,))
            if starting.cancelled():
                return None
        return await starting
    except KNOWN as fault:
        raise CommandFault(f"node {settings.node} cannot start: {_message(fault)}") from fault
    finally:
        waiting.cancel()


async def _first_apply(node: Running | Service, first: AppliedFiles) -> None:
    if not first:
        return
    if isinstance(node, Service):
        raise CommandFault("a namespace service by itself applies nothing: apply the files at a region's node")
    revision = node.operations.status().revision
    if revision:
        structlog.stdlib.get_logger("causeway").info(
            "files of the command line are for the first start only; use `causeway apply`", in_force=revision
        )
        return
    try:
        await node.operations.apply(first, FIRST_START, dry_run=False)
    except (Faults, OperationFault) as fault:
        raise CommandFault(str(fault)) from fault


async def _stopped(node: Running | Service, stop: Stop) -> None:
    stop.cut = asyncio.ensure_future(node.stop())
    try:
        await stop.cut
    except asyncio.CancelledError:
        structlog.stdlib.get_logger("causeway").warning("stopped at once by a second signal; replies were cut")


def ready_line(settings: NodeSettings, operations: Operations) -> str:
    """Returns the one line that says where the node listens, and what it still waits for."""
    status = operations.status()
    doors = ", ".join(f"{door} {url}" for door, url in status.listeners)
    if not status.revision:
        state = "is up and waits for its first `causeway apply TOPOLOGY POLICY`"
    elif not status.ready:
        state = f"is up, not ready yet: {'; '.join(status.faults) or 'see `causeway status`'}"
    else:
        state = f"is ready, revision {status.revision}"
    return f"causeway: node {settings.node} of {settings.region} {state}: {doors}"


def _message(fault: Exception) -> str:
    if isinstance(fault, OSError):
        return f"{fault.strerror or fault}" + (f": {fault.filename}" if fault.filename else "")
    return str(fault)
