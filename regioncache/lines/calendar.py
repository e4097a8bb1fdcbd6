"""Sees that windows begin and end on time: looks at the clock on the wall at each full minute."""

import asyncio
from collections.abc import Callable, Iterable

from regioncache.lines.line import Line

MINUTE = 60.0
"""Windows begin and end at full minutes, in every zone that is in use."""
MOST_SECONDS = 10.0
"""The longest sleep: a clock that was set, or a machine that slept, is noticed so soon."""


def until_next(moment: float) -> float:
    """Returns the seconds from `moment` (since the epoch) until it is worth while to look again."""
    return min(MOST_SECONDS, MINUTE - moment % MINUTE)


class Calendar:
    """Keeps the windows of all lines until `stop`. Mutable state: `_task`."""

    def __init__(self, lines: Callable[[], Iterable[Line]], wall: Callable[[], float]) -> None:
        self._lines = lines
        self._wall = wall
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to look."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends the looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def look(self) -> None:
        """Puts in force what holds now."""
        for line in self._lines():
            line.keep_windows()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(until_next(self._wall()))
            self.look()
