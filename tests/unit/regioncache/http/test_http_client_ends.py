"""How asking ends badly: cut short, stalled, cancelled, nobody there; nothing is left open."""

import asyncio
import socket

import pytest

from regioncache.http.ask import Base
from regioncache.http.client import Answer, Client
from regioncache.http.faults import AnswerCutShort, AnswerTimeout, ConnectFailed
from tests.fakes.clock import settle
from tests.fakes.http_script import Scripted, chunked, get, ok

pytestmark = pytest.mark.anyio
RAMP = bytes(range(251)) * 4000


@pytest.mark.parametrize(
    "answer",
    [
        ok(RAMP)[:-1],
        chunked(RAMP)[:-1],
        chunked(RAMP)[:-5],
        chunked(RAMP)[:5000],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_an_answer_cut_short_says_so(client: Client, scripted: Scripted, answer: bytes) -> None:
    _, base = await scripted((answer, True))
    got = await client.request(get(base))

    with pytest.raises(AnswerCutShort):
        await got.body(len(RAMP))

    assert client.statistics().open == 0


async def test_a_server_that_does_not_answer_is_given_up(client: Client, scripted: Scripted) -> None:
    _, base = await scripted(b"HTTP/1.1 200 OK\r\n")

    with pytest.raises(AnswerTimeout):
        await client.request(get(base, answer_seconds=0.05))

    assert client.statistics().open == 0


async def test_a_body_that_stalls_is_given_up(client: Client, scripted: Scripted) -> None:
    _, base = await scripted(ok(RAMP)[:1000])
    answer = await client.request(get(base, stall_seconds=0.05))

    with pytest.raises(AnswerTimeout):
        await answer.body(len(RAMP))

    assert client.statistics().open == 0


async def test_a_cancelled_request_closes_its_connection(client: Client, scripted: Scripted) -> None:
    script, base = await scripted()
    asking = asyncio.create_task(client.request(get(base)))
    await script.arrived.wait()

    asking.cancel()
    await asyncio.wait([asking])

    assert asking.cancelled()
    assert client.statistics().open == 0
    await asyncio.wait_for(script.closed.wait(), 10)


async def test_a_cancelled_receive_closes_its_connection_and_leaves_the_memory_alone(
    client: Client, scripted: Scripted
) -> None:
    script, base = await scripted(ok(RAMP)[:1000])
    answer = await client.request(get(base))
    memory = bytearray(len(RAMP))
    into = memoryview(memory)
    while answer.ahead:
        await answer.receive(into)
    receiving = asyncio.create_task(answer.receive(into))
    await settle(3)

    receiving.cancel()
    await asyncio.wait([receiving])
    before = bytes(memory)
    script.writers[0].write(RAMP)
    await asyncio.wait_for(script.closed.wait(), 10)

    assert client.statistics().open == 0
    assert memory == before


async def test_a_port_where_nobody_listens_is_told_apart(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base = Base("http", "127.0.0.1", listener.getsockname()[1])

    with pytest.raises(ConnectFailed, match=str(base.port)):
        await client.request(get(base))

    assert client.statistics().open == 0


async def test_a_name_that_does_not_exist_is_told_apart(client: Client) -> None:
    with pytest.raises(ConnectFailed, match="address"):
        await client.request(get(Base("http", "no such name", 80)))


async def test_an_answer_may_be_closed_twice_and_late(client: Client, scripted: Scripted) -> None:
    _, base = await scripted(ok(b"1"), ok(RAMP))
    whole: Answer = await client.request(get(base))
    await whole.body(10)
    cut = await client.request(get(base))

    for answer in (whole, cut, whole, cut):
        answer.close()

    assert client.statistics().open == 0
