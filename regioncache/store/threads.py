"""A few threads that take calls in order, and tell how long a call has been under way.

They are daemons: a thread that hangs in a dead disk's call must not keep the process from ending.
"""

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

_IDLE = float("inf")


class Threads:
    """Mutable state: the queue, and by thread when its call began; a thread starts with each of the first calls."""

    def __init__(self, count: int, name: str, clock: Callable[[], float]) -> None:
        """Args: clock: monotonic seconds."""
        self._name = name
        self._clock = clock
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._began = [_IDLE] * count
        self._threads: list[threading.Thread] = []
        self._here = threading.local()

    def __repr__(self) -> str:
        return f"Threads({self._name!r}, {len(self._threads)} started, {self._calls.qsize()} queued)"

    def submit(self, call: Callable[[], None]) -> None:
        """Queues a call, which must not raise."""
        self._calls.put(call)
        mine = len(self._threads)
        if mine < len(self._began):
            self._threads.append(threading.Thread(target=self._work, args=(mine,), name=self._name, daemon=True))
            self._threads[mine].start()

    def longest(self) -> float:
        """Seconds since the call under way longest began, or was last `alive`; 0 where there is none."""
        return max(0.0, self._clock() - min(self._began))

    def alive(self) -> None:
        """The call on this thread goes on: it is made of several that may take long together."""
        mine = getattr(self._here, "number", None)
        if mine is not None:
            self._began[mine] = self._clock()

    def close(self, patience: float | None) -> bool:
        """Ends the threads behind what is queued. Blocks.

        Returns whether all ended: those that hang are left alone, after `patience` seconds, None: never.
        """
        for _ in self._threads:
            self._calls.put(None)
        until = None if patience is None else time.monotonic() + patience
        for thread in self._threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self, mine: int) -> None:
        self._here.number = mine
        while (call := self._calls.get()) is not None:
            self._began[mine] = self._clock()
            call()
            # What it brought would lie in memory until the next call.
            del call
            self._began[mine] = _IDLE
