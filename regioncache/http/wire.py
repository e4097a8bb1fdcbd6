"""One client connection's bytes. They are pulled: the socket is read only while somebody waits for it, and straight
into the memory of who waits, so that whoever counts bytes before they arrive knows what can have arrived.
"""

import asyncio
import socket
from typing import Protocol, cast

from regioncache.http.faults import AnswerCutShort, AnswerTimeout

_IN_A_ROW_BYTES = 512 * 1024
"""What came already is taken at once, up to so much; then the loop has its turn: a fast peer must not keep it."""

NOTHING = memoryview(b"")
"""In place of room for what lies beyond."""


class Wire(Protocol):
    """Plain or TLS."""

    @property
    def broken(self) -> bool:
        """Whether it can carry no further request: lost, at its end, or spoken to while nobody waited."""
        ...

    def send(self, data: bytes) -> None:
        """Hands `data` on; it waits in this process where the peer does not take it."""
        ...

    def take(self, into: memoryview, beyond: memoryview) -> int:
        """Reads what has come already, into `into` and, behind it, `beyond`; 0: `pull` waits for it, or finds the end.

        Raises: AnswerCutShort (reset).
        """
        ...

    async def pull(self, into: memoryview, seconds: float) -> int:
        """Reads at least one byte into `into`, 0 at the end of the connection.

        Raises: AnswerTimeout, AnswerCutShort (reset). After these, or when cancelled, the wire is broken.
        """
        ...

    def rest(self) -> None:
        """Nobody waits for a while: notices if the peer closes."""
        ...

    def close(self) -> None:
        """Ends it now. Safe to call twice."""
        ...


class PlainWire(asyncio.BufferedProtocol):
    """A wire over TCP.

    All of its state: `_into` where bytes may go and `_waiter` who is told, both None while nobody pulls; `_deadline`
    when the waiter is given up, looked at by one timer that is moved on lazily; `_reading` the socket is read by the
    loop; `_in_a_row` bytes taken past it since it had its turn; `_over` the peer ended, `_error` why; `broken`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        self._loop = loop
        self._sock = sock
        self._in_a_row = 0
        self._transport: asyncio.Transport | None = None
        self._into: memoryview | None = None
        self._waiter: asyncio.Future[int] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._reading = True
        self._over = False
        self._error: Exception | None = None
        self._spare = memoryview(bytearray(1))
        self.broken = False

    @classmethod
    async def open(cls, sock: socket.socket) -> "PlainWire":
        """Takes over a connected, non-blocking socket."""
        loop = asyncio.get_running_loop()
        wire = cls(loop, sock)
        try:
            await loop.create_connection(lambda: wire, sock=sock)
        except BaseException:
            sock.close()
            raise
        return wire

    # The transport's calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._spare if self._into is None else self._into

    def buffer_updated(self, nbytes: int) -> None:
        if self._into is None:
            self.close()  # Spoken to while nobody asked: what follows could be taken for the next answer.
            return
        self._pause()
        self._settle(nbytes)

    def eof_received(self) -> bool:
        self._end(None)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error)

    # The owner's calls.

    def send(self, data: bytes) -> None:
        """Hands `data` on."""
        if self._transport is not None and not self.broken:
            self._transport.write(data)

    async def pull(self, into: memoryview, seconds: float) -> int:
        """Reads at least one byte into `into`, 0 at the end. Raises AnswerTimeout, AnswerCutShort."""
        if self._over or self._transport is None or self.broken:
            return self._ended()
        if self._in_a_row >= _IN_A_ROW_BYTES:
            await self._others_first()
        if got := self.take(into, NOTHING):
            return got
        if self._over or self.broken:
            return self._ended()
        waiter: asyncio.Future[int] = self._loop.create_future()
        self._waiter = waiter
        self._into = into
        self._deadline = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            self._watch()
        self._resume()
        try:
            return await waiter
        except BaseException:
            self.close()
            raise
        finally:
            self._waiter = self._into = None

    def take(self, into: memoryview, beyond: memoryview) -> int:
        """Takes what the kernel has; 0: nothing yet, or the end, or it is others' turn: `pull` finds out."""
        # While the loop reads the socket too, it may have been told of the same bytes.
        if self._reading or self._over or self._in_a_row >= _IN_A_ROW_BYTES:
            return 0
        try:
            got = self._sock.recvmsg_into((into, beyond))[0] if len(beyond) else self._sock.recv_into(into)
        except (BlockingIOError, InterruptedError):
            self._in_a_row = 0
            return 0
        except OSError as error:
            self._end(error)
            self.close()
            raise _cut(error) from error
        self._in_a_row += got
        return got

    async def _others_first(self) -> None:
        """Lets the loop have its turn; cheaper than to have it read what is there already."""
        self._in_a_row = 0
        try:
            await asyncio.sleep(0)
        except BaseException:
            self.close()
            raise

    def rest(self) -> None:
        """Notices if the peer closes, or speaks unasked."""
        self._resume()

    def close(self) -> None:
        """Ends it now."""
        self.broken = True
        self._end(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()

    def _pause(self) -> None:
        if self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def _resume(self) -> None:
        if not self._reading and not self._over and self._transport is not None:
            # Others have their turn by that; one who waited for it besides would hear of what comes as unasked.
            self._in_a_row = 0
            self._reading = True
            self._transport.resume_reading()

    def _settle(self, nbytes: int) -> None:
        self._into = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(nbytes)

    def _end(self, error: Exception | None) -> None:
        self.broken = self._over = True
        self._error = self._error or error
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiter is not None and not self._waiter.done():
            if self._error is None:
                self._waiter.set_result(0)
            else:
                self._waiter.set_exception(_cut(self._error))

    def _ended(self) -> int:
        if self._error is not None:
            raise _cut(self._error)
        return 0

    def _watch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        """The timer went off: too late, or the deadline has moved on since."""
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._deadline:
            self._watch()
        elif not self._came(self._into):
            self._waiter.set_exception(AnswerTimeout("the other side is silent"))

    def _came(self, into: memoryview | None) -> bool:
        """Takes what came while the loop was held up: uvloop looks at its timers before it looks at its sockets."""
        assert into is not None, "it lasts as long as the waiter"
        try:
            got = self._sock.recv_into(into)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._end(error)
            return True
        if got:
            self._pause()
            self._settle(got)
        else:
            self._end(None)
        return True


def _cut(error: Exception) -> AnswerCutShort:
    return AnswerCutShort(f"the connection broke: {error}")
