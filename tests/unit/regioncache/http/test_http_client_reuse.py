"""Which connections the client keeps: only behind a whole answer, never for what might be done twice."""

import asyncio

import pytest

from regioncache.http.ask import Ask
from regioncache.http.client import Client
from regioncache.http.faults import AnswerCutShort
from regioncache.http.limits import ClientLimits
from tests.fakes.http_script import Scripted, get, ok

pytestmark = pytest.mark.anyio
RAMP = bytes(range(251)) * 4000


async def test_a_connection_is_used_again_after_a_whole_answer_only(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"whole"), ok(RAMP), ok(b"third"))
    await (await client.request(get(base))).body(10)

    unread = await client.request(get(base))
    unread.close()
    await (await client.request(get(base))).body(10)

    assert script.connections == 2


async def test_a_connection_whose_server_says_close_is_not_used_again(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1", b"Connection: close\r\n"), ok(b"2"))

    for _ in range(2):
        await (await client.request(get(base))).body(10)

    assert script.connections == 2


async def test_bytes_behind_an_answer_are_never_taken_for_the_next(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1") + ok(b"evil"), ok(b"good"))

    bodies = [await (await client.request(get(base))).body(10) for _ in range(2)]

    assert (bodies, script.connections) == ([b"1", b"good"], 2)


async def test_a_server_that_speaks_unasked_loses_its_connection(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1"), ok(b"good"))
    await (await client.request(get(base))).body(10)

    script.writers[0].write(ok(b"evil"))
    await asyncio.wait_for(script.closed.wait(), 10)
    answer = await client.request(get(base))

    assert (await answer.body(10), script.connections) == (b"good", 2)


async def test_a_kept_connection_that_was_closed_is_replaced_once(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1"), (b"", True), ok(b"2"))
    await (await client.request(get(base))).body(10)

    answer = await client.request(get(base))

    assert (await answer.body(10), script.connections, client.statistics().repeated) == (b"2", 2, 1)


async def test_a_request_that_may_have_been_done_is_not_sent_twice(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1"), (b"", True), ok(b"2"))
    await (await client.request(get(base))).body(10)

    with pytest.raises(AnswerCutShort):
        await client.request(Ask(base, b"POST", b"/"))

    assert len(script.requests) == 2


async def test_a_fresh_connection_that_is_closed_is_a_fault(client: Client, scripted: Scripted) -> None:
    script, base = await scripted((b"", True), ok(b"2"))

    with pytest.raises(AnswerCutShort):
        await client.request(get(base))

    assert script.connections == 1


async def test_an_answer_that_began_is_not_asked_for_again(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1"), (b"HTTP/1.1 200 OK\r\nCont", True), ok(b"2"))
    await (await client.request(get(base))).body(10)

    with pytest.raises(AnswerCutShort):
        await client.request(get(base))

    assert len(script.requests) == 2


async def test_connections_are_kept_apart_by_their_receive_buffer(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1"), ok(b"2"), ok(b"3"))

    for buffer in (0, 100_000, 0):
        await (await client.request(get(base, receive_buffer=buffer))).body(10)

    assert (script.connections, client.statistics().idle) == (2, 2)


async def test_a_connection_taken_beforehand_is_used(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1"))
    connection = await client.connect(base, 0)
    assert connection.fresh

    answer = await client.request(get(base), connection)

    assert (await answer.body(10), script.connections, connection.fresh) == (b"1", 1, False)


async def test_an_unused_connection_goes_back(client: Client, scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1"))
    connection = await client.connect(base, 0)

    connection.release()
    await (await client.request(get(base))).body(10)

    assert (script.connections, connection.fresh) == (1, False)


async def test_an_idle_connection_ends_after_its_time(scripted: Scripted) -> None:
    script, base = await scripted(ok(b"1"))
    client = Client(ClientLimits(idle_seconds=0.05))
    await (await client.request(get(base))).body(10)

    await asyncio.wait_for(script.closed.wait(), 10)

    assert client.statistics().open == 0
    client.close()
