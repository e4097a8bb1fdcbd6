"""A server of the ramp: as large as asked for, whole or in pieces of any size; and how it is fetched."""

from collections.abc import AsyncIterator, Awaitable, Callable

from regioncache.http.ask import Ask, Base
from regioncache.http.client import Client
from regioncache.http.messages import Reply, Request
from regioncache.http.server import Server

Serve = Callable[..., Awaitable[tuple[Server, int]]]
"""Starts a server on loopback, and says at which port."""
RAMP = bytes(range(251)) * 20_000


async def pieces(size: int, piece: int) -> AsyncIterator[memoryview]:
    """The ramp in pieces that share one buffer: it is overwritten as soon as the next piece is asked for."""
    buffer = bytearray(piece)
    for at in range(0, size, piece):
        part = RAMP[at : min(at + piece, size)]
        buffer[: len(part)] = part
        yield memoryview(buffer)[: len(part)]
        buffer[:] = bytes(piece)


def by_target(request: Request) -> Reply | Awaitable[Reply]:
    """`/size/piece`: a stream; `/size`: a whole body; `/echo`: what was sent."""
    if request.target == b"/echo":
        return echo(request)
    numbers = [int(part) for part in request.target.split(b"/")[1:]]
    if len(numbers) == 1:
        return Reply(200, body=memoryview(RAMP)[: numbers[0]])
    size, piece = numbers
    return Reply(200, stream=pieces(size, piece), length=None if request.header(b"x-chunked") else size)


async def echo(request: Request) -> Reply:
    """Replies with the body of the request."""
    return Reply(200, body=await request.body.read(len(RAMP)))


async def fetch(client: Client, base: Base, target: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    """The whole body of a GET."""
    answer = await client.request(Ask(base, b"GET", target, headers))
    return await answer.body(len(RAMP))
