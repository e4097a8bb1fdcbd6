"""A line in virtual time, read over connections that send as early as a kernel lets them."""

import asyncio
import math
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from policy.model import LinePolicy
from regioncache.ledger import Ledger
from regioncache.lines.line import Line
from regioncache.origins.base import Payer
from regioncache.pages import KIB, MIB
from regioncache.tidings import UNHEARD, Tidings
from tests.fakes.alarms import Alarms
from tests.fakes.scheduling import QUOTA, policy
from tests.fakes.wire import Wire

OVERHEAD = 1.06
EPOCH = 1_795_995_795.0
"""1,000 s, at which virtual time begins, before Sunday 2026-11-29, 23:59:55 UTC: five seconds before a Monday."""
REC, SEARCH = Payer("rec"), Payer("search")


@dataclass
class World:
    """A line, its ledger, the wire beneath, and the readers that were started on it."""

    line: Line
    ledger: Ledger
    alarms: Alarms
    wire: Wire
    payload: dict[str, int] = field(default_factory=dict)
    """Bytes read, by tenant."""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    most_buffer: int = 1 << 62
    """The largest receive buffer that the kernel makes, as read back."""

    def start(self, reading: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Starts it; the world ends it."""
        task = asyncio.create_task(reading)
        self.tasks.append(task)
        return task

    async def read(
        self, payer: Payer, asked: int, size: int | None = None, known: bool = True, until: float = math.inf
    ) -> None:
        """Reads one reply, as a flight does."""
        crossing = self.line.crossing(lambda: payer, "train-bj", lambda: "unique")
        try:
            buffer = min(2 * crossing.buffer_wanted(asked, known), self.most_buffer)
            connection = self.wire.connect(buffer)
            await crossing.prepay(asked, buffer)
            connection.send(asked if size is None else size)
            await connection.head()
            left = asked if size is None else size
            crossing.learned(left)
            while left and self.alarms() < until:
                room = await crossing.room(min(left, 256 * KIB))
                got = await connection.receive(room)
                crossing.read(got)
                left -= got
                self.payload[payer.tenant] = self.payload.get(payer.tenant, 0) + got
        finally:
            crossing.close()

    async def stream(self, payer: Payer, nbytes: int, until: float = math.inf) -> None:
        """Reads one long object after the other, in requests as long as the line wants them."""
        left = nbytes
        while left and self.alarms() < until:
            crossing = self.line.crossing(lambda: payer, "train-bj", lambda: "unique")
            asked = crossing.request_wanted(min(left, 64 * MIB))
            await self.read(payer, asked, until=until)
            left -= asked

    async def finish(self, reading: Coroutine[None, None, None]) -> None:
        """Lets time pass until the reading is over."""
        task = self.start(reading)
        while not task.done():
            await self.alarms.run_for(0.01)

    def debited_rate(self, since: float) -> float:
        """Debited bytes/s that arrived from `since` on."""
        return sum(n for at, n in self.wire.arrivals if at > since) * OVERHEAD / (self.alarms() - since)


@asynccontextmanager
async def world(
    path: Path,
    of: LinePolicy | None = None,
    round_trip: float = 0.08,
    limited: bool = True,
    most_buffer: int = 1 << 62,
    tidings: Tidings = UNHEARD,
    leased: bool = False,
    early: float = 0.0,
) -> AsyncIterator[World]:
    """A line whose ledger is in `path`; `round_trip` is in seconds. Its wall clock shows EPOCH and what passed.

    Its timers ring `early` seconds too early, as those of a loop do that was busy.
    """
    alarms, ledger = Alarms(early=early), Ledger.open(path / "ledger")
    terms = of or policy()
    line = Line(
        "bj-use1", "idc-bj>aws-use1", terms, ledger, alarms, later=alarms.later, limited=limited, tidings=tidings,
        wall=lambda: EPOCH + alarms(), leased=leased,
    )  # fmt: skip
    built = World(line, ledger, alarms, Wire(alarms, round_trip), most_buffer=most_buffer)
    try:
        yield built
    finally:
        for task in built.tasks:
            task.cancel()
        await asyncio.gather(*built.tasks, return_exceptions=True)
        ledger.close()


class Watch:
    """Both bounds of Burst: in any interval arrived <= quota x T + burst + what was prepaid at its start."""

    def __init__(self, built: World) -> None:
        self._world = built
        self._lowest = math.inf
        self.excess = 0.0
        """The most debited bytes by which an interval was above quota x T + prepaid."""
        self.over_limit = 0.0
        """The most by which prepaid bytes were above their limit."""
        built.wire.watch = self._arriving

    def _arriving(self, nbytes: int) -> None:
        seen = self._world.line.statistics()
        ahead = self._world.wire.total * OVERHEAD - QUOTA * self._world.alarms()
        self._lowest = min(self._lowest, ahead + seen.prepaid)
        self.excess = max(self.excess, ahead + nbytes * OVERHEAD - self._lowest)
        self.over_limit = max(self.over_limit, seen.prepaid - seen.prepaid_limit)
