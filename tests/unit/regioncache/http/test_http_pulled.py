"""Replies that are pulled: what is at hand leaves without a task, the rest by the stream, and all bytes are right."""

import asyncio
import os
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from regioncache.http.ask import Ask, Base
from regioncache.http.client import Client
from regioncache.http.messages import Reply
from regioncache.pages import KIB, MIB, FilePart
from regioncache.store.disk import OpenFile
from tests.fakes.clock import settle
from tests.fakes.http_handlers import GET, Peering, Pieces
from tests.fakes.http_ramp import RAMP, Serve

pytestmark = pytest.mark.anyio


def part(data: bytes) -> FilePart:
    """Bytes that lie in no file."""
    return FilePart(memoryview(data), None, 0)


class AtHand:
    """Gives parts one after the other, None where it says so; `pulled` counts the parts."""

    def __init__(self, *parts: bytes | None) -> None:
        self._parts = list(parts)
        self.pulled = 0

    def __call__(self) -> FilePart | None:
        found = self._parts.pop(0) if self._parts else None
        if found is None:
            return None
        self.pulled += 1
        return part(found)


class FromFile:
    """Gives a file's bytes in steps through one room, which each pull overwrites."""

    def __init__(self, path: Path, size: int, step: int, *, lost: bool = False) -> None:
        """Args: lost: the file is emptied after each look into it; what was read is right all the same."""
        self._file = OpenFile(os.open(path, os.O_RDONLY))
        self._path, self._size, self._lost = path, size, lost
        self._room = memoryview(bytearray(step))
        self._at = 0

    def __call__(self) -> FilePart | None:
        self._room[:] = bytes(len(self._room))
        data = RAMP[self._at : min(self._at + len(self._room), self._size)]
        view = self._room[: len(data)]
        view[:] = data
        part = FilePart(view, self._file, self._at)
        self._at += len(data)
        if self._lost:
            self._path.write_bytes(b"")
        return part


async def test_what_is_at_hand_leaves_without_a_task(peering: Peering) -> None:
    pieces = Pieces([])
    peer = peering(lambda request: Reply(200, stream=pieces, length=6, pull=AtHand(b"abc", b"def")))

    peer.send(GET + GET)

    assert peer.transport.sent.count(b"\r\n\r\nabcdef") == 2, "no loop ran: it was sent at once"
    assert pieces.asked == 0


async def test_a_last_part_ends_a_chunked_reply_without_a_task(peering: Peering) -> None:
    ends = FilePart(memoryview(b"def"), None, 0, b"head", b"the end")
    sent: list[int] = []

    def reply() -> Reply:
        parts = [part(b"abc"), ends]
        return Reply(200, stream=Pieces([]), pull=lambda: parts.pop(0) if parts else None, done=sent.append)

    peer = peering(lambda request: reply())

    peer.send(GET + GET)

    assert peer.transport.sent.count(b"\r\n\r\n3\r\nabc\r\n7\r\nheaddef\r\n7\r\nthe end\r\n0\r\n\r\n") == 2
    assert sent == [17, 17]


async def test_a_last_part_to_http_1_0_is_the_end_of_the_connection(peering: Peering) -> None:
    parts = [FilePart(memoryview(b"abc"), None, 0, b"head", b"the end")]
    peer = peering(lambda request: Reply(200, stream=Pieces([]), pull=lambda: parts.pop(0) if parts else None))

    peer.send(b"GET / HTTP/1.0\r\n\r\n")

    assert peer.transport.sent.partition(b"\r\n\r\n")[2] == b"headabcthe end"
    assert peer.transport.closed


async def test_what_is_not_at_hand_comes_by_the_stream_between_pulls(peering: Peering) -> None:
    pieces = Pieces([b"cd"])
    sent: list[int] = []
    # Asked again when the task begins, and as soon as the piece of the stream was sent.
    pull = AtHand(b"ab", None, None, b"ef")
    peer = peering(lambda request: Reply(200, stream=pieces, length=6, pull=pull, done=sent.append))

    peer.send(GET)
    await settle()

    assert peer.transport.sent.partition(b"\r\n\r\n")[2] == b"abcdef"
    assert (sent, pieces.closed, peer.transport.closed) == ([6], 1, False)


async def test_a_part_is_pulled_when_the_one_before_has_left(peering: Peering) -> None:
    pull = AtHand(b"abc", b"def", b"ghi")
    peer = peering(lambda request: Reply(200, stream=Pieces([]), length=9, pull=pull))
    peer.transport.takes = False

    peer.send(GET)
    peer.transport.let(len(peer.transport.held) - 1)
    assert pull.pulled == 1
    peer.transport.let(1)

    assert pull.pulled == 2
    peer.transport.abort()


async def test_a_long_reply_lets_the_others_have_their_turn(peering: Peering) -> None:
    pull = AtHand(*[bytes(256 * KIB)] * 12)
    peer = peering(lambda request: Reply(200, stream=Pieces([]), length=3 * MIB, pull=pull))
    seen: list[int] = []
    asyncio.get_running_loop().call_soon(lambda: seen.append(pull.pulled))

    peer.send(GET)
    await settle()

    assert (seen, pull.pulled) == ([4], 12)


@pytest.mark.parametrize(
    ("parts", "length"), [((b"abc", None), 5), ((b"abc", b"def"), 5)], ids=["too short", "too long"]
)
async def test_a_pulled_reply_that_is_not_what_it_said_is_cut_short(
    peering: Peering, parts: tuple[bytes | None, ...], length: int
) -> None:
    sent: list[int] = []
    peer = peering(lambda request: Reply(200, stream=Pieces([]), length=length, pull=AtHand(*parts), done=sent.append))

    peer.send(GET)
    await settle()

    assert (peer.transport.aborted, len(peer.faults), sent) == (True, 1, [3])


async def test_a_pull_that_fails_cuts_the_reply_short(peering: Peering) -> None:
    def fails() -> FilePart | None:
        raise OSError("disk")

    sent: list[int] = []
    peer = peering(lambda request: Reply(200, stream=Pieces([]), length=5, pull=fails, done=sent.append))

    peer.send(GET)
    await settle()

    assert (peer.transport.aborted, len(peer.faults), sent) == (True, 1, [0])


async def test_a_reader_that_goes_in_mid_reply_is_told_of_once_and_pulls_no_more(peering: Peering) -> None:
    sent: list[int] = []
    pull = AtHand(b"abc", b"def", b"ghi")
    peer = peering(lambda request: Reply(200, stream=Pieces([]), length=9, pull=pull, done=sent.append))
    peer.transport.takes = False
    peer.send(GET)

    peer.connection.eof_received()
    await settle()

    assert (peer.transport.aborted, pull.pulled, sent) == (True, 1, [0])


async def test_a_head_has_no_body_though_it_could_be_pulled(peering: Peering) -> None:
    pull = AtHand(b"abc")
    peer = peering(lambda request: Reply(200, stream=Pieces([b"abc"]), length=3, pull=pull))

    peer.send(GET.replace(b"GET", b"HEAD"))
    await settle()

    assert peer.transport.sent.endswith(b"Content-Length: 3\r\n\r\n")
    assert pull.pulled == 0


@pytest.fixture
def ramp_file(tmp_path: Path) -> Callable[..., FromFile]:
    """Makes a pull of the ramp, that lies in a file too."""

    def make(size: int, step: int, *, lost: bool = False) -> FromFile:
        path = tmp_path / "ramp"
        path.write_bytes(RAMP[:size])
        return FromFile(path, size, step, lost=lost)

    return make


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("lost", [False, True], ids=["file", "emptied file"])
async def test_every_byte_is_right_whether_the_kernel_takes_it_from_the_file_or_not(
    serve: Serve,
    ramp_file: Callable[..., FromFile],
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
    secure: bool,
    lost: bool,
) -> None:
    size = 4 * MIB + 70_001
    ours, theirs = tls
    server, port = await serve(
        lambda request: Reply(200, stream=Pieces([]), length=size, pull=ramp_file(size, 256 * KIB, lost=lost)),
        tls=ours if secure else None,
    )
    client = Client(tls=theirs)
    base = Base.parse(f"{'https' if secure else 'http'}://127.0.0.1:{port}")

    # A small window: the kernel takes parts of steps, and the rest waits in the room.
    answer = await client.request(Ask(base, b"GET", b"/", (), receive_buffer=32 * KIB))
    got = bytearray()
    room = memoryview(bytearray(50_000))
    while count := await answer.receive(room):
        got += room[:count]
        await asyncio.sleep(0)

    assert bytes(got) == RAMP[:size]
    client.close()
    assert server.statistics().aborted == 0


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_parts_of_a_chunked_reply_go_each_behind_its_head_in_one_chunk(
    serve: Serve, ramp_file: Callable[..., FromFile], tls: tuple[ssl.SSLContext, ssl.SSLContext], secure: bool
) -> None:
    size, step = 2 * MIB + 70_001, 256 * KIB
    ours, theirs = tls

    def headed(pull: FromFile) -> FilePart | None:
        found = pull()
        return found._replace(head=b"<%d>" % len(found.view)) if len(found.view) else None

    def reply(request: object) -> Reply:
        return Reply(200, stream=Pieces([b"end"]), pull=partial(headed, ramp_file(size, step)))

    _, port = await serve(reply, tls=ours if secure else None)
    client = Client(tls=theirs)
    base = Base.parse(f"{'https' if secure else 'http'}://127.0.0.1:{port}")

    # A small window: the kernel takes parts of steps, and the rest waits in the room.
    answer = await client.request(Ask(base, b"GET", b"/", (), receive_buffer=32 * KIB))
    got = await answer.body(4 * MIB)

    steps = [RAMP[at : min(at + step, size)] for at in range(0, size, step)]
    assert answer.length is None
    assert got == b"".join(b"<%d>%b" % (len(each), each) for each in steps) + b"end"
    client.close()
