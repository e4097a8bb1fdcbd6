"""The supervisor: starts the workers, owns their listening sockets, hears their ends, passes signals on.

It decides nothing (`care` does), serves nothing, and loads neither gRPC nor the loop that serves: it must not fail.
"""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from socket import socket

import structlog

from gateway.config import NodeSettings
from gateway.workers import care, link
from gateway.workers.care import Care, Deed
from gateway.workers.order import Order
from gateway.workers.shares import name
from gateway.workers.sockets import Sockets

PROGRAM = (sys.executable, "-P", "-m", "gateway")


class SettingsRefused(Exception):
    """What node.yaml says now cannot be gone by; the message says why."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What workers are started with: settings as checked, their text and its file, the command line by number.

    `arguments` is told the worker's number, and whether the node starts, or only the worker anew.
    """

    settings: NodeSettings
    text: str
    file: str
    arguments: Callable[[int, bool], Sequence[str]]


@dataclass(slots=True)
class Child:
    """A worker's process."""

    process: subprocess.Popen[bytes]
    link: socket
    id: str
    pidfd: int


@dataclass(slots=True)
class Supervisor:
    """Mutable state: the plan, what `care` keeps, the processes by number, and a deed's end."""

    plan: Plan
    again: Callable[[], Plan]
    """Reads and checks the settings anew. Raises SettingsRefused."""
    sockets: Sockets
    kept: Sequence[int]
    """Descriptors that workers hold as long as they run: the locks of the node's folders."""
    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    children: dict[int, Child] = field(default_factory=dict)
    _care: Care = field(init=False)
    _line: str = ""
    _code: int | None = None
    _by: signal.Signals | None = None
    _timer: asyncio.TimerHandle | None = None
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._care = Care(self.plan.settings.workers)

    async def run(self) -> int:
        """Runs the node until its end; returns the exit code, as of a node that is one process."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves SIGHUP
                loop.add_signal_handler(number, self._signalled, number)
        self._do(self._care.begin(self.clock()))
        await self._over.wait()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
        code = self._code or 0
        return 130 if not code and self._by is signal.SIGINT else code

    def _signalled(self, number: signal.Signals) -> None:
        if number is signal.SIGHUP:
            self._reload()
            return
        self._by = self._by or number
        self._do(self._care.stop(self.clock()))

    def _reload(self) -> None:
        log = structlog.stdlib.get_logger("causeway")
        try:
            plan = self.again()
        except SettingsRefused as wrong:
            log.warning(f"settings are not read again, and nothing is restarted: {wrong}")
            return
        log.info("settings are read again: workers are restarted, one by one")
        self.plan = plan
        self._do(self._care.reload(self.clock()))

    def _do(self, deeds: Sequence[Deed]) -> None:
        """Does what is to be done; what comes of a start that fails is done after it."""
        for deed in deeds:
            match deed:
                case care.Start(number):
                    self._start(number)
                case care.End(number):
                    self._signal(number, signal.SIGTERM)
                case care.Kill(number):
                    self._signal(number, signal.SIGKILL)
                case care.LetGo(number):
                    link.told(self.children[number].link, said="go")
                case care.Lost(number):
                    self._tell_lost(number)
                case care.Died(number, code, pause):
                    self._tell_died(number, code, pause)
                case care.Ready():
                    self.say(f"{self._line}; {self.plan.settings.workers} workers")
                case care.Reloaded():
                    structlog.stdlib.get_logger("causeway").info("all workers are restarted")
                case care.Over(code, why):
                    self._end(code, why)
        self._wait()

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        seconds = None if self._over.is_set() else self._care.wait(self.clock())
        loop = asyncio.get_running_loop()
        self._timer = None if seconds is None else loop.call_later(seconds, self._tick)

    def _tick(self) -> None:
        self._do(self._care.tick(self.clock()))

    def _start(self, number: int) -> None:
        ours, theirs = link.pair()
        text = os.memfd_create("settings", os.MFD_CLOEXEC)
        os.write(text, self.plan.text.encode())
        doors = self.sockets
        order = Order(
            number, secrets.token_hex(8), self.plan.file, text, theirs.fileno(),
            doors.s3.fileno(), doors.admin.fileno(), doors.peer.fileno(), doors.own[number].fileno(),
        )  # fmt: skip
        first = number not in self.children
        try:
            process = subprocess.Popen(  # noqa: S603
                [*PROGRAM, *self.plan.arguments(number, first)],
                stdin=subprocess.DEVNULL,
                env=order.environment(),
                pass_fds=(*order.descriptors, *self.kept),
                # A terminal's Ctrl-C is for the supervisor alone.
                start_new_session=True,
            )
        finally:
            theirs.close()
            os.close(text)
        child = Child(process, ours, order.process, os.pidfd_open(process.pid))
        self._close(self.children.pop(number, None))
        self.children[number] = child
        loop = asyncio.get_running_loop()
        loop.add_reader(child.pidfd, self._ended, number, child)
        loop.add_reader(ours.fileno(), self._heard, number, child)

    def _heard(self, number: int, child: Child) -> None:
        word = link.received(child.link)
        if word is None:
            asyncio.get_running_loop().remove_reader(child.link.fileno())
        elif word.get("said") == "ready":
            self._line = word["line"]
            self._do(self._care.ready(number, self.clock()))
        elif word.get("said") == "quiet":
            self._do(self._care.quiet(number, self.clock()))

    def _ended(self, number: int, child: Child) -> None:
        # What it said last comes before its end.
        while child.link.fileno() >= 0 and (word := link.received(child.link)):
            if word.get("said") == "ready":
                self._line = word["line"]
        loop = asyncio.get_running_loop()
        loop.remove_reader(child.pidfd)
        loop.remove_reader(child.link.fileno())
        self._do(self._care.ended(number, child.process.wait(), self.clock()))

    def _signal(self, number: int, what: signal.Signals) -> None:
        child = self.children.get(number)
        if child is not None and child.process.poll() is None:
            child.process.send_signal(what)

    def _tell_lost(self, number: int) -> None:
        gone = self.children[number]
        who = name(self.plan.settings.node, number)
        for other, child in self.children.items():
            alive = other != number and child.process.poll() is None
            if alive and link.told(child.link, said="ended", name=who, process=gone.id):
                return

    def _tell_died(self, number: int, code: int, pause: float) -> None:
        structlog.stdlib.get_logger("causeway").error(
            "a worker died, and is started again",
            worker=number,
            exit=code if code >= 0 else signal.Signals(-code).name,
            seconds=pause,
        )

    def _close(self, child: Child | None) -> None:
        if child is not None:
            child.link.close()
            os.close(child.pidfd)

    def _end(self, code: int, why: str) -> None:
        for child in self.children.values():
            self._close(child)
        self.sockets.close()
        if why:
            self.say(f"causeway: {why}")
        self._code = code
        self._over.set()
