"""Blocking calls handed to a disk's threads, and those who wait for them: nobody waits long for a disk that hangs.

The watch says that a disk hangs when one of its calls has not returned for `PATIENCE_SECONDS`; then all who wait are
told. Who only waits for his turn that long is told too: the disk does not keep up. What was given up is not begun any
more, unless it must be done; what was under way ends some time, and then whoever handed it in is told what came of it.
"""

import asyncio
import contextlib
import errno
from collections.abc import Callable
from typing import Any, TypeVar

from regioncache.store.threads import Threads

T = TypeVar("T")

PATIENCE_SECONDS = 5.0
"""A call that has not returned by then takes the path out, and nobody waits longer for his turn either. Well above what
a busy disk needs for one call, well below what a client waits."""
_WATCH_SECONDS = 0.25
"""How often those who wait are looked after."""


class Handing:
    """Mutable state: `_waiting`, the calls that somebody waits for, each with when it was handed in and whether it may
    be given up before it hangs; `_unreturned`, how many there are, waited for or not; `slow`; the watch's timer."""

    def __init__(self, threads: int, clock: Callable[[], float], on_hang: Callable[[OSError], None]) -> None:
        """Args: threads: that work beside each other; clock: monotonic seconds; on_hang: told, on the loop, that a
        call does not return, again and again as long as it does not."""
        self._clock = clock
        self._on_hang = on_hang
        self._pool = Threads(threads, "disk", clock)
        self._appender = Threads(1, "disk-append", clock)
        # Of futures of any kind: who waits knows of what.
        self._waiting: dict[asyncio.Future[Any], tuple[float, bool]] = {}
        self._unreturned = 0
        self._watching: asyncio.TimerHandle | None = None
        self.slow = False
        """Whether somebody gave up waiting for his turn a moment ago."""

    def __repr__(self) -> str:
        return f"Handing({len(self._waiting)} waited for, {self._pool!r}, {self._appender!r})"

    def any_thread(self, call: Callable[[], T], late: Callable[[T], None]) -> asyncio.Future[T]:
        """Hands a call to the first thread that is free; `late` is told what came of it when nobody waits any more."""
        return self._hand(self._pool, call, late, certain=False)

    def in_order(self, call: Callable[[], T], late: Callable[[T], None]) -> asyncio.Future[T]:
        """Hands a call to the one thread that does each, in order, however late."""
        return self._hand(self._appender, call, late, certain=True)

    def idle(self) -> bool:
        """Whether no call is under way or will be."""
        return not self._unreturned

    def alive(self) -> None:
        """The call on this thread goes on: it is made of several that may take long together."""
        self._pool.alive()
        self._appender.alive()

    def close(self, patience: float | None) -> bool:
        """Ends the threads. Blocks. Returns whether all ended; they have `patience` seconds, None: any time."""
        ended = self._appender.close(patience)
        return self._pool.close(patience) and ended

    def unwatch(self) -> None:
        """Nobody waits any more."""
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None

    def _hand(
        self, threads: Threads, call: Callable[[], T], late: Callable[[T], None], *, certain: bool
    ) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def returned(result: list[T], error: BaseException | None) -> None:
            self._unreturned -= 1
            self._waiting.pop(future, None)
            if future.done():
                for each in result:
                    late(each)
            elif error is not None:
                fail(future, error)
            else:
                future.set_result(result[0])

        def work() -> None:
            result: list[T] = []
            error: BaseException | None = None
            try:
                if certain or not future.done():
                    result.append(call())
            except BaseException as failed:
                error = failed
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(returned, result, error)
            # An error leads to this frame: with the way back it would lie in memory until it is collected.
            del error

        self._unreturned += 1
        self._waiting[future] = self._clock(), not certain
        threads.submit(work)
        if self._watching is None:
            self._watching = loop.call_later(_WATCH_SECONDS, self._watch)
        return future

    def _watch(self) -> None:
        """Looks after those who wait, as long as there are any."""
        now = self._clock()
        waiting = {future: since for future, since in self._waiting.items() if not future.done()}
        if max(self._pool.longest(), self._appender.longest()) >= PATIENCE_SECONDS:
            why = errno.ETIMEDOUT, f"a call has not returned for {PATIENCE_SECONDS:g} s"
            self._on_hang(OSError(*why))
            late, self.slow = list(waiting), False
        else:
            why = errno.EBUSY, f"no answer for {PATIENCE_SECONDS:g} s"
            late = [future for future, (since, weak) in waiting.items() if weak and now - since >= PATIENCE_SECONDS]
            self.slow = bool(late)
        for future in late:
            if not future.done():
                fail(future, OSError(*why))
        self._waiting = {future: since for future, since in self._waiting.items() if not future.done()}
        again = bool(self._waiting) or self.slow
        self._watching = asyncio.get_running_loop().call_later(_WATCH_SECONDS, self._watch) if again else None


def fail(future: "asyncio.Future[T]", error: BaseException) -> None:
    """A failure is the waiter's to handle; where there is none any more it shows at the next call."""
    future.set_exception(error)
    future.exception()
