"""An HTTP server that says what it was told to, right or wrong, and remembers what it was asked."""

import asyncio
from collections.abc import Awaitable, Callable

from regioncache.http.ask import Ask, Base


class Script:
    """A server that answers each request of each connection with what it was given, then does what it was told.

    `answers` are per request, in order over all connections: bytes to send, and whether to close behind them.
    """

    def __init__(self, *answers: tuple[bytes, bool]) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed = asyncio.Event()
        self.arrived = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> Base:
        """Listens on loopback, and says where."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return Base("http", "127.0.0.1", self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Listens no more, and closes every connection."""
        assert self._server is not None
        self._server.close()
        for writer in self.writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                self.arrived.set()
                data, close = self.answers.pop(0) if self.answers else (b"", False)
                writer.write(data)
                if close:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()
        self.closed.set()


Scripted = Callable[..., Awaitable[tuple[Script, Base]]]
"""Starts a script of answers; each is bytes, or (bytes, whether to close behind them)."""


def ok(body: bytes, headers: bytes = b"") -> bytes:
    """A whole 200 with a length."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), headers, body)


def chunked(*chunks: bytes) -> bytes:
    """A whole 200 in chunks."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


def get(base: Base, **changes: object) -> Ask:
    """A GET of a target that a client must not touch."""
    return Ask(base, b"GET", b"/a%2Fb//..?x=%41", **changes)  # type: ignore[arg-type]
