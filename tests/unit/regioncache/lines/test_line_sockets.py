"""A line over real sockets on loopback: what the kernel holds was debited before, and the quota holds in real time."""

import array
import asyncio
import fcntl
import socket
import termios
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from policy.model import LinePolicy
from regioncache.ledger import Ledger
from regioncache.lines.crossing import LineCrossing
from regioncache.lines.line import Line
from regioncache.origins.base import Payer
from regioncache.pages import KIB, MIB
from tests.fakes.alarms import Alarms

pytestmark = pytest.mark.anyio

REC = Payer("rec")
RAMP = bytes(n % 251 for n in range(251 * 1024))


class Sender:
    """A far end that sends a ramp as fast as the window lets it, and counts what the receiver's kernel took."""

    def __init__(self, connection: socket.socket, length: int) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._length = length
        self._sent = 0

    def push(self) -> None:
        """Sends until nothing more fits."""
        while self._sent < self._length:
            start = self._sent % 251
            piece = RAMP[start : start + min(64 * KIB, self._length - self._sent)]
            try:
                self._sent += self._connection.send(piece)
            except BlockingIOError:
                return

    @property
    def delivered(self) -> int:
        """Bytes that the receiver's kernel has acknowledged."""
        queued = array.array("i", [0])
        fcntl.ioctl(self._connection, termios.TIOCOUTQ, queued)
        return self._sent - queued[0]


@contextmanager
def pair(buffer: int) -> Iterator[tuple[socket.socket, socket.socket, int]]:
    """Yields (receiver, sender, the receiver's buffer as read back); `buffer` 0 leaves it to the kernel."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server, closing(socket.socket()) as receiver:
        if buffer:
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        receiver.connect(server.getsockname())
        connection, _ = server.accept()
        receiver.setblocking(False)
        with closing(connection):
            yield receiver, connection, receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) if buffer else 0


@contextmanager
def line_at(path: Path, alarms: Alarms, quota: str = "200Mbps") -> Iterator[tuple[Line, Ledger]]:
    ledger = Ledger.open(path / "ledger")
    policy = LinePolicy.model_validate({"quota": quota})
    yield Line("bj-use1", "idc-bj>aws-use1", policy, ledger, alarms, later=alarms.later), ledger
    ledger.close()


@pytest.mark.parametrize("buffer", [64 * KIB, 104 * KIB, 512 * KIB])
@pytest.mark.parametrize("length", [1, 100 * KIB, 3 * MIB])
async def test_the_kernel_holds_nothing_that_was_not_debited(tmp_path: Path, buffer: int, length: int) -> None:
    alarms, got = Alarms(), bytearray()
    with line_at(tmp_path, alarms) as (line, ledger), pair(buffer) as (receiver, far, readback):
        crossing, sender = line.crossing(lambda: REC, "train-bj", lambda: "unique"), Sender(far, length)
        await _pass(alarms, crossing.prepay(length, readback))
        crossing.learned(length)

        while len(got) < length:
            sender.push()
            assert sender.delivered <= sum(ledger.totals().values())
            room = await _pass(alarms, crossing.room(min(64 * KIB, length - len(got))))
            data = receiver.recv(room)
            got += data
            crossing.read(len(data))
        crossing.close()

        assert got == (RAMP * (length // len(RAMP) + 1))[:length]
        assert sum(ledger.totals().values()) == length


async def test_a_kernel_left_alone_is_debited_for_the_whole_reply(tmp_path: Path) -> None:
    alarms = Alarms()
    with line_at(tmp_path, alarms) as (line, ledger), pair(0) as (_, far, readback):
        crossing, sender = line.crossing(lambda: REC, "train-bj", lambda: "unique"), Sender(far, 16 * MIB)
        await _pass(alarms, crossing.prepay(16 * MIB, readback))

        sender.push()

        assert 0 < sender.delivered <= sum(ledger.totals().values())
        crossing.close()


async def test_a_connection_closed_early_counts_at_most_its_buffer_above_what_came(tmp_path: Path) -> None:
    alarms = Alarms()
    with line_at(tmp_path, alarms) as (line, ledger), pair(64 * KIB) as (receiver, far, readback):
        crossing, sender = line.crossing(lambda: REC, "train-bj", lambda: "unique"), Sender(far, 16 * MIB)
        await _pass(alarms, crossing.prepay(16 * MIB, readback))
        crossing.learned(16 * MIB)
        for _ in range(5):
            sender.push()
            crossing.read(len(receiver.recv(await _pass(alarms, crossing.room(64 * KIB)))))
        sender.push()

        crossing.close()

        counted = sum(ledger.totals().values())
        assert sender.delivered <= counted <= sender.delivered + readback + 256 * KIB


async def _pass(alarms: Alarms, waiting: "asyncio.Future[int] | object") -> int:
    """Lets time pass until the line lets it go on."""
    task = asyncio.ensure_future(waiting)  # type: ignore[arg-type]
    while not task.done():
        await alarms.run_for(0.001, turns=2)
    return task.result()  # type: ignore[no-any-return]


# ---- in real time ----


class Counting:
    """A server of replies `length` bytes long, one for each newline that it gets."""

    def __init__(self, length: int) -> None:
        self._length = length
        self.sent = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            left = self._length
            while left:
                piece = RAMP[: min(left, 64 * KIB)]
                writer.write(piece)
                await writer.drain()
                left -= len(piece)
                self.sent += len(piece)
        writer.close()


async def fetch(crossing: LineCrossing, port: int, length: int) -> int:
    """Reads one reply over a connection of its own."""
    loop, got, into = asyncio.get_running_loop(), 0, memoryview(bytearray(256 * KIB))
    with closing(socket.socket()) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, crossing.buffer_wanted(length))
        receiver.setblocking(False)
        await loop.sock_connect(receiver, ("127.0.0.1", port))
        try:
            await crossing.prepay(length, receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
            await loop.sock_sendall(receiver, b"\n")
            while got < length:
                room = await crossing.room(min(len(into), length - got))
                read = await loop.sock_recv_into(receiver, into[:room])
                if not got:
                    crossing.learned(length)
                crossing.read(read)
                got += read
        finally:
            crossing.close()
    return got


async def run(path: Path, quota: str, length: int, limited: bool) -> tuple[float, int, Line]:
    """Eight readers of one reply each; returns the seconds it took, the bytes sent, and the line."""
    far, ledger = Counting(length), Ledger.open(path / "ledger")
    policy = LinePolicy.model_validate({"quota": quota})
    line = Line("bj-use1", "idc-bj>aws-use1", policy, ledger, limited=limited)
    server = await asyncio.start_server(far.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        began = time.monotonic()
        crossings = [line.crossing(lambda: REC, "train-bj", lambda: "unique") for _ in range(8)]
        got = await asyncio.gather(*(fetch(crossing, port, length) for crossing in crossings))
        took = time.monotonic() - began
        assert sum(got) == far.sent == sum(ledger.totals().values())
    finally:
        server.close()
        await server.wait_closed()
        ledger.close()
    return took, far.sent, line


async def test_eight_readers_stay_within_the_quota_in_real_time(tmp_path: Path) -> None:
    took, sent, line = await run(tmp_path, "200Mbps", 2 * MIB, limited=True)

    assert sent * 1.06 <= 1.02 * (25_000_000 * took + line.statistics().burst)
    assert line.statistics().prepaid == 0


async def test_with_the_limiter_off_they_do_not(tmp_path: Path) -> None:
    took, sent, line = await run(tmp_path, "8Mbps", 4 * MIB, limited=False)

    assert sent * 1.06 > 1.02 * (1_000_000 * took + line.statistics().burst)
