"""The counting proxy's own process: forwards raw TCP and counts what the reader's kernel has taken.

A byte counts when it has left for the reader: the socket towards the reader keeps a small send buffer, and what the
reader has not acknowledged is subtracted when a connection ends early. It may have read that all the same, since a
kernel acknowledges late what came (RFC 1122, 4.2.3.2) and a reset acknowledges nothing: so much is told as `unsure`.
`python -m tests.real.lab.proxyprocess --help`.
"""

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import socket
import struct
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop

from gateway.demo.httpcount import Connection, Exchange, NotHttp
from tests.real.lab.sockets import receive_buffer

PIECE_BYTES = 32 * 1024
# Bytes in the proxy's own buffers are on the line but not yet with the reader; little of that blurs a window little.
SEND_BUFFER_BYTES = 32 * 1024
RECEIVE_BUFFER_BYTES = 128 * 1024
MERGE_SECONDS = 0.001
_SIOCOUTQ = 0x5411  # linux/sockios.h: bytes not yet acknowledged


@dataclass(slots=True)
class Passage:
    """One connection's exchanges; of the one under way as it ended early, the payload that was not acknowledged."""

    counter: Connection
    cut: Exchange | None = None
    unsure: int = 0

    def take_back(self, unacknowledged: int) -> int:
        """Subtracts bytes that the reader may not have; returns how many of them were payload."""
        under_way = (one for one in reversed(self.counter.exchanges) if one.status and not one.whole)
        self.cut = next(under_way, None)
        if self.cut is not None:
            self.unsure = min(unacknowledged, self.cut.payload)
            self.cut.payload -= self.unsure
        return self.unsure

    def told(self) -> list[dict[str, Any]]:
        """The exchanges as JSON."""
        return [asdict(one) | {"unsure": self.unsure if one is self.cut else 0} for one in self.counter.exchanges]


class Tally:
    """What has passed so far, over all connections since the last reset."""

    def __init__(self) -> None:
        self.up_wire = 0
        self.down_wire = 0
        self.payload = 0
        self.unsure = 0
        self.accepted = 0
        self.timeline: list[list[float]] = []
        self.passages: list[Passage] = []
        self.faults: list[str] = []

    def down(self, wire: int, payload: int, now: float) -> None:
        """Adds what went to the reader (or takes back, negative, what it did not acknowledge)."""
        self.down_wire += wire
        self.payload += payload
        if self.timeline and now - self.timeline[-1][0] < MERGE_SECONDS:
            self.timeline[-1][1] += wire
            self.timeline[-1][2] += payload
        else:
            self.timeline.append([now, wire, payload])

    def begun_again(self) -> "Tally":
        """Nothing has passed; exchanges on connections that are kept will be told."""
        fresh = Tally()
        fresh.passages = self.passages
        for passage in fresh.passages:
            passage.counter.exchanges.clear()
        return fresh

    def report(self, open_now: int) -> dict[str, Any]:
        """As JSON; times are of the system's monotonic clock."""
        return {
            "up_wire": self.up_wire,
            "down_wire": self.down_wire,
            "payload": self.payload,
            "unsure": self.unsure,
            "accepted": self.accepted,
            "open": open_now,
            "faults": self.faults,
            "timeline": self.timeline,
            "exchanges": [exchange for one in self.passages for exchange in one.told()],
        }


class Proxy:
    """Forwards connections to one far address."""

    def __init__(self, far: tuple[str, int], frames: bool, raw: bool) -> None:
        self.far = far
        self.frames = frames
        self.raw = raw
        self.tally = Tally()
        self.buffer = 0
        self.refusing = False
        self.most: int | None = None
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.open: set[asyncio.Event] = set()

    def command(self, words: list[str]) -> object:
        """Does what the test says; returns the answer as plain data."""
        match words:
            case ["report"]:
                return self.tally.report(len(self.open)) | {"buffer": self.buffer}
            case ["reset"]:
                self.tally = self.tally.begun_again()
            case ["pause"]:
                self.flowing.clear()
            case ["pause", "after", payload]:
                self.most = int(payload)
            case ["resume"]:
                self.most = None
                self.flowing.set()
            case ["refuse", "on" | "off" as state]:
                self.refusing = state == "on"
            case ["cut"]:
                for cut in self.open:
                    cut.set()
            case _:
                return {"error": f"unknown command {words}"}
        return {"ok": True}

    async def accept(self, listener: socket.socket) -> None:
        """Accepts for ever."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            while True:
                near, _ = await loop.sock_accept(listener)
                if self.refusing:
                    _reset(near)
                    continue
                group.create_task(self.serve(near))

    async def serve(self, near: socket.socket) -> None:
        """One connection, until either side ends it."""
        loop = asyncio.get_running_loop()
        far = socket.socket()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        for one in (near, far):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await loop.sock_connect(far, self.far)
        except OSError:
            _reset(near, far)
            return
        counter = Connection(self.frames)
        # Who sets it does so before it connects.
        self.buffer = max(self.buffer, receive_buffer(near.getpeername(), near.getsockname()))
        passage = Passage(counter)
        self.tally.passages.append(passage)
        self.tally.accepted += 1
        cut = asyncio.Event()
        self.open.add(cut)
        up = asyncio.create_task(self._up(near, far, counter))
        down = asyncio.create_task(self._down(far, near, counter))
        cutting = asyncio.create_task(cut.wait())
        await asyncio.wait({up, down, cutting}, return_when=asyncio.FIRST_COMPLETED)
        whole = (down.done() and down.result()) or (up.done() and counter.idle)
        if not whole:
            # Before the tasks are cancelled: afterwards the queue may be gone.
            self._take_back(near, passage)
        for task in (up, down, cutting):
            task.cancel()
        await asyncio.wait({up, down, cutting})
        self.open.discard(cut)
        counter.ended(time.monotonic())
        _close(near, far) if whole else _reset(near, far)

    def _take_back(self, near: socket.socket, passage: Passage) -> None:
        with contextlib.suppress(OSError):
            left = struct.unpack("i", fcntl.ioctl(near.fileno(), _SIOCOUTQ, b"\0" * 4))[0]
            payload = passage.take_back(left)
            self.tally.unsure += payload
            self.tally.down(-left, -payload, time.monotonic())

    async def _up(self, near: socket.socket, far: socket.socket, counter: Connection) -> None:
        loop = asyncio.get_running_loop()
        into = bytearray(PIECE_BYTES)
        with contextlib.suppress(OSError):
            while n := await loop.sock_recv_into(near, into):
                self._count(counter.up, memoryview(into)[:n])
                self.tally.up_wire += n
                await loop.sock_sendall(far, memoryview(into)[:n])

    async def _down(self, far: socket.socket, near: socket.socket, counter: Connection) -> bool:
        """Returns whether the far side ended in good order and the reader has been handed everything."""
        loop = asyncio.get_running_loop()
        into = bytearray(PIECE_BYTES)
        try:
            while n := await loop.sock_recv_into(far, into):
                view = memoryview(into)[:n]
                while len(view):
                    await self.flowing.wait()
                    view = view[await self._some(near, view, counter) :]
        except OSError:
            return False
        return True

    async def _some(self, near: socket.socket, view: memoryview, counter: Connection) -> int:
        try:
            n = near.send(view)
        except BlockingIOError:
            await _writable(near)
            return 0
        payload = self._count(counter.down, view[:n])
        self.tally.down(n, payload, time.monotonic())
        if self.most is not None and self.tally.payload >= self.most:
            self.flowing.clear()
        return n

    def _count(self, feed: Any, view: memoryview) -> int:
        if self.raw:
            return 0
        try:
            return int(feed(view, time.monotonic()))
        except (NotHttp, ValueError) as fault:
            self.tally.faults.append(str(fault))
            return 0


async def _writable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.add_writer(sock, lambda: None if future.done() else future.set_result(None))
    try:
        await future
    finally:
        loop.remove_writer(sock)


def _reset(*socks: socket.socket) -> None:
    """Closes by RST: the other end must not take a cut for an end."""
    for sock in socks:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _close(*socks)


def _close(*socks: socket.socket) -> None:
    for sock in socks:
        sock.close()


async def control(proxy: Proxy, path: str) -> None:
    """Answers one command a line on a Unix socket, each with one line of JSON."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for line in reader:
            writer.write(json.dumps(proxy.command(line.decode().split())).encode() + b"\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(serve, path + ".new")
    Path(path + ".new").rename(path)  # Seen only once it can be asked.
    async with server:
        await server.serve_forever()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", required=True, help="host:port")
    parser.add_argument("--to", required=True, help="host:port")
    parser.add_argument("--control", required=True, help="path of a Unix socket")
    parser.add_argument("--frames", action="store_true", help="chunked answers are frames between nodes")
    parser.add_argument("--raw", action="store_true", help="not HTTP (TLS): only wire bytes are counted")
    args = parser.parse_args()
    host, _, port = args.to.rpartition(":")
    proxy = Proxy((host, int(port)), args.frames, args.raw)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Before listen: accepted sockets inherit it, and no byte goes out by a larger one.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    near_host, _, near_port = args.listen.rpartition(":")
    listener.bind((near_host, int(near_port)))
    listener.listen(1024)
    listener.setblocking(False)
    async with asyncio.TaskGroup() as group:
        group.create_task(proxy.accept(listener))
        group.create_task(control(proxy, args.control))
        group.create_task(_with_parent())


async def _with_parent() -> None:
    """Ends with the test that started it, even one that was killed."""
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    uvloop.run(main())
