"""TLS connections as they come in: accepted, and shaken hands with, under a bound.

The loop's own listener tells nobody of a connection before its handshake is done: whoever opens thousands and says
nothing would hold as many descriptors. Here the one that has dawdled longest goes when there are too many.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

Contexts = Callable[[], ssl.SSLContext]
"""Gives the context of the next connection: where authorities follow their files it is another one after a change."""

_AT_ONCE = 64
"""Connections accepted in a row, before those that are open get their turn."""
_PAUSE_SECONDS = 0.2
"""The process has no descriptors left: the kernel keeps who waits meanwhile."""
PATIENCE_SECONDS = 1.0
"""A handshake takes two round trips and some milliseconds of ours. While all places are taken by younger ones, a burst
of clients is more likely than strangers: the kernel keeps who else comes."""


@dataclass(slots=True)
class Counts:
    """What became of handshakes since the start."""

    failed: int = 0
    """What came was not TLS, or broke off, or took too long."""
    dropped: int = 0
    """Others came, and there were too many."""


class Handshakes:
    """Accepts on one listening socket until it is closed.

    Mutable: `_under_way`, when each handshake began, the eldest first; `_pause`, the timer while nobody is accepted.
    """

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext | Contexts,
        protocol: Callable[[], asyncio.Protocol],
        *,
        most: int,
        seconds: float,
        shutdown_seconds: float,
    ) -> None:
        """Begins to accept. Args: sock: bound and listening, ours from now on. most: handshakes at once."""
        self.counts = Counts()
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._context = contexts(context)
        self._protocol = protocol
        self._most = most
        self._seconds = seconds
        self._shutdown_seconds = shutdown_seconds
        self._under_way: dict[asyncio.Task[None], float] = {}
        self._pause: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        self._listen()

    def __len__(self) -> int:
        return len(self._under_way)

    def refuse(self) -> None:
        """Accepts no more; what is under way goes on. Safe to call twice."""
        if self._sock.fileno() < 0:
            return
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._sock.fileno())
        self._pause = None
        self._sock.close()

    def close(self) -> None:
        """Accepts no more and breaks off what is under way. Safe to call twice."""
        self.refuse()
        for task in self._under_way:
            task.cancel()

    async def ended(self) -> None:
        """Waits until no handshake is under way."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._sock.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            if wait := self._crowded():
                self._rest(wait)
                return
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError:
                self._rest(_PAUSE_SECONDS)
                return
            try:
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:  # gone already
                sock.close()
                continue
            self._begin(sock)

    def _crowded(self) -> float:
        """For how many seconds there is no room for one more, unless a handshake ends before; 0 = there is some now."""
        if len(self._under_way) < self._most:
            return 0.0
        began = next(iter(self._under_way.values()))
        return max(0.0, began + PATIENCE_SECONDS - self._loop.time())

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._sock.fileno())
        self._pause = self._loop.call_later(seconds, self._listen)

    def _begin(self, sock: socket.socket) -> None:
        if len(self._under_way) >= self._most:
            self.counts.dropped += 1
            eldest = next(iter(self._under_way))
            del self._under_way[eldest]
            eldest.cancel()
        task = self._loop.create_task(self._shake_hands(sock))
        self._under_way[task] = self._loop.time()
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        had_place = self._under_way.pop(task, None) is not None
        if had_place and self._pause is not None:
            self._pause.cancel()
            self._listen()

    async def _shake_hands(self, sock: socket.socket) -> None:
        try:
            # From here on the socket is the loop's, which closes it.
            await self._loop.connect_accepted_socket(
                self._protocol,
                sock,
                ssl=self._context(),
                ssl_handshake_timeout=self._seconds,
                ssl_shutdown_timeout=self._shutdown_seconds,
            )
        except OSError:  # TLS faults, resets and timeouts are all of this kind
            self.counts.failed += 1


def contexts(context: ssl.SSLContext | Contexts) -> Contexts:
    """Returns what gives the context of the next connection."""
    return (lambda: context) if isinstance(context, ssl.SSLContext) else context
