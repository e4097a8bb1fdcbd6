"""Connections before a request: what the kernel says of them, how many there are, and who gets a turn."""

import asyncio

import pytest

from regioncache.http.client import Client
from regioncache.http.faults import ConnectFailed, NoTurn
from regioncache.http.limits import ClientLimits
from tests.fakes.clock import settle
from tests.fakes.http_script import Scripted, ok

pytestmark = pytest.mark.anyio


async def test_the_receive_buffer_is_set_and_read_back(client: Client, scripted: Scripted) -> None:
    _, base = await scripted()

    small = await client.connect(base, 100_000)
    free = await client.connect(base, 0)

    assert small.receive_buffer >= 100_000
    assert free.receive_buffer == 0
    small.release()
    free.release()


async def test_a_new_connection_tells_the_kernels_round_trip(client: Client, scripted: Scripted) -> None:
    _, base = await scripted()

    connection = await client.connect(base, 0)

    assert 0 < connection.round_trip < 1
    connection.release()


async def test_one_request_too_many_waits_for_its_turn(scripted: Scripted) -> None:
    _, base = await scripted(ok(b"1"), ok(b"2"))
    client = Client(ClientLimits(connections=1))
    first = await client.connect(base, 0)
    second = asyncio.create_task(client.connect(base, 0))
    await settle()
    assert client.statistics().waiting == 1

    first.release()

    assert await second is first
    first.close()
    client.close()


async def test_the_turn_of_a_waiter_that_went_goes_to_the_next(scripted: Scripted) -> None:
    _, base = await scripted()
    client = Client(ClientLimits(connections=1))
    first = await client.connect(base, 0)
    waiting = [asyncio.create_task(client.connect(base, 0)) for _ in range(3)]
    await settle()

    waiting[0].cancel()
    first.close()
    waiting[1].cancel()
    third = await waiting[2]

    assert client.statistics().open == 1
    third.close()
    client.close()
    assert client.statistics().open == 0


async def test_an_idle_connection_makes_room_for_one_with_another_buffer(scripted: Scripted) -> None:
    _, base = await scripted()
    client = Client(ClientLimits(connections=1))
    (await client.connect(base, 0)).release()

    other = await client.connect(base, 100_000)

    assert (other.receive_buffer > 0, client.statistics().open) == (True, 1)
    other.close()
    client.close()


async def test_waiting_for_a_turn_has_an_end(scripted: Scripted) -> None:
    _, base = await scripted()
    client = Client(ClientLimits(connections=1))
    first = await client.connect(base, 0)
    # From here on: the first connection has all the time it needs.
    client._limits = ClientLimits(connections=1, connect_seconds=0.05)

    with pytest.raises(NoTurn, match=r"all 1 connections to http://127.0.0.1:.* are in use"):
        await client.connect(base, 0)

    assert client.statistics().waiting == 0
    first.close()
    client.close()


async def test_a_closed_client_opens_nothing(scripted: Scripted) -> None:
    _, base = await scripted()
    client = Client()
    taken = await client.connect(base, 0)
    client.close()

    taken.release()

    assert client.statistics().open == 0
    with pytest.raises(ConnectFailed):
        await client.connect(base, 0)
