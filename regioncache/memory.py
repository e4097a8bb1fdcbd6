"""The memory budget of a process: each use has a reserved part, the rest is shared, and waiting for it is fair.

Flights and doors each have a quarter that the other cannot take, so neither can starve the other (design, Memory).
Windows of what nothing keeps live on what is left: their readers may be slow, and hold it for long.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from regioncache.errors import SlowDown

RESERVED = {"flight": 0.25, "door": 0.25, "window": 0.0}
"""The part of the budget that each use keeps for itself."""
WAITERS = 10_000
"""More than this many waiting for memory is an overload that the caller must hear of."""


class Memory:
    """Counts bytes held by use. Mutable state: `_held`, `_waiting`."""

    def __init__(self, budget: int) -> None:
        """Args: budget: bytes for all uses together."""
        self.budget = budget
        self._reserved = {use: int(budget * part) for use, part in RESERVED.items()}
        self._held: dict[str, int] = dict.fromkeys(RESERVED, 0)
        self._waiting: dict[str, deque[tuple[int, asyncio.Future[None]]]] = {use: deque() for use in RESERVED}

    def __repr__(self) -> str:
        return f"<Memory {self._held} of {self.budget}, {sum(map(len, self._waiting.values()))} waiting>"

    def most(self, use: str) -> int:
        """Bytes that one use may hold when it is alone."""
        return self.budget - sum(nbytes for name, nbytes in self._reserved.items() if name != use)

    def held(self) -> Mapping[str, int]:
        """Bytes held, by use."""
        return self._held

    def take_now(self, use: str, nbytes: int) -> bool:
        """Takes memory if there is room and nobody waits before us."""
        if self._waiting[use] or not self._fits(use, nbytes):
            return False
        self._held[use] += nbytes
        return True

    async def take(self, use: str, nbytes: int) -> None:
        """Waits for memory, first come first served within a use; raises SlowDown when too many wait already."""
        if self.take_now(use, nbytes):
            return
        queue = self._waiting[use]
        if len(queue) >= WAITERS:
            raise SlowDown(f"{len(queue)} requests wait for memory already", 1.0)
        turn = (nbytes, asyncio.get_running_loop().create_future())
        queue.append(turn)
        try:
            await turn[1]
        except asyncio.CancelledError:
            if turn in queue:
                queue.remove(turn)
            elif turn[1].done() and not turn[1].cancelled():
                self.give(use, nbytes)
            self._wake()
            raise

    def give(self, use: str, nbytes: int) -> None:
        """Gives memory back."""
        self._held[use] -= nbytes
        self._wake()

    @asynccontextmanager
    async def hold(self, use: str, nbytes: int) -> AsyncIterator[None]:
        """Holds memory for a while."""
        await self.take(use, nbytes)
        try:
            yield
        finally:
            self.give(use, nbytes)

    def _fits(self, use: str, nbytes: int) -> bool:
        free = self.budget
        for name, held in self._held.items():
            free -= held if name == use else max(held, self._reserved[name])
        return nbytes <= free or self._held[use] == 0

    def _wake(self) -> None:
        for use, queue in self._waiting.items():
            while queue and (queue[0][1].done() or self._fits(use, queue[0][0])):
                nbytes, turn = queue.popleft()
                if not turn.done():
                    self._held[use] += nbytes
                    turn.set_result(None)
