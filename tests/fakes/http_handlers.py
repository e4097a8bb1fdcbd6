"""What a server connection is tried with: requests, handlers that wait or read, and streams that remember."""

import asyncio
from collections.abc import AsyncIterator, Callable

from regioncache.http.messages import Buffer, Reply, Request
from tests.fakes.clock import settle
from tests.fakes.http_peer import HttpPeer

Peering = Callable[..., HttpPeer]
"""Makes the peer of a handler, and of limits where they matter."""
GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


def put(headers: bytes, body: bytes = b"") -> bytes:
    """A request with a body, framed as `headers` say."""
    return b"PUT /a HTTP/1.1\r\nHost: h\r\n" + headers + b"\r\n\r\n" + body


def hello(request: Request) -> Reply:
    """Replies at once, with the target in a header."""
    return Reply(200, [(b"x-target", request.target)], b"hello")


async def echo(request: Request) -> Reply:
    """Replies with the body of the request, of at most 1000 bytes."""
    return Reply(200, body=await request.body.read(1000))


class Gate:
    """A handler whose replies wait until a test lets them go."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[Reply]] = []
        self.cancelled = 0

    async def __call__(self, request: Request) -> Reply:
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        try:
            return await future
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def let(self, number: int, reply: Reply) -> None:
        """Lets the request of that number have its reply."""
        self.waiting[number].set_result(reply)
        await settle()


class Pieces:
    """A stream that remembers how far it was asked, and whether it was closed."""

    def __init__(self, pieces: list[Buffer], error: Exception | None = None) -> None:
        self.asked = 0
        self.closed = 0
        self._pieces = pieces
        self._error = error

    def __aiter__(self) -> AsyncIterator[Buffer]:
        return self

    async def __anext__(self) -> Buffer:
        if self.asked == len(self._pieces):
            if self._error is not None:
                raise self._error
            raise StopAsyncIteration
        self.asked += 1
        return self._pieces[self.asked - 1]

    async def aclose(self) -> None:
        self.closed += 1
