"""The peer of one server connection, byte by byte, on a transport that only records; the time is told by hand."""

import asyncio
from collections.abc import Iterable

from regioncache.http.connection import ServerConnection
from regioncache.http.limits import Limits
from regioncache.http.messages import Handler, Request
from regioncache.http.server import Server
from tests.fakes.clock import FakeClock

Bytes = bytes | bytearray | memoryview


class RecordingTransport(asyncio.Transport):
    """Takes what is written while `takes`, else holds it; remembers what was asked of it."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._protocol = protocol
        self.sent = b""
        self.held = b""
        self.takes = True
        self.reading = True
        self.eof_written = self.closed = self.aborted = False

    def write(self, data: Bytes) -> None:
        self.writelines([data])

    def writelines(self, list_of_data: Iterable[Bytes]) -> None:
        data = b"".join(list_of_data)
        if self.takes:
            self.sent += data
        else:
            self.held += data
            self._protocol.pause_writing()

    def let(self, nbytes: int) -> None:
        """The peer reads so much of what is held."""
        self.sent, self.held = self.sent + self.held[:nbytes], self.held[nbytes:]
        if not self.held:
            self._protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return len(self.held)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high != 0:
            raise ValueError("this transport says at once when it holds anything, and so must the mark")

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof_written = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._protocol.connection_lost(None)

    def abort(self) -> None:
        self.aborted = True
        self.close()


class HttpPeer:
    """Speaks to a server of `handler` over one connection."""

    def __init__(self, handler: Handler, clock: FakeClock, limits: Limits) -> None:
        self.faults: list[BaseException] = []
        self.clock = clock
        self.server = Server(handler, limits, clock, self._fault, clock.time)
        self.server.sweep()
        self.connection, self.transport = self.connect()

    def connect(self) -> tuple[ServerConnection, RecordingTransport]:
        """Opens one more connection."""
        connection = ServerConnection(self.server, asyncio.get_running_loop())
        transport = RecordingTransport(connection)
        connection.connection_made(transport)
        return connection, transport

    def send(self, data: bytes) -> None:
        """The server receives `data`, in one piece."""
        self.connection.data_received(data)

    def statuses(self) -> list[int]:
        """The status of every reply that was sent, in order."""
        return [int(part[:3]) for part in self.transport.sent.split(b"HTTP/1.1 ")[1:]]

    def pass_seconds(self, seconds: float) -> None:
        """Time passes, a second at a time, and the server looks at its deadlines."""
        for _ in range(int(seconds)):
            self.clock.advance(1)
            self.server.sweep()

    def _fault(self, request: Request, error: BaseException) -> None:
        self.faults.append(error)
