"""A stop is graceful, up to a point."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from regioncache.http.ask import Base
from regioncache.http.client import Client
from regioncache.http.faults import AnswerCutShort, ConnectFailed
from regioncache.http.limits import ClientLimits
from regioncache.http.messages import Reply, Request
from tests.fakes.clock import settle
from tests.fakes.http_ramp import RAMP, Serve, fetch

pytestmark = pytest.mark.anyio


async def test_a_stop_lets_running_replies_finish_and_takes_no_more(serve: Serve) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Reply:
        begun.set()
        await go.wait()
        return Reply(200, body=RAMP)

    server, port = await serve(slow)
    client = Client(ClientLimits(idle_seconds=1000))
    base = Base("http", "127.0.0.1", port)
    idle = await client.connect(base, 0)
    asking = asyncio.create_task(fetch(client, base, b"/"))
    await begun.wait()

    stopping = asyncio.create_task(server.stop(30))
    await settle()
    with pytest.raises(ConnectFailed):
        await client.connect(base, 12_345)
    go.set()

    assert await asking == RAMP
    await stopping
    assert (server.statistics().open, server.statistics().aborted) == (0, 0)
    idle.close()
    client.close()


async def test_a_stop_cuts_off_what_outlives_its_grace(serve: Serve) -> None:
    ended: list[str] = []
    begun = asyncio.Event()

    async def never(request: Request) -> Reply:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("handler")
        return Reply(200)

    server, port = await serve(never)
    client = Client()
    asking = asyncio.create_task(fetch(client, Base("http", "127.0.0.1", port), b"/"))
    await begun.wait()

    cut = await server.stop(0.01)

    assert (ended, server.statistics().open, cut) == (["handler"], 0, 1)
    with pytest.raises(AnswerCutShort):
        await asking
    client.close()


async def test_who_lingers_answers_once_more_on_an_idle_connection_and_says_that_it_was_the_last(serve: Serve) -> None:
    server, port = await serve(lambda request: Reply(200, body=b"x"))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    first = await reader.readuntil(b"\r\n\r\nx")

    stopping = asyncio.create_task(server.stop(30, linger_seconds=30))
    await settle()
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    last = await reader.read()
    await stopping

    assert b"Connection: close" not in first
    assert b"HTTP/1.1 200" in last
    assert b"Connection: close" in last
    writer.close()


async def test_who_lingers_keeps_a_connection_whose_reply_had_promised_it(serve: Serve) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def halves() -> AsyncIterator[bytes]:
        yield b"a"
        begun.set()
        await go.wait()
        yield b"b"

    server, port = await serve(lambda request: Reply(200, stream=halves(), length=2))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await begun.wait()

    stopping = asyncio.create_task(server.stop(30, linger_seconds=0.001))
    await settle()
    go.set()
    promised = await reader.readuntil(b"\r\n\r\nab")
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    last = await reader.read()
    await stopping

    assert b"Connection: close" not in promised
    assert b"Connection: close" in last
    writer.close()
