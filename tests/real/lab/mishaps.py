"""What happens to a federation by schedule: nodes killed and started again, and what each of that may cost."""

import random
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.real.lab.federation import PEER_PORT, Machine
from tests.real.lab.network import Site
from tests.real.lab.process import tool
from tests.real.lab.reads import PAGE

START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill: when, whom, what it held of the line then, and how long it took until it served again."""

    at: float
    machine: str
    streams: int
    buffer: int
    """The largest receive buffer of its streams, bytes."""
    ready_seconds: float | None
    """From its start; None: the next kill came before."""

    @property
    def may_cost(self) -> int:
        """Bytes that may be brought again after it: a page and the receive buffer for each open stream."""
        return self.streams * (PAGE + self.buffer)


@dataclass(slots=True)
class Kills:
    """The kills so far; `faults` of the one who kills."""

    kills: list[Kill] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        """Waits until as many as there shall be are done."""
        self.ended.wait()

    @property
    def may_cost(self) -> int:
        return sum(one.may_cost for one in self.kills)

    @property
    def slowest_start(self) -> float:
        return max((one.ready_seconds for one in self.kills if one.ready_seconds is not None), default=0.0)

    @property
    def never_ready(self) -> int:
        """After how many kills the next one came before the node was ready."""
        return sum(one.ready_seconds is None for one in self.kills)

    def __str__(self) -> str:
        begun = self.kills[0].at if self.kills else 0.0
        return ", ".join(f"{one.at - begun:.1f} s {one.machine} ({one.streams} streams)" for one in self.kills)


def streams(machine: Machine, far: Site) -> tuple[int, int]:
    """How many connections a node has to nodes of a far region, and the largest receive buffer among them."""
    which = ["state", "established", "dport", "=", f":{PEER_PORT}", "and", "dst", far.span]
    command = ["ip", "netns", "exec", machine.host.netns, tool("ss"), "-tmnH", *which]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    sizes = [int(size) for size in re.findall(r"\brb(\d+)", shown)]
    return len(sizes), max(sizes, default=0)


@contextmanager
def killing(
    victims: Sequence[Machine],
    *,
    every: float,
    down: float,
    seed: int,
    far: Site,
    relentless: bool = False,
    most: int | None = None,
) -> Iterator[Kills]:
    """Kills one of the victims every so many seconds while the `with` runs, and starts it `down` seconds later.

    Where starting takes long the kills come later: a node serves for `every` - `down` before it is killed again. Not so
    where it is `relentless`: then it is killed at its time, ready or not. It ends by itself after `most` kills.

    At the end the one that is down is started; a kill cuts the streams from `far`.
    """
    done, over, draw = Kills(), threading.Event(), random.Random(seed)

    def kill_one(next_at: float) -> None:
        victim = draw.choice(victims)
        count, buffer = streams(victim, far)
        at = time.monotonic()
        victim.kill()
        over.wait(down)
        begun = time.monotonic()
        victim.start(wait=False)
        given_up = None if not relentless else lambda: not over.is_set() and time.monotonic() >= next_at
        done.kills.append(Kill(at, victim.name, count, buffer, _ready_after(victim, begun, given_up)))

    def work() -> None:
        try:
            next_at = time.monotonic() + every / 2
            while len(done.kills) != most and not over.wait(max(0.0, next_at - time.monotonic())):
                next_at += every
                kill_one(next_at)
                if not relentless:
                    next_at = max(next_at, time.monotonic() + every - down)
        except BaseException as fault:
            done.faults.append(fault)
        finally:
            done.ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()
    if done.faults:
        raise done.faults[0]


def _ready_after(victim: Machine, begun: float, given_up: Callable[[], bool] | None) -> float | None:
    """Seconds from its start until it is ready; None: it was given up before."""
    while not victim.node.ready():
        victim.node.process.check()
        if given_up is not None and given_up():
            return None
        if time.monotonic() > begun + START_SECONDS:
            raise TimeoutError(f"{victim.name} is not ready after {START_SECONDS} s")
        time.sleep(0.02)
    return time.monotonic() - begun
