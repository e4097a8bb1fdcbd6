"""What happens to a federation by schedule: nodes killed and started again, and what each of that may cost."""

import random
import re
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.real.lab.federation import PEER_PORT, Machine
from tests.real.lab.network import Site
from tests.real.lab.process import tool
from tests.real.lab.reads import PAGE


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill: when, whom, what it held of the line then, and how long it took until it served again."""

    at: float
    machine: str
    streams: int
    buffer: int
    """The largest receive buffer of its streams, bytes."""
    ready_seconds: float

    @property
    def may_cost(self) -> int:
        """Bytes that may be brought again after it: a page and the receive buffer for each open stream."""
        return self.streams * (PAGE + self.buffer)


@dataclass(slots=True)
class Kills:
    """The kills so far; `faults` of the one who kills."""

    kills: list[Kill] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)

    @property
    def may_cost(self) -> int:
        return sum(one.may_cost for one in self.kills)

    @property
    def slowest_start(self) -> float:
        return max((one.ready_seconds for one in self.kills), default=0.0)

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
def killing(victims: Sequence[Machine], *, every: float, down: float, seed: int, far: Site) -> Iterator[Kills]:
    """Kills one of the victims every so many seconds while the `with` runs, and starts it `down` seconds later.

    Where starting takes long the kills come later: a node serves for `every` - `down` before it is killed again.

    At the end the one that is down is started; a kill cuts the streams from `far`.
    """
    done, over, draw = Kills(), threading.Event(), random.Random(seed)

    def kill_one() -> None:
        victim = draw.choice(victims)
        count, buffer = streams(victim, far)
        at = time.monotonic()
        victim.kill()
        over.wait(down)
        begun = time.monotonic()
        victim.start()
        victim.node.process.wait_until(victim.node.ready)
        done.kills.append(Kill(at, victim.name, count, buffer, time.monotonic() - begun))

    def work() -> None:
        try:
            next_at = time.monotonic() + every / 2
            while not over.wait(max(0.0, next_at - time.monotonic())):
                kill_one()
                next_at = max(next_at + every, time.monotonic() + every - down)
        except BaseException as fault:
            done.faults.append(fault)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()
    if done.faults:
        raise done.faults[0]
