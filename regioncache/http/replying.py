"""One reply after the other, written to a server connection: whole at once, or poured piece by piece."""

import asyncio
from collections.abc import AsyncIterator, Callable
from enum import Enum
from typing import TYPE_CHECKING

from regioncache.http.heads import reply_head
from regioncache.http.messages import Buffer, Reply
from regioncache.http.outgoing import Outgoing
from regioncache.pages import FilePart

if TYPE_CHECKING:
    from regioncache.http.server import Server

_UNYIELDING_BYTES = 1024 * 1024
"""A stream that never has to wait lets the other connections have a turn after so many bytes."""

_BARE = frozenset((204, 304))
"""Statuses that never have a body (RFC 9110 15.3.5, 15.4.5)."""


class Pushed(Enum):
    """Why no more is sent now."""

    ALL = 1
    """The whole reply is handed over."""
    FULL = 2
    """The peer has to take some of it first."""
    TURN = 3
    """The other connections come first."""
    DRY = 4
    """What comes next must be waited for."""


class Replying:
    """Writes replies.

    All of its state: `_reply` the one under way and `_sent` its body bytes handed to the transport, `_head` what must
    go before the next of them, `_chunked` their coding, `_over` its last part said so; `keep` whether the head said
    that the connection stays open.
    """

    __slots__ = ("_chunked", "_head", "_out", "_over", "_reply", "_sent", "_server", "keep")

    def __init__(self, server: "Server", out: Outgoing) -> None:
        self._server = server
        self._out = out
        self._reply: Reply | None = None
        self._sent = 0
        self._head = b""
        self._chunked = self._over = False
        self.keep = True

    def whole(self, reply: Reply, to_head: bool, keep: bool) -> None:
        """Writes a reply whose body is whole, or that has none; `to_head` says that the request was a HEAD.

        Raises:
            ValueError: a header cannot be sent; nothing is written, and the reply is over.
        """
        self._reply = reply
        self._chunked = False
        body = reply.body
        length: int | None = len(body)
        if to_head or reply.status in _BARE:
            body, length = b"", _told_length(reply)
        head = self._encode(reply, length, keep)
        self._sent = len(body)
        self._server.counters.bytes_out += len(head) + self._sent
        self._out.write(head, body)

    def begin(self, reply: Reply, old: bool, keep: bool) -> None:
        """Begins a reply that comes piece by piece, each asked for when the one before has left; `old`: to HTTP/1.0.

        Raises:
            ValueError: a header cannot be sent; the connection must be cut off, as after each fault from here on.
        """
        self._reply = reply
        self._over = False
        self._chunked = reply.length is None and not old
        self._head = self._encode(reply, reply.length, keep and (self._chunked or reply.length is not None))

    def push(self, pull: Callable[[], FilePart | None]) -> Pushed:
        """Sends what can be pulled, until the peer must be waited for, or it is somebody else's turn.

        Raises:
            ValueError: it is longer than it said.
        """
        out, turn = self._out, 0
        while not self._ended():
            if turn >= _UNYIELDING_BYTES:
                return Pushed.TURN
            part = pull()
            if part is None:
                return Pushed.DRY
            self._part(part)
            if out.paused:
                return Pushed.FULL
            turn += len(part.view)
        return Pushed.ALL

    async def pour(self, reply: Reply, stream: AsyncIterator[Buffer]) -> None:
        """Sends the stream; what can be pulled is pulled.

        Raises:
            ValueError: it is not as long as it said.
        """
        turn = 0
        while True:
            pushed = Pushed.DRY if reply.pull is None else self.push(reply.pull)
            if pushed is Pushed.ALL:
                break
            if pushed is not Pushed.DRY:
                turn = await self._turn(_UNYIELDING_BYTES)
                continue
            piece = await anext(stream, None)
            if piece is None:
                break
            if piece:
                self._piece(piece)
                turn = await self._turn(turn + len(piece))
        if not self._ended() and reply.length is not None:
            raise ValueError(f"the stream ended after {self._sent} of {reply.length} bytes")
        end = self._taken_head() + (b"0\r\n\r\n" if self._chunked and not self._over else b"")
        if end:
            self._out.write(end, b"")
        await self._out.sent()

    def hold(self, reply: Reply) -> None:
        """Takes a reply that will not be written, for its `done`."""
        self._reply = reply

    def settle(self, unsent: int = 0) -> None:
        """The reply is over, but for `unsent` bytes."""
        reply, self._reply = self._reply, None
        sent, self._sent = self._sent, 0
        if reply is not None and reply.done is not None:
            reply.done(max(0, sent - unsent))

    def _ended(self) -> bool:
        return self._over or (self._reply is not None and self._sent == self._reply.length)

    def _piece(self, piece: Buffer) -> None:
        self._count(len(piece))
        if self._chunked:
            self._out.write_chunk(self._taken_head(), piece)
        else:
            self._out.write(self._taken_head(), piece)

    def _part(self, part: FilePart) -> None:
        self._count(len(part.head) + len(part.view) + len(part.last))
        if self._chunked:
            self._out.write_chunk(self._taken_head(), part.head, part)
        else:
            self._out.write_part(self._taken_head() + part.head, part)
            self._out.write(part.last, b"") if part.last else None
        self._over = bool(part.last)

    def _count(self, size: int) -> None:
        length = None if self._reply is None else self._reply.length
        if length is not None and self._sent + size > length:
            raise ValueError(f"the stream gives more than the {length} bytes it said")
        self._sent += size
        self._server.counters.bytes_out += len(self._head) + size

    def _taken_head(self) -> bytes:
        head, self._head = self._head, b""
        return head

    async def _turn(self, unyielding: int) -> int:
        """Waits for the peer, or lets others have their turn; returns the bytes sent since somebody had one."""
        if self._out.paused:
            await self._out.sent()
            return 0
        if unyielding < _UNYIELDING_BYTES:
            return unyielding
        await asyncio.sleep(0)
        return 0

    def _encode(self, reply: Reply, length: int | None, keep: bool) -> bytes:
        self.keep = keep
        if length is not None:
            tail = b"%b%bContent-Length: %d\r\n" % (reply.encoded, self._server.date, length)
        else:
            tail = reply.encoded + self._server.date + (b"Transfer-Encoding: chunked\r\n" if self._chunked else b"")
        return reply_head(reply.status, reply.headers, tail if keep else tail + b"Connection: close\r\n")


def _told_length(reply: Reply) -> int | None:
    """The Content-Length of a reply without its body: that which the body would have."""
    if reply.status == 204:
        return None
    if reply.length is None and reply.status != 304 and reply.stream is None:
        return len(reply.body)
    return reply.length


async def close_stream(stream: AsyncIterator[Buffer] | None) -> None:
    """Streams that are generators hold something; others need no closing."""
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()
