"""A plain wire: what came already is taken without waiting, and the loop has its turn all the same."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest
import uvloop

from regioncache.http import wire as wires
from regioncache.http.faults import AnswerCutShort
from regioncache.http.wire import PlainWire

pytestmark = pytest.mark.anyio


@pytest.fixture
async def joined() -> AsyncIterator[tuple[PlainWire, socket.socket]]:
    """A wire that was used once, and its other end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    wire = await PlainWire.open(ours)
    theirs.send(b"a")
    assert await wire.pull(memoryview(bytearray(9)), 5.0) == 1
    yield wire, theirs
    wire.close()
    theirs.close()
    await asyncio.sleep(0)  # the transport that was just closed says so in the next turn of the loop


def at_once(wire: PlainWire, into: memoryview) -> int | None:
    """What a pull returns that never waits, or None."""
    pull = wire.pull(into, 5.0)
    try:
        pull.send(None)
    except StopIteration as done:
        return int(done.value)
    return None


async def test_what_came_already_is_taken_without_waiting(joined: tuple[PlainWire, socket.socket]) -> None:
    wire, theirs = joined
    theirs.send(b"bcd")
    into = memoryview(bytearray(9))

    assert at_once(wire, into[:2]) == 2
    assert at_once(wire, into[2:]) == 1

    assert bytes(into[:3]) == b"bcd"


async def test_what_came_behind_what_is_wanted_is_taken_with_it(joined: tuple[PlainWire, socket.socket]) -> None:
    wire, theirs = joined
    theirs.send(b"bcdefg")
    into, beyond = memoryview(bytearray(4)), memoryview(bytearray(8))

    assert wire.take(into, beyond) == 6
    assert wire.take(into, beyond) == 0, "nothing is there, and nobody waits"

    assert bytes(into) + bytes(beyond[:2]) == b"bcdefg"


async def test_the_loop_has_its_turn_while_a_peer_never_pauses(
    joined: tuple[PlainWire, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "_IN_A_ROW_BYTES", 2)
    wire, theirs = joined
    theirs.send(b"bcdef")
    into, turns = memoryview(bytearray(1)), list[int]()
    loop = asyncio.get_running_loop()

    async def read() -> bytes:
        body = b""
        for _ in range(5):
            await wire.pull(into, 5.0)
            body += into
            turns.append(beat[0])
        return body

    beat = [0]

    def count() -> None:
        beat[0] += 1
        loop.call_soon(count) if beat[0] < 100 else None

    loop.call_soon(count)
    assert await read() == b"bcdef"
    assert turns[0] == turns[1] == 0, "two are taken at once"
    assert turns[2] > 0, "then others go first"


async def test_the_next_answer_is_taken_though_others_were_to_have_their_turn(
    joined: tuple[PlainWire, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "_IN_A_ROW_BYTES", 2)
    wire, theirs = joined
    theirs.send(b"bc")
    into = memoryview(bytearray(9))
    assert await wire.pull(into, 5.0) == 2
    wire.rest()
    await asyncio.sleep(0)

    theirs.send(b"next")

    assert await wire.pull(into, 5.0) == 4, "it is no word that nobody asked for"
    assert not wire.broken


async def test_a_connection_that_ended_between_two_pulls_is_over(joined: tuple[PlainWire, socket.socket]) -> None:
    wire, theirs = joined
    theirs.send(b"b")
    theirs.close()
    into = memoryview(bytearray(9))

    assert await wire.pull(into, 5.0) == 1
    assert await wire.pull(into, 5.0) == 0
    assert wire.broken


async def test_a_connection_that_was_reset_between_two_pulls_is_a_fault() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    ours = socket.create_connection(listener.getsockname())
    theirs, _ = listener.accept()
    ours.setblocking(False)
    wire = await PlainWire.open(ours)
    theirs.send(b"a")
    into = memoryview(bytearray(9))
    assert await wire.pull(into, 5.0) == 1
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    theirs.close()

    with pytest.raises(AnswerCutShort, match="broke"):
        await wire.pull(into, 5.0)

    assert wire.broken
    wire.close()
    listener.close()
    await asyncio.sleep(0)


@pytest.mark.parametrize("said", [b"abc", b""], ids=["bytes", "the end"])
def test_what_came_while_the_loop_was_held_up_is_no_silence(said: bytes) -> None:
    async def pulled() -> bytes:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        wire, into = await PlainWire.open(ours), memoryview(bytearray(9))

        bell, rung = socket.socketpair()

        def speak_and_hold_up() -> None:
            asyncio.get_running_loop().remove_reader(rung)
            theirs.send(said)
            theirs.close()
            time.sleep(0.02)  # Until after the deadline; no look at a socket lies between.

        asyncio.get_running_loop().add_reader(rung, speak_and_hold_up)
        bell.send(b".")
        got = await wire.pull(into, 0.01)
        wire.close()
        await asyncio.sleep(0)
        bell.close()
        rung.close()
        return bytes(into[:got])

    assert uvloop.run(pulled()) == said
