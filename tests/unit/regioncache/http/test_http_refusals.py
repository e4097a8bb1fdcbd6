"""What a server connection refuses, and whom it gives up: each gets one reply at most."""

import pytest

from regioncache.http.limits import Limits
from regioncache.http.messages import Reply
from tests.fakes.clock import settle
from tests.fakes.http_handlers import GET, Gate, Peering, hello, put

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 100_000, 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"a:\r\n" * 10_000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X-Header-Of-A-Stranger: y\r\n" * 10_000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n\tfolded\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET ftp://h/a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET http://user:secret@h/a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET http:///a HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n", 501),
        (b"\0" * 100, 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00", 400),
    ],
)
async def test_what_is_refused_gets_one_reply_and_nothing_behind_it_is_served(
    peering: Peering, data: bytes, status: int
) -> None:
    peer = peering(hello)

    peer.send(data + GET)
    peer.send(GET)

    assert peer.statuses() == [status]
    assert b"Connection: close\r\n" in peer.transport.sent
    assert peer.transport.eof_written
    assert not peer.transport.closed  # it lingers, so that the reset does not overtake the reply


async def test_a_refused_peer_is_closed_after_a_while(peering: Peering) -> None:
    peer = peering(hello)
    peer.send(b"nonsense\r\n\r\n")

    peer.pass_seconds(3)

    assert peer.transport.closed


async def test_a_head_of_one_byte_a_second_is_given_up(peering: Peering) -> None:
    peer = peering(hello, Limits(head_seconds=20))

    for at in range(25):
        if not peer.transport.eof_written:
            peer.send(GET[at : at + 1])
        peer.pass_seconds(1)

    assert peer.statuses() == [408]
    assert peer.transport.closed


async def test_a_connection_that_says_nothing_is_closed_without_a_word(peering: Peering) -> None:
    peer = peering(hello, Limits(head_seconds=20))

    peer.pass_seconds(20)

    assert (peer.transport.closed, peer.transport.sent) == (True, b"")


async def test_an_idle_connection_is_closed_after_its_time_and_not_before(peering: Peering) -> None:
    peer = peering(hello, Limits(head_seconds=5, idle_seconds=75))
    peer.send(GET)

    peer.pass_seconds(74)
    assert not peer.transport.closed
    peer.pass_seconds(1)

    assert peer.transport.closed


async def test_a_reader_that_takes_nothing_is_cut_off_and_one_that_takes_a_byte_is_not(peering: Peering) -> None:
    peer = peering(hello, Limits(write_seconds=10))
    peer.transport.takes = False
    peer.send(GET)

    for _ in range(5):
        peer.pass_seconds(9)
        peer.transport.let(1)
    assert not peer.transport.closed
    peer.pass_seconds(12)

    assert peer.transport.aborted


async def test_garbage_behind_a_request_is_refused_behind_its_reply(peering: Peering) -> None:
    peer = peering(hello)

    peer.send(GET + b"\x00\xffgarbage\r\n\r\n" + GET)

    assert peer.statuses() == [200, 400]
    assert peer.transport.sent.index(b"hello") < peer.transport.sent.index(b"HTTP/1.1 400")
    assert peer.transport.eof_written


async def test_garbage_behind_a_request_whose_reply_is_still_made_waits_for_it(peering: Peering) -> None:
    gate = Gate()
    peer = peering(gate)
    peer.send(GET + b"\x00garbage\r\n\r\n")
    await settle()
    assert peer.statuses() == []

    await gate.let(0, Reply(200))

    assert peer.statuses() == [200, 400]


async def test_a_body_that_never_comes_costs_no_reply_and_ends_the_connection(peering: Peering) -> None:
    """Nobody reads it: the reply leaves, the rest is thrown away for a while."""
    peer = peering(hello)

    peer.send(put(b"Content-Length: 1000000"))
    peer.send(b"some of it")

    assert peer.statuses() == [200]
    assert b"Connection: close\r\n" in peer.transport.sent
    assert (peer.transport.eof_written, peer.transport.closed) == (True, False)
    peer.pass_seconds(3)
    assert peer.transport.closed


async def test_a_half_closed_socket_gets_what_was_answered_and_no_task_works_for_it(peering: Peering) -> None:
    gate = Gate()
    quick, slow = peering(hello), peering(gate)

    quick.send(GET)
    keep_open = quick.connection.eof_received()
    slow.send(GET)
    await settle()
    slow.connection.eof_received()
    await settle()

    assert (quick.statuses(), keep_open, quick.transport.aborted) == ([200], False, False)
    assert (slow.transport.aborted, gate.cancelled) == (True, 1)
