"""One server connection, fed byte by byte: replies in the order of the requests, and when its socket is read."""

import asyncio

import pytest

from regioncache.http.messages import Reply
from tests.fakes.clock import settle
from tests.fakes.http_handlers import GET, Gate, Peering, hello

pytestmark = pytest.mark.anyio


async def test_a_plain_reply_is_written_at_once_and_without_a_task(peering: Peering) -> None:
    tasks = len(asyncio.all_tasks())
    peer = peering(hello)

    peer.send(GET)

    assert peer.transport.sent == (
        b"HTTP/1.1 200 OK\r\nx-target: /a\r\nDate: Tue, 14 Nov 2023 22:30:00 GMT\r\nContent-Length: 5\r\n\r\nhello"
    )
    assert len(asyncio.all_tasks()) == tasks


async def test_a_request_may_come_in_any_pieces(peering: Peering) -> None:
    peer = peering(hello)

    for at in range(len(GET)):
        peer.send(GET[at : at + 1])

    assert peer.statuses() == [200]


async def test_pipelined_requests_are_answered_in_order(peering: Peering) -> None:
    peer = peering(hello)

    peer.send(b"".join(GET.replace(b"/a", b"/%d" % number) for number in range(50)))
    await settle()

    assert [part.split(b"\r\n")[0] for part in peer.transport.sent.split(b"x-target: ")[1:]] == [
        b"/%d" % number for number in range(50)
    ]


async def test_a_later_request_waits_for_the_earlier_reply(peering: Peering) -> None:
    gate = Gate()
    peer = peering(gate)
    peer.send(GET + GET)
    await settle()
    assert len(gate.waiting) == 1

    await gate.let(0, Reply(201))
    await gate.let(1, Reply(202))

    assert peer.statuses() == [201, 202]


async def test_the_socket_is_not_read_while_a_reply_is_under_way_and_another_request_waits(peering: Peering) -> None:
    gate = Gate()
    peer = peering(gate)
    peer.send(GET)
    assert peer.transport.reading

    peer.send(GET)
    assert not peer.transport.reading
    await settle()
    await gate.let(0, Reply(200))

    assert peer.transport.reading
    await gate.let(1, Reply(200))


async def test_the_socket_is_read_again_once_a_request_that_waited_is_answered_at_once(peering: Peering) -> None:
    gate = Gate()
    peer = peering(lambda request: gate(request) if request.target == b"/slow" else hello(request))
    peer.send(GET.replace(b"/a", b"/slow"))
    await settle()

    peer.send(GET)
    await gate.let(0, Reply(201))

    assert peer.statuses() == [201, 200]
    assert peer.transport.reading


async def test_the_socket_is_read_again_for_the_rest_of_a_head_that_began_while_a_reply_was_under_way(
    peering: Peering,
) -> None:
    gate = Gate()
    peer = peering(gate)
    peer.send(GET)
    await settle()

    peer.send(GET[:10])
    await gate.let(0, Reply(201))

    assert peer.transport.reading


async def test_the_socket_is_not_read_while_more_requests_wait_than_are_answered_in_a_row(peering: Peering) -> None:
    peer = peering(hello)

    peer.send(GET * 50)
    assert not peer.transport.reading
    await settle()

    assert peer.statuses() == [200] * 50
    assert peer.transport.reading


async def test_two_empty_lines_and_an_empty_line_before_a_request_do_no_harm(peering: Peering) -> None:
    peer = peering(hello)

    peer.send(b"\r\n" + GET + b"\r\n" + GET)

    assert peer.statuses() == [200, 200]


async def test_the_next_request_waits_until_the_reply_has_left(peering: Peering) -> None:
    peer = peering(hello)
    peer.transport.takes = False
    peer.send(GET + GET)
    held = len(peer.transport.held)

    peer.transport.takes = True
    peer.transport.let(held - 1)
    assert peer.statuses() == [200]
    peer.transport.let(1)

    assert peer.statuses() == [200, 200]
