"""One reply after the other, written to a server connection: whole at once, or poured piece by piece."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from regioncache.http.heads import reply_head
from regioncache.http.messages import Buffer, Reply
from regioncache.http.outgoing import Outgoing

if TYPE_CHECKING:
    from regioncache.http.server import Server

_UNYIELDING_BYTES = 1024 * 1024
"""A stream that never has to wait lets the other connections have a turn after so many bytes."""

_BARE = frozenset((204, 304))
"""Statuses that never have a body (RFC 9110 15.3.5, 15.4.5)."""


class Replying:
    """Writes replies.

    All of its state: `_reply` the one under way and `_sent` its body bytes handed to the transport; `keep` whether
    its head said that the connection stays open.
    """

    __slots__ = ("_out", "_reply", "_sent", "_server", "keep")

    def __init__(self, server: "Server", out: Outgoing) -> None:
        self._server = server
        self._out = out
        self._reply: Reply | None = None
        self._sent = 0
        self.keep = True

    def whole(self, reply: Reply, to_head: bool, keep: bool) -> None:
        """Writes a reply whose body is whole, or that has none; `to_head` says that the request was a HEAD.

        Raises:
            ValueError: a header cannot be sent; nothing is written, and the reply is over.
        """
        self._reply = reply
        body = reply.body
        length: int | None = len(body)
        if to_head or reply.status in _BARE:
            body, length = b"", _told_length(reply)
        head = self._encode(reply, length, keep)
        self._sent = len(body)
        self._server.counters.bytes_out += len(head) + self._sent
        self._out.write(head, body)

    async def pour(self, reply: Reply, stream: AsyncIterator[Buffer], old: bool, keep: bool) -> None:
        """Sends a stream, each piece asked for when the one before has left the process; `old`: to HTTP/1.0.

        Raises:
            ValueError: it is not as long as it said, or a header cannot be sent; the connection must be cut off.
        """
        self._reply = reply
        length = reply.length
        chunked = length is None and not old
        head = self._encode(reply, length, keep and (chunked or length is not None), chunked)
        unyielding = 0
        async for piece in stream:
            if not piece:
                continue
            self._piece(head, piece, length, chunked)
            head = b""
            unyielding = await self._turn(unyielding + len(piece))
        if length is not None and self._sent != length:
            raise ValueError(f"the stream ended after {self._sent} of {length} bytes")
        if head or chunked:
            self._out.write(head + b"0\r\n\r\n" if chunked else head, b"")
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

    def _piece(self, head: bytes, piece: Buffer, length: int | None, chunked: bool) -> None:
        size = len(piece)
        if length is not None and self._sent + size > length:
            raise ValueError(f"the stream gives more than the {length} bytes it said")
        self._sent += size
        self._server.counters.bytes_out += len(head) + size
        if chunked:
            self._out.write_chunk(head, piece)
        else:
            self._out.write(head, piece)

    async def _turn(self, unyielding: int) -> int:
        """Waits for the peer, or lets others have their turn; returns the bytes sent since somebody had one."""
        if self._out.paused:
            await self._out.sent()
            return 0
        if unyielding < _UNYIELDING_BYTES:
            return unyielding
        await asyncio.sleep(0)
        return 0

    def _encode(self, reply: Reply, length: int | None, keep: bool, chunked: bool = False) -> bytes:
        self.keep = keep
        if length is not None:
            tail = b"%b%bContent-Length: %d\r\n" % (reply.encoded, self._server.date, length)
        else:
            tail = reply.encoded + self._server.date + (b"Transfer-Encoding: chunked\r\n" if chunked else b"")
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
