"""A clock with timers that stands still until a test moves it: virtual time for shells that set one timer at a time."""

import asyncio
import heapq
import itertools
from collections.abc import Callable

from tests.fakes.clock import settle


class Alarm:
    """One timer that was set."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """It shall not ring."""
        self._call = None

    def ring(self) -> None:
        """Calls back, once."""
        call, self._call = self._call, None
        if call is not None:
            call()

    @property
    def set(self) -> bool:
        """Whether it will still ring."""
        return self._call is not None


class Alarms:
    """`alarms()` is monotonic seconds, `alarms.later` sets a timer, `run_for` moves from one to the next."""

    def __init__(self, now: float = 1000.0, early: float = 0.0) -> None:
        """Args: early: Seconds by which a timer that is set for more than twice that rings too early: a loop counts
        from the beginning of its turn, in whole milliseconds."""
        self._now = now
        self._early = early
        self._order = itertools.count()
        self._set: list[tuple[float, int, Alarm]] = []

    def __call__(self) -> float:
        return self._now

    def later(self, seconds: float, call: Callable[[], None]) -> Alarm:
        """Calls back `seconds` from now."""
        alarm = Alarm(call)
        early = self._early if seconds > 2 * self._early else 0.0
        heapq.heappush(self._set, (self._now + seconds - early, next(self._order), alarm))
        return alarm

    async def run_for(self, seconds: float, turns: int = 6) -> None:
        """Lets `seconds` pass; at each alarm tasks get `turns` loop turns to do what they can."""
        end = self._now + seconds
        await settle(turns)
        while self._set and self._set[0][0] <= end:
            due, _, alarm = heapq.heappop(self._set)
            if alarm.set:
                self._now = max(self._now, due)
                alarm.ring()
                await settle(turns)
        self._now = end
        await settle(turns)

    async def sleep(self, seconds: float) -> None:
        """Waits until so much time was let pass."""
        woken = asyncio.get_running_loop().create_future()
        self.later(seconds, lambda: None if woken.done() else woken.set_result(None))
        await woken
