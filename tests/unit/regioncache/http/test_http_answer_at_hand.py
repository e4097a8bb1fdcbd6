"""An answer's chunks, taken as they are at hand: the same payload however the bytes come, in few reads."""

from collections.abc import AsyncIterator

import pytest

from regioncache.http.answer import Answer
from regioncache.http.faults import BadHttp
from regioncache.http.heads import parse_answer
from tests.fakes.http_ramp import RAMP

pytestmark = pytest.mark.anyio
HEAD = parse_answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", to_head=False)
FRAME = 1032
PAYLOAD = RAMP[: 3 * FRAME + 32]


class Script:
    """A wire on which `data` comes, `piece` bytes at a time; `reads` counts what was taken at once."""

    def __init__(self, data: bytes, piece: int) -> None:
        self._pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
        self.reads = 0
        self.broken = False

    def take(self, into: memoryview, beyond: memoryview) -> int:
        """Every other call finds that nothing has come yet."""
        self.reads += 1
        if self.reads % 5 == 4:
            return 0
        got = self._into(into)
        return got + self._into(beyond) if got == len(into) else got

    async def pull(self, into: memoryview, seconds: float) -> int:
        return self._into(into)

    def send(self, data: bytes) -> None:
        """Nothing is asked here."""

    def rest(self) -> None:
        """Nothing comes unasked."""

    def close(self) -> None:
        self.broken = True

    def _into(self, room: memoryview) -> int:
        if not self._pieces or not len(room):
            return 0
        piece = self._pieces.pop(0)
        got = min(len(piece), len(room))
        room[:got] = piece[:got]
        if piece[got:]:
            self._pieces.insert(0, piece[got:])
        return got


def chunked(payload: bytes, size: int) -> bytes:
    chunks = [payload[at : at + size] for at in range(0, len(payload), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks) + b"0\r\n\r\n"


def answer_on(wire: Script) -> Answer:
    return Answer(HEAD, False, b"", wire, 5.0, 0, lambda reusable: None)


async def parts(answer: Answer, most: int) -> AsyncIterator[bytes]:
    """What is at hand is taken, the rest waited for."""
    into = memoryview(bytearray(most))
    while got := answer.take(into) or await answer.receive(into):
        yield bytes(into[:got])


@pytest.mark.parametrize("most", [1, 32, 1000, 1032, 5000])
@pytest.mark.parametrize("piece", [1, 2, 7, 64, 1031, 100_000])
async def test_a_chunked_body_is_the_same_however_it_comes(piece: int, most: int) -> None:
    answer = answer_on(Script(chunked(PAYLOAD, FRAME), piece))

    assert b"".join([part async for part in parts(answer, most)]) == PAYLOAD
    assert answer.ahead == 0


async def test_the_end_of_a_chunk_brings_the_beginning_of_the_next() -> None:
    size = 40_000
    wire = Script(chunked(RAMP[: 3 * size], size), 1_000_000)
    answer, into = answer_on(wire), memoryview(bytearray(size))
    assert await answer.receive(into[:32]) == 32

    got = [answer.take(into), answer.take(into[:32])]

    assert got == [size - 32, 32]
    assert wire.reads == 1, "one read brought both"


async def test_what_is_at_hand_and_is_no_chunk_ends_the_answer() -> None:
    answer = answer_on(Script(b"4\r\nabcdXX8\r\n", 100))
    into = memoryview(bytearray(9))
    assert await answer.receive(into) == 4

    with pytest.raises(BadHttp):
        answer.take(into)

    assert answer.take(into) == 0
