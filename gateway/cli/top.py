"""`top`: what a node does, live on a terminal; once where there is none, for scripts."""

import math
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from gateway.cli.client import AdminClient, NotReached, Refusal
from gateway.cli.faults import CommandFault
from gateway.cli.reach import reaching
from gateway.cli.show import Seconds, json_option, parsed, print_json

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from gateway.cli.looks import Look

SCREEN_SECONDS = 0.5
"""The longest between two pictures: that a node is silent must show."""
QUIT = ("q", "Q", "\x1b", "\x04")


@click.command()
@reaching
@click.option(
    "--interval",
    type=Seconds(0.2, 60),
    default=1.0,
    show_default=True,
    help="Seconds between two looks at the node.",
)
@click.option("--once", is_flag=True, help="Show one interval and end; so it is where the output is no terminal.")
@json_option
def top(client: AdminClient, interval: float, once: bool, as_json: bool) -> None:
    """Show live what a node does: doors, reads, lines, origins, tenants, who waits.

    q ends it. A node that goes away is asked again until it is back. --json prints one interval's figures.
    """
    from rich.console import Console

    from gateway.cli.board import board
    from gateway.cli.looks import figures

    first = look(client)
    if not (as_json or once) and sys.stdout.isatty():
        _live(client, first, interval, Console())
        return
    time.sleep(interval)
    now = figures(first, look(client))
    if as_json:
        print_json(_plain(asdict(now)))
        return
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    console.print(board(now, console.width))


def look(client: AdminClient) -> "Look":
    """Asks a node. Raises NotReached, Refusal."""
    from gateway.admin.answers import Measured, Status
    from gateway.cli.looks import Look

    status = parsed(Status, client.get("status"))
    metrics = parsed(tuple[Measured, ...], client.get("metrics"))
    return Look.of(time.monotonic(), status, metrics)


class Watch:
    """Looks at a node again and again, in a thread: keys work while it does not answer.

    Mutable state, guarded by the lock: the last two looks, and the fault of the last try with its moment.
    """

    def __init__(self, ask: Callable[[], "Look"], first: "Look", interval: float) -> None:
        self._ask = ask
        self._interval = interval
        self._lock = threading.Lock()
        self._looks: tuple[Look | None, Look] = (None, first)
        self._fault: CommandFault | None = None
        self._asked_at = time.monotonic()
        self._ending = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def end(self) -> None:
        """Looks no more; what is being asked is left alone."""
        self._ending.set()

    def seen(self) -> "tuple[Look | None, Look, CommandFault | None]":
        """The last two looks, and why there is no newer one."""
        with self._lock:
            before, now = self._looks
            late = time.monotonic() - max(self._asked_at, now.at)
            if self._fault is None and late > self._interval + 2.0:
                return before, now, NotReached("the node does not answer")
            return before, now, self._fault

    def _run(self) -> None:
        while not self._ending.wait(self._interval):
            with self._lock:
                self._asked_at = time.monotonic()
            try:
                now = self._ask()
            except (NotReached, Refusal) as fault:
                with self._lock:
                    self._fault = fault
                continue
            with self._lock:
                # Nobody wants the average over an absence.
                self._looks, self._fault = (None if self._fault else self._looks[1], now), None


def _live(client: AdminClient, first: "Look", interval: float, console: "Console") -> None:
    from rich.live import Live

    watch = Watch(lambda: look(client), first, interval)
    try:
        with keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
            while True:
                live.update(_screen(watch, console), refresh=True)
                if pressed(min(interval, SCREEN_SECONDS)) in QUIT:
                    return
    except KeyboardInterrupt:
        return  # the usual way out of what runs until it is ended
    finally:
        watch.end()


def _screen(watch: Watch, console: "Console") -> "RenderableType":
    from rich.console import Group
    from rich.text import Text

    from gateway.cli.board import board
    from gateway.cli.looks import figures

    before, now, fault = watch.seen()
    gone = ""
    if fault is not None:
        gone = f"{fault}; seen last {time.monotonic() - now.at:.0f} s ago, asking on"
    return Group(board(figures(before, now), console.width, gone), Text("\nq: quit", style="dim"))


@contextmanager
def keys() -> Iterator[Callable[[float], str]]:
    """Gives what waits so many seconds for a key and returns it, or nothing; the terminal is as before afterwards."""
    if not sys.stdin.isatty():
        yield _no_keys
        return
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def pressed(seconds: float) -> str:
        ready, _, _ = select.select([terminal], [], [], seconds)
        # Not by sys.stdin: its buffer would hold keys back from the next select.
        return os.read(terminal, 1).decode("latin-1") if ready else ""

    try:
        tty.setcbreak(terminal)
        yield pressed
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _no_keys(seconds: float) -> str:
    time.sleep(seconds)
    return ""


def _plain(value: object) -> object:
    """As JSON knows it: what is beyond all bounds is null."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
