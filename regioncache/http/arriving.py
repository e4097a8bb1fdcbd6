"""A request's body as it arrives: what came waits here, bounded, until the handler reads it."""

import asyncio
from collections import deque
from collections.abc import Callable

from regioncache.http.chunks import BadChunk, Dechunker
from regioncache.http.messages import BadBody, BodyTooLarge


class NoBody:
    """The body of a request that has none."""

    __slots__ = ()
    complete = True

    async def read(self, limit: int) -> bytes:
        """Returns b""."""
        return b""

    async def piece(self) -> bytes:
        """Returns b""."""
        return b""


NO_BODY = NoBody()


class ArrivingBody:
    """The body of one request.

    All of its state: `_pieces` what came and was not read, `held` its bytes; `complete` once all of it came; `_bad`
    why no more can come; `_waiter` the handler's, while it waits since `waits_since`; `waited` seconds in all before.
    """

    __slots__ = (
        "_bad", "_clock", "_dechunker", "_left", "_pieces", "_room", "_waiter", "_wanted", "complete", "held",
        "received", "waited", "waits_since",
    )  # fmt: skip

    def __init__(
        self,
        length: int | None,
        wanted: Callable[[], None] | None,
        room: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        """Args:
        length: Content-Length, None = chunked.
        wanted: called when the handler reads for the first time (100 Continue), None = nobody waits for that.
        room: called when what was held was read (go on reading the socket).
        """
        self._left = length or 0
        self._dechunker = Dechunker() if length is None else None
        self._wanted = wanted
        self._room = room
        self._clock = clock
        self._pieces: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._bad: str | None = None
        self.held = 0
        self.received = 0
        self.complete = False
        self.waited = 0.0
        self.waits_since: float | None = None

    def feed(self, data: bytes) -> bytes:
        """Takes what came from the socket; returns what lies behind the body's end."""
        if self.complete or self._bad is not None:
            return data
        if self._dechunker is None:
            mine, rest = (data, b"") if len(data) <= self._left else (data[: self._left], data[self._left :])
            self._left -= len(mine)
            self.complete = not self._left
        else:
            mine, rest = self._dechunk(self._dechunker, data)
        if mine:
            self._pieces.append(mine)
            self.held += len(mine)
            self.received += len(mine)
        self._wake()
        return rest

    def too_slow(self, now: float, pause_seconds: float, rate: float) -> bool:
        """Whether the handler waits in vain: for so long at once, or for fewer bytes/s than `rate` in all."""
        if self.waits_since is None:
            return False
        pause = now - self.waits_since
        return pause > pause_seconds or self.waited + pause > pause_seconds + self.received / rate

    async def piece(self) -> bytes:
        """Returns the next bytes as they came, b"" at the end.

        Raises: BadBody.
        """
        if self._wanted is not None:
            wanted, self._wanted = self._wanted, None
            if not self.complete and not self.held:
                wanted()
        while not self._pieces:
            if self._bad is not None:
                raise BadBody(self._bad)
            if self.complete:
                return b""
            await self._wait()
        data = self._pieces.popleft()
        self.held -= len(data)
        self._room()
        return data

    async def read(self, limit: int) -> bytes:
        """Returns the whole body.

        Raises:
            BodyTooLarge: more than `limit` bytes are told or seen.
            BadBody: the framing is broken.
        """
        if self.received + self._left > limit:
            raise BodyTooLarge(f"the body is longer than the {limit} bytes allowed")
        pieces: list[bytes] = []
        size = 0
        while data := await self.piece():
            pieces.append(data)
            size += len(data)
            if size > limit:
                raise BodyTooLarge(f"the body is longer than the {limit} bytes allowed")
        return b"".join(pieces)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        self.waits_since = self._clock()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self.waited += self._clock() - self.waits_since
            self.waits_since = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _dechunk(self, dechunker: Dechunker, data: bytes) -> tuple[bytes, bytes]:
        try:
            pieces, rest = dechunker.feed(data)
        except BadChunk as error:
            self._bad = str(error)
            return b"", b""
        self.complete = dechunker.ended
        return b"".join(pieces), rest
