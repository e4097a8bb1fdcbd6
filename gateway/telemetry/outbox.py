"""What waits to be sent to a collector, and the thread that sends it: bounded, so that a dead collector costs nothing.

What finds no room and what could not be sent is dropped and counted; nobody ever waits for it but the end of the
process, and that for a bounded while.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of an outbox. `limit`: items that may wait; `batch`: items sent at once, since encoding them holds up the event
    loop, which shares the interpreter; `every_seconds`: how long an item waits for others to fill its batch."""

    limit: int
    batch: int
    every_seconds: float


@dataclass(slots=True)
class Posted:
    """What became of it, in items."""

    sent: int = 0
    dropped: int = 0


class Outbox(Generic[T]):
    """A bounded queue. `put` is called on any thread and never blocks.

    Mutable state: `_waiting`, appended to by `put` and emptied by the thread; `posted`; `_away`.
    """

    def __init__(
        self, name: str, send: Callable[[Sequence[T]], bool], on_change: Callable[[bool], None], bounds: Bounds
    ) -> None:
        """Args:
        name: of the thread.
        send: sends a batch and says whether it arrived; it may take long, and may raise.
        on_change: told, in the thread, True when the other side is away and False when it is back.
        bounds: of what waits.
        """
        self.posted = Posted()
        self._send = send
        self._on_change = on_change
        self._bounds = bounds
        self._waiting: deque[T] = deque()
        self._wake = threading.Event()
        self._ending = False
        self._away = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def put(self, item: T) -> None:
        """Takes an item to be sent, or drops it."""
        if len(self._waiting) >= self._bounds.limit:
            self.posted.dropped += 1
            return
        self._waiting.append(item)
        if len(self._waiting) >= self._bounds.batch and not self._wake.is_set():
            self._wake.set()

    def __len__(self) -> int:
        return len(self._waiting)

    def end(self) -> None:
        """Lets the thread send what waits and end; `join` waits for it."""
        self._ending = True
        self._wake.set()

    def join(self, seconds: float) -> bool:
        """Waits for the thread; False where it is still sending."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._ending:
            self._wake.wait(self._bounds.every_seconds)
            self._wake.clear()
            self._empty()
        self._empty()

    def _empty(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(self._bounds.batch, len(self._waiting)))]
            if self._sent(batch):
                self.posted.sent += len(batch)
                continue
            self.posted.dropped += len(batch)
            if self._ending:  # the other side is away: what is left would only hold up the end
                self.posted.dropped += len(self._waiting)
                self._waiting.clear()

    def _sent(self, batch: Sequence[T]) -> bool:
        try:
            arrived = self._send(batch)
        except Exception:
            arrived = False
        if self._away == arrived:
            self._away = not arrived
            self._on_change(self._away)
        return arrived
