"""Threads for calls that a store may never answer: a few of its own, so that one that hangs stops nobody else.

An asker waits while there are signs of life: of his own call once it runs, of any call before. Who leaves does so at
once; the call ends when the kernel lets it, and what it brings is let go on its thread. The threads are daemons and end
when they are idle: a mount that hangs for good holds up no stop.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Generic, TypeVar

from regioncache.errors import SlowDown

T = TypeVar("T")

WAITING = 1024
"""Calls that may wait for a thread; at 50 us for a call at hand that is 6 ms of work for the threads of one origin."""
IDLE_SECONDS = 30.0
"""A thread costs 10 us to start and 100 KiB to keep."""


class Silent(Exception):
    """Nothing was heard of a call for as long as it may take."""


class Left(Exception):
    """Nobody waits for this call any more: it may stop at its next sign of life."""


class Signs:
    """Signs of life of one call: a long one gives some itself. Mutable state: `count`, `begun`, `left`."""

    __slots__ = ("begun", "count", "left")

    def __init__(self) -> None:
        self.count = 0
        self.begun = False
        self.left = False

    def give(self) -> None:
        """The call goes on; raises Left where that is no use."""
        self.count += 1
        if self.left:
            raise Left


class _Call(Generic[T]):
    """A call and its future on the loop of its asker."""

    def __init__(self, run: Callable[[Signs], T]) -> None:
        self.run = run
        self.signs = Signs()
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[T] = self.loop.create_future()


class Threads:
    """At most `count` threads. Mutable state under `_changed`: `_waiting`, `_running`, `_idle`, `_signs`."""

    def __init__(self, name: str, count: int, waiting: int = WAITING) -> None:
        self._name = name
        self._count = count
        self._most = waiting
        self._changed = threading.Condition()
        self._waiting: deque[Callable[[], None]] = deque()
        self._running = 0
        self._idle = 0
        self._signs = 0

    def __repr__(self) -> str:
        return f"<Threads {self._name} {self._running - self._idle} busy, {len(self._waiting)} calls waiting>"

    async def run(self, run: Callable[[Signs], T], seconds: float) -> T:
        """Returns what the call returns, and raises what it raises.

        Args:
            seconds: the longest without a sign of life.

        Raises: Silent, and SlowDown where too many calls wait already.
        """
        if len(self._waiting) >= self._most:
            raise SlowDown(f"{len(self._waiting)} calls to {self._name} wait already; ask again later", 1.0)
        call = _Call(run)
        self._put(lambda: self._make(call))
        try:
            await self._answered(call, seconds)
            return call.answer.result()
        except BaseException:
            call.signs.left = True
            if call.answer.done() and call.answer.exception() is None:
                self.let_go(call.answer.result())  # cancelled at the moment of the answer
            raise

    def let_go(self, thing: object) -> None:
        """Drops a reference on a thread: what ends with it (a file) may have to be waited for."""
        held = [thing]
        self._put(held.clear)

    async def _answered(self, call: _Call[T], seconds: float) -> None:
        while True:
            seen = (call.signs.begun, call.signs.count if call.signs.begun else self._signs)
            done, _ = await asyncio.wait({call.answer}, timeout=seconds)
            if done:
                return
            if seen == (call.signs.begun, call.signs.count if call.signs.begun else self._signs):
                raise Silent(f"nothing was heard of {self._name} for {seconds:g} s")

    def _put(self, work: Callable[[], None]) -> None:
        with self._changed:
            self._waiting.append(work)
            if len(self._waiting) <= self._idle:
                self._changed.notify()
            elif self._running < self._count:
                self._running += 1
                threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                came = self._changed.wait_for(lambda: self._waiting, IDLE_SECONDS)
                self._idle -= 1
                if not came:
                    self._running -= 1
                    return
                work = self._waiting.popleft()
            work()
            del work  # and with it what it alone still held
            self._signs += 1

    def _make(self, call: _Call[T]) -> None:
        """On a thread: makes the call, and tells the loop of its asker."""
        call.signs.begun = True
        if call.signs.left:
            return
        settle: partial[None]
        try:
            settle = partial(self._settle, call, call.run(call.signs))
        except BaseException as fault:
            settle = partial(_fail, call, fault)
        if call.signs.left:
            return
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
            call.loop.call_soon_threadsafe(settle)

    def _settle(self, call: _Call[T], result: T) -> None:
        """On the loop: hands over what the thread brought, if somebody still waits."""
        if call.signs.left:
            self.let_go(result)
        else:
            call.answer.set_result(result)


def _fail(call: _Call[T], fault: BaseException) -> None:
    if not call.signs.left:
        call.answer.set_exception(fault)
