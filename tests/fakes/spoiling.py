"""A stretch of network between two nodes that spoils what comes back, one connection after the other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Spoil:
    """What is done to the bytes of one connection that come back, from byte `at` on.

    `flip`: one bit of that byte; `cut`: the connection ends; `hang`: nothing comes any more, and nobody is told;
    `add`: these bytes are put in.
    """

    at: int
    how: str
    add: bytes = b""


@dataclass(slots=True)
class Stretch:
    """`address` leads to the node behind it; `spoils` are used up, one by each connection that carries an answer."""

    address: str
    spoils: list[Spoil] = field(default_factory=list)
    spoilt: int = 0

    def take(self) -> Spoil | None:
        """The spoil of a connection that has begun to answer."""
        if not self.spoils:
            return None
        self.spoilt += 1
        return self.spoils.pop(0)


@asynccontextmanager
async def stretch(behind: str) -> AsyncIterator[Stretch]:
    """A stretch that leads to `behind`, HOST:PORT."""
    host, _, port = behind.rpartition(":")
    made = Stretch("")
    held: set[asyncio.Task[None]] = set()

    async def serve(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        held.add(task)
        far, forth = await asyncio.open_connection(host, int(port))
        try:
            with suppress(OSError, asyncio.CancelledError):
                await asyncio.gather(_carry(near, forth, lambda: None), _carry(far, back, made.take))
        finally:
            for writer in (back, forth):
                writer.close()
            held.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        for task in list(held):
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, take: Callable[[], Spoil | None]) -> None:
    spoil: Spoil | None = None
    at, first = 0, True
    while data := await source.read(65536):
        if first:
            spoil, first = take(), False
        if spoil is not None and at <= spoil.at < at + len(data):
            here = spoil.at - at
            match spoil.how:
                case "flip":
                    data = data[:here] + bytes((data[here] ^ 1,)) + data[here + 1 :]
                case "add":
                    data = data[:here] + spoil.add + data[here:]
                case "cut" | "hang":
                    target.write(data[:here])
                    await target.drain()
                    if spoil.how == "hang":
                        await asyncio.Event().wait()
                    target.close()
                    return
        at += len(data)
        target.write(data)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()
