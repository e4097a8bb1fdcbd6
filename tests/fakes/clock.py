"""A clock that stands still until a test moves it; sleepers wake in the order of their due times."""

import asyncio
import heapq
import itertools


class FakeClock:
    """A monotonic clock: `clock()` is seconds. `await clock.sleep(s)` returns when a test has advanced it by that."""

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        return self._now

    monotonic = __call__

    def time(self) -> float:
        """Seconds since the epoch, moving together with the monotonic seconds."""
        return 1_700_000_000.0 + self._now

    @property
    def sleeping(self) -> int:
        """How many sleepers wait."""
        return sum(not future.done() for _, _, future in self._sleepers)

    @property
    def next_due(self) -> float | None:
        """When the first sleeper wakes, or None where nobody sleeps."""
        return min((due for due, _, future in self._sleepers if not future.done()), default=None)

    async def sleep(self, seconds: float) -> None:
        """Waits until the clock has moved by `seconds`; nothing to wait for still gives the loop one turn."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        await future

    def advance(self, seconds: float) -> None:
        """Moves the clock; sleepers that are due run at the loop's next turn."""
        self.move_to(self._now + seconds)

    def move_to(self, now: float) -> None:
        """Moves the clock to `now`, never backwards."""
        if now < self._now:
            raise ValueError(f"a monotonic clock does not go back from {self._now} to {now}")
        self._now = now
        while self._sleepers and self._sleepers[0][0] <= now:
            future = heapq.heappop(self._sleepers)[2]
            if not future.done():
                future.set_result(None)

    async def run_for(self, seconds: float, turns: int = 20) -> None:
        """Moves from one sleeper's due time to the next for `seconds`, letting tasks run `turns` loop turns at each."""
        end = self._now + seconds
        await settle(turns)
        while (due := self.next_due) is not None and due <= end:
            self.move_to(max(due, self._now))
            await settle(turns)
        self.move_to(end)
        await settle(turns)


async def settle(turns: int = 20) -> None:
    """Lets every task that can run do so, for a bounded number of loop turns."""
    for _ in range(turns):
        await asyncio.sleep(0)
