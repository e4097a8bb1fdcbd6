"""The counting proxy's process: stands on the line, outside the program, and counts the payload that crosses it.

Each line on standard input is a question, answered by one line of JSON on standard output: `address` where it listens,
`slots` all that crossed and when, anything else how much crossed. The end of input ends the process.
"""

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator

import uvloop

from gateway.demo.httpcount import Connection, NotHttp

PIECE_BYTES = 32 * 1024
# What lies in the proxy's own buffers is neither here nor there; little of that blurs the count little.
SEND_BUFFER_BYTES = 32 * 1024
RECEIVE_BUFFER_BYTES = 128 * 1024
SLOT_SECONDS = 0.01
"""Bytes are counted in slots of this length: a minute is 6,000 of them."""


class Tally:
    """What has crossed so far. `slots` are [first moment, last moment, payload], seconds of the system's clock."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.payload = 0
        self.slots: list[list[float]] = []
        self.faults: list[str] = []

    def add(self, payload: int, now: float) -> None:
        """So many bytes of payload were handed to the reader's kernel."""
        self.payload += payload
        if self.slots and now - self.slots[-1][0] < SLOT_SECONDS:
            self.slots[-1][1] = now
            self.slots[-1][2] += payload
        else:
            self.slots.append([now, now, payload])

    def answer(self, question: str) -> dict[str, object]:
        """Returns what a question asks."""
        if question == "address":
            return {"address": self.address}
        told: dict[str, object] = {"payload": self.payload, "at": time.monotonic(), "faults": self.faults}
        return told | {"slots": self.slots} if question == "slots" else told


async def serve(near: socket.socket, far_address: tuple[str, int], tally: Tally) -> None:
    """Forwards one connection until either side ends it."""
    loop = asyncio.get_running_loop()
    with near, socket.socket() as far:
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        for one in (near, far):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            await loop.sock_connect(far, far_address)
            counter = Connection(frames=True)
            ways = (_up(near, far, counter, tally), _down(far, near, counter, tally))
            tasks = [asyncio.ensure_future(way) for way in ways]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _up(near: socket.socket, far: socket.socket, counter: Connection, tally: Tally) -> None:
    loop = asyncio.get_running_loop()
    into = bytearray(PIECE_BYTES)
    while n := await loop.sock_recv_into(near, into):
        piece = memoryview(into)[:n]
        with _noted(tally):
            counter.up(piece, time.monotonic())
        await loop.sock_sendall(far, piece)


async def _down(far: socket.socket, near: socket.socket, counter: Connection, tally: Tally) -> None:
    loop = asyncio.get_running_loop()
    into = bytearray(PIECE_BYTES)
    while n := await loop.sock_recv_into(far, into):
        piece = memoryview(into)[:n]
        await loop.sock_sendall(near, piece)
        now = time.monotonic()
        with _noted(tally):
            tally.add(counter.down(piece, now), now)


@contextlib.contextmanager
def _noted(tally: Tally) -> Iterator[None]:
    try:
        yield
    except (NotHttp, ValueError) as fault:
        tally.faults.append(str(fault))


async def _accept(listener: socket.socket, far: tuple[str, int], tally: Tally) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        while True:
            near, _ = await loop.sock_accept(listener)
            group.create_task(serve(near, far, tally))


async def _answer(tally: Tally) -> None:
    """Answers questions until their end, which is the process's too."""
    questions = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(questions), os.fdopen(0, "rb", buffering=0)
    )
    while line := await questions.readline():
        print(json.dumps(tally.answer(line.decode().strip())), flush=True)
    os._exit(0)


async def main() -> None:
    """Listens on a port of the kernel's choice and forwards to the address that is the only argument."""
    host, _, port = sys.argv[1].rpartition(":")
    listener = socket.socket()
    # Before listen: accepted sockets inherit it, and no byte goes out by a larger one.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    listener.bind(("127.0.0.1", 0))
    listener.listen(256)
    listener.setblocking(False)
    tally = Tally("{}:{}".format(*listener.getsockname()))
    async with asyncio.TaskGroup() as group:
        group.create_task(_accept(listener, (host, int(port)), tally))
        group.create_task(_answer(tally))


if __name__ == "__main__":
    uvloop.run(main())
