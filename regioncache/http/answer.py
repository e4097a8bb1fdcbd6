"""An answer under way: its head, and its body pulled into the reader's own memory."""

from collections.abc import Callable

from regioncache.http.chunks import BadChunk, Dechunker
from regioncache.http.faults import AnswerCutShort, BadHttp
from regioncache.http.heads import AnswerHead
from regioncache.http.messages import Header
from regioncache.http.wire import NOTHING, Wire

_STAGED_BYTES = 16 * 1024
"""Read at once between two chunks: a size line, and the payload behind it, which is then copied."""
_BEYOND_BYTES = 64
"""Read with the end of a chunk: the line behind it, that of the next one, and the head of a frame between nodes."""


class Answer:
    """One answer. Its connection goes back to the pool with the last byte, or is closed by `close`.

    All of its state: `_left` payload bytes still to come, None = until the end of the connection; `_dechunker` where
    the body is chunked; `_ahead` from `_at` on: bytes that came with the head or between chunks, `_beyond` where they
    are put; `_over`.
    """

    __slots__ = (
        "_ahead", "_at", "_beyond", "_dechunker", "_end", "_first", "_keep_alive", "_left", "_over", "_stall_seconds",
        "_wire", "headers", "length", "receive_buffer", "status",
    )  # fmt: skip

    def __init__(
        self,
        head: AnswerHead,
        bodyless: bool,
        ahead: bytes,
        wire: Wire,
        stall_seconds: float,
        receive_buffer: int,
        end: Callable[[bool], None],
    ) -> None:
        """Args:
        bodyless: no body follows, whatever the head says (HEAD).
        end: called once, with whether the connection can carry another request.
        """
        self.status = head.status
        self.headers: list[Header] = head.headers
        self.length: int | None = head.length
        self.receive_buffer = receive_buffer
        self._first = head.first
        self._keep_alive = head.keep_alive
        self._dechunker = Dechunker() if head.chunked else None
        self._left = 0 if bodyless else head.length
        self._ahead = ahead
        self._at = 0
        self._beyond = NOTHING if self._dechunker is None else memoryview(bytearray(_BEYOND_BYTES))
        self._wire = wire
        self._stall_seconds = stall_seconds
        self._end = end
        self._over = False
        if self._left == 0:
            self._finish()

    def header(self, name: bytes) -> bytes | None:
        """The first value of `name` (lower case), or None."""
        return self._first.get(name)

    @property
    def ahead(self) -> int:
        """Bytes that were read from the socket already and not received yet; at most 64 KiB, framing included."""
        return len(self._ahead) - self._at

    def take(self, into: memoryview) -> int:
        """As `receive`, of what has come already: 0 where that must be called, to wait or to find the end.

        Raises: AnswerCutShort, BadHttp.
        """
        if self._over or self._dechunker is None:
            return 0
        try:
            return self._take_chunked(self._dechunker, into)
        except BaseException:
            self.close()
            raise

    async def receive(self, into: memoryview) -> int:
        """Returns how many payload bytes were put into `into`, at least one; 0 at the end of the body.

        The socket is read only now. When this raises or is cancelled, the connection is closed.

        Raises: AnswerCutShort, AnswerTimeout (nothing came for the ask's `stall_seconds`), BadHttp.
        """
        if self._over or not len(into):
            return 0
        try:
            if self._dechunker is not None:
                return await self._receive_chunked(self._dechunker, into)
            got = await self._bytes(into if self._left is None else into[: self._left])
        except BaseException:
            self.close()
            raise
        if self._left is None:
            if not got:
                self._finish()
            return got
        if not got:
            self.close()
            raise AnswerCutShort(f"the answer ended {self._left} bytes short of its Content-Length")
        self._left -= got
        if not self._left:
            self._finish()
        return got

    async def body(self, limit: int) -> bytes:
        """Returns the whole body.

        Raises: BadHttp if it is longer than `limit` bytes; and as `receive`.
        """
        if self.length is not None and not self._over and self.length > limit:
            self.close()
            raise BadHttp(f"the answer has {self.length} bytes, {limit} are taken")
        size = min(limit if self.length is None else self.length, limit) + 1
        pieces: list[bytes] = []
        total = 0
        buffer = memoryview(bytearray(min(size, 64 * 1024)))
        while got := await self.receive(buffer):
            pieces.append(bytes(buffer[:got]))
            total += got
            if total > limit:
                self.close()
                raise BadHttp(f"the answer is longer than the {limit} bytes that are taken")
        return b"".join(pieces)

    def close(self) -> None:
        """Ends the answer; its connection is kept only if all of it was received. Safe to call twice."""
        if not self._over:
            self._over = True
            self._end(False)

    def _finish(self) -> None:
        """All is received. Bytes behind the end are nobody's: such a connection is not used again."""
        self._over = True
        self._end(self._keep_alive and self.ahead == 0)

    async def _bytes(self, into: memoryview) -> int:
        ahead = len(self._ahead) - self._at
        if not ahead:
            return await self._wire.pull(into, self._stall_seconds)
        size = min(ahead, len(into))
        into[:size] = self._ahead[self._at : self._at + size]
        self._at += size
        if self._at == len(self._ahead):
            self._ahead, self._at = b"", 0
        return size

    def _take_chunked(self, dechunker: Dechunker, into: memoryview) -> int:
        while not dechunker.left:
            if dechunker.ended or self._at == len(self._ahead):
                return 0
            self._read_line(dechunker)
        into = into[: dechunker.left]
        got = min(len(self._ahead) - self._at, len(into))
        if got:
            into[:got] = self._ahead[self._at : self._at + got]
            self._at += got
        if got < len(into):
            got += self._take_from_wire(into[got:], whole=len(into) == dechunker.left)
        dechunker.took(got)
        return got

    def _take_from_wire(self, into: memoryview, *, whole: bool) -> int:
        """Takes payload; with all that is left of a chunk what lies behind it."""
        got = self._wire.take(into, self._beyond if whole else NOTHING)
        if got > len(into):
            self._ahead, self._at = bytes(self._beyond[: got - len(into)]), 0
            got = len(into)
        return got

    def _read_line(self, dechunker: Dechunker) -> None:
        try:
            self._at = dechunker.line(self._ahead, self._at)
        except BadChunk as error:
            raise BadHttp(f"the answer's chunks are broken: {error}") from error

    async def _receive_chunked(self, dechunker: Dechunker, into: memoryview) -> int:
        while not dechunker.ended:
            if dechunker.left:
                got = await self._bytes(into[: dechunker.left])
                if not got:
                    raise AnswerCutShort("the answer ended inside a chunk")
                dechunker.took(got)
                return got
            if not self.ahead:
                await self._stage()
            self._read_line(dechunker)
        self._finish()
        return 0

    async def _stage(self) -> None:
        staged = memoryview(bytearray(_STAGED_BYTES))
        got = await self._wire.pull(staged, self._stall_seconds)
        if not got:
            raise AnswerCutShort("the answer ended between two chunks")
        self._ahead, self._at = bytes(staged[:got]), 0
