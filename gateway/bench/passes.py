"""Runs the passes of a bench: several readers take reads from one list, until it ends or a bound is reached."""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from gateway.bench.plan import Done, Pass, Planned, again, summary
from gateway.bench.reader import Door, Slowed


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of each pass."""

    readers: int
    seconds: float
    nbytes: int


@dataclass(slots=True)
class Bench:
    """A cold and a warm pass over the same reads. `stop` ends the one under way; what it showed is kept."""

    door: Door
    bounds: Bounds
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    timer: Callable[[], float] = time.perf_counter

    async def run(self, reads: Sequence[Planned]) -> list[Pass]:
        """Returns what each pass showed, fewer than two where it was stopped. Raises DoorFault."""
        done, seconds = await self._pass(reads)
        passes = [summary("cold", done, seconds)]
        once_more = again(done)
        if once_more and not self.stop.is_set():
            done, seconds = await self._pass(itertools.cycle(once_more))
            passes.append(summary("warm", done, seconds))
        return passes

    async def _pass(self, reads: Iterable[Planned]) -> tuple[list[Done], float]:
        """One pass over the reads, which may be endless; returns what was read, and the seconds it took."""
        run = _Run(self.door, iter(reads), self.bounds.nbytes)
        began = self.timer()
        readers = [asyncio.create_task(run.reader()) for _ in range(self.bounds.readers)]
        stopping = asyncio.create_task(self.stop.wait())
        try:
            await _first_of(readers, stopping, self.bounds.seconds)
        finally:
            for task in (*readers, stopping):
                task.cancel()
            ended = await asyncio.gather(*readers, return_exceptions=True)
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome
        return run.done, self.timer() - began


async def _first_of(readers: Sequence["asyncio.Task[None]"], stopping: "asyncio.Task[bool]", seconds: float) -> None:
    """Waits until all readers are through, one has failed, it is stopped, or the time is up."""
    everyone = asyncio.gather(*readers)
    try:
        await asyncio.wait((everyone, stopping), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        everyone.cancel()
        await asyncio.gather(everyone, return_exceptions=True)


class _Run:
    """One pass under way. Mutable state: `_reads`, `_nbytes`, `done`."""

    def __init__(self, door: Door, reads: Iterator[Planned], most_bytes: int) -> None:
        self._door = door
        self._reads = reads
        self._most = most_bytes
        self._nbytes = 0
        self.done: list[Done] = []

    async def reader(self) -> None:
        while self._nbytes < self._most:
            read = next(self._reads, None)
            if read is None:
                return
            await self._one(read)

    async def _one(self, read: Planned) -> None:
        """One read, as often as the door says to come again."""
        tries, late, began, got = 0, 0.0, time.perf_counter(), 0

        def received(nbytes: int) -> bool:
            nonlocal got
            got += nbytes
            self._nbytes += nbytes
            return self._nbytes < self._most or got >= len(read)

        try:
            while isinstance(outcome := await self._door.read(read, received), Slowed):
                tries += 1
                await asyncio.sleep(outcome.seconds)
                late = time.perf_counter() - began
        except asyncio.CancelledError:
            self.done.append(Done(read, got, slowed_down=tries))
            raise
        # Who was told to come again has waited from his first try on.
        first = None if outcome.first_seconds is None else outcome.first_seconds + late
        whole = None if outcome.whole_seconds is None else outcome.whole_seconds + late
        self.done.append(replace(outcome, first_seconds=first, whole_seconds=whole, slowed_down=tries))
