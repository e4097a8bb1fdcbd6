"""More connections than there is room for: who carries no request makes room, and nobody else does."""

import asyncio
import socket

import pytest

from regioncache.http.limits import Limits
from regioncache.http.messages import Reply, Request
from regioncache.http.outgoing import Outgoing
from tests.fakes.clock import settle
from tests.fakes.http_handlers import GET, Gate, Peering, hello
from tests.fakes.http_peer import HttpPeer, RecordingTransport
from tests.fakes.http_ramp import Serve, by_target

pytestmark = pytest.mark.anyio


def crowd(peer: HttpPeer, size: int) -> list[RecordingTransport]:
    """So many connections more, a second apart."""
    transports = []
    for _ in range(size):
        peer.pass_seconds(1)
        transports.append(peer.connect()[1])
    return transports


async def test_one_connection_too_many_is_told_to_come_again_where_all_are_busy(peering: Peering) -> None:
    peer = peering(Gate(), Limits(connections=1))
    peer.send(GET)

    _, second = peer.connect()

    assert second.sent.startswith(b"HTTP/1.1 503 ")
    assert second.eof_written
    assert not peer.transport.aborted
    assert peer.server.statistics().turned_away == 1
    await peer.server.stop(0.0)


async def test_a_flood_of_connections_is_closed_without_a_word_where_all_are_busy(peering: Peering) -> None:
    peer = peering(Gate(), Limits(connections=2))
    peer.send(GET)
    other, _ = peer.connect()
    other.data_received(GET)

    transports = [peer.connect()[1] for _ in range(6)]

    # Those that were told to come again make room like all who carry no request.
    assert sum(transport.sent.startswith(b"HTTP/1.1 503 ") for transport in transports) >= 1
    assert peer.server.statistics().open <= 2 * 2
    assert not peer.transport.aborted
    await peer.server.stop(0.0)


async def test_the_connection_that_has_been_silent_longest_makes_room(peering: Peering) -> None:
    peer = peering(hello, Limits(connections=3))
    second, third = crowd(peer, 2)

    _, fourth = peer.connect()

    assert [one.aborted for one in (peer.transport, second, third, fourth)] == [True, False, False, False]
    assert peer.server.statistics().let_go == 1
    assert peer.server.statistics().turned_away == 0


async def test_who_never_asked_goes_before_who_did_and_who_dawdles_over_a_head_too(peering: Peering) -> None:
    peer = peering(hello, Limits(connections=3, head_seconds=20, idle_seconds=75))
    peer.send(GET)
    peer.pass_seconds(1)
    dawdler, dawdling = peer.connect()
    dawdler.data_received(GET[:5])
    (silent,) = crowd(peer, 1)

    crowd(peer, 2)

    assert [one.aborted for one in (peer.transport, dawdling, silent)] == [False, True, True]
    peer.send(GET)
    assert peer.statuses() == [200, 200]


async def test_a_busy_connection_never_makes_room(peering: Peering) -> None:
    gate = Gate()
    peer = peering(gate, Limits(connections=2))
    peer.send(GET)
    await settle()

    crowd(peer, 20)
    await gate.let(0, Reply(200))

    assert peer.statuses() == [200]
    assert not peer.transport.aborted


async def test_a_crowd_makes_room_for_many_at_once_so_that_looking_for_them_is_cheap(peering: Peering) -> None:
    peer = peering(hello, Limits(connections=640))
    crowd(peer, 0)
    for _ in range(700):
        peer.connect()

    now = peer.server.statistics()

    assert now.open <= 640
    assert now.let_go % 10 == 0
    assert 61 <= now.let_go <= 70


async def test_of_those_that_came_in_the_same_second_the_first_makes_room(peering: Peering) -> None:
    peer = peering(hello, Limits(connections=3))
    transports = [peer.connect()[1] for _ in range(10)]

    assert [one.aborted for one in (peer.transport, *transports)] == [True] * 8 + [False] * 3


@pytest.mark.parametrize("said", [b"", b"x"])
async def test_who_has_spoken_and_was_not_heard_yet_does_not_make_room(said: bytes) -> None:
    ours, theirs = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    transport.pause_reading()
    theirs.sendall(said)

    gone = Outgoing(transport).abort_if_nothing_came()

    assert (gone, transport.is_closing()) == (not said, not said)
    transport.abort()
    theirs.close()
    await asyncio.sleep(0)


async def test_a_client_is_served_while_strangers_hold_every_place(serve: Serve) -> None:
    server, port = await serve(by_target, Limits(connections=8))
    strangers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]

    for _ in range(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /5 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()

    assert server.statistics().open <= 9
    for _, writer in strangers:
        writer.close()


async def test_one_connection_more_than_allowed_gets_503_where_all_are_busy(serve: Serve) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Reply:
        begun.set()
        await go.wait()
        return Reply(200)

    _, port = await serve(slow, Limits(connections=1))
    first, busy = await asyncio.open_connection("127.0.0.1", port)
    busy.write(GET)
    await begun.wait()
    second, other = await asyncio.open_connection("127.0.0.1", port)

    refusal = await second.read()
    go.set()

    assert refusal.startswith(b"HTTP/1.1 503 ")
    assert (await first.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    for writer in (busy, other):
        writer.close()
