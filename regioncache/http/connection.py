"""One connection of the server: heads in, replies out, in order, one at a time, no faster than the peer reads."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from math import inf
from typing import TYPE_CHECKING, Any, cast

from regioncache.http.arriving import NO_BODY, ArrivingBody
from regioncache.http.heads import END, BadRequest, HeadParser, check_host, reply_head
from regioncache.http.messages import BadBody, BodyTooLarge, Buffer, Reply, Request
from regioncache.http.outgoing import Outgoing
from regioncache.http.replying import Pushed, Replying, close_stream

if TYPE_CHECKING:
    from regioncache.http.server import Server

_IN_A_ROW = 16
"""Pipelined requests answered at once before the other connections get their turn."""


class ServerConnection(asyncio.Protocol):
    """Serves one connection.

    All of its state: `_held` bytes not taken yet (a partial head, or the next requests), `_deaf` the socket is not
    read; `_busy` a reply is under way, to the request whose head `_parser` holds, `_body` its body if it has one,
    `_task` who makes the reply if it takes a task (`_begun` once it ran), `_pulling` it goes on without one; `_keep`
    another request is welcome, `_last` but no more than one; `stage` what the peer is waited for ("idle", "head",
    "linger", "") and `deadline` when it is given up.
    """

    __slots__ = (
        "_begun", "_body", "_busy", "_client", "_deaf", "_held", "_keep", "_last", "_loop", "_out", "_parser",
        "_pulling", "_replying", "_server", "_task", "_tls", "_transport", "deadline", "stage",
    )  # fmt: skip

    _transport: asyncio.Transport
    _out: Outgoing
    _replying: Replying

    def __init__(self, server: "Server", loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._parser = HeadParser()
        self._held = b""
        self._body: ArrivingBody | None = None
        self._task: asyncio.Task[None] | None = None
        self._busy = self._begun = self._pulling = False
        self._deaf = False
        self._keep = True
        self._last = False
        self.stage = ""
        self.deadline = inf

    # The transport's calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._out = Outgoing(self._transport)
        self._replying = Replying(self._server, self._out)
        peer = transport.get_extra_info("peername")
        self._client = str(peer[0]) if isinstance(peer, tuple) else ""
        self._tls = transport.get_extra_info("sslcontext") is not None
        self._out.attend(self._tls)
        admitted = self._server.admit(self)
        self._wait_for("idle", self._server.limits.head_seconds)
        if not admitted:
            if self._server.flooded():
                self._abort()
            else:
                self._refuse(503)

    def data_received(self, data: bytes) -> None:
        self._server.counters.bytes_in += len(data)
        if self.stage == "linger":
            return
        if not self._busy:
            self._advance(self._held + data if self._held else data)
            return
        if self._body is not None and not self._body.complete:
            data = self._body.feed(data)
        self._held += data
        self._listen()

    def eof_received(self) -> bool:
        """The peer sends no more: a reply that still has to be made has no reader, one that is made is flushed."""
        if self._task is not None or self._pulling:
            self._transport.abort()
        return False

    def pause_writing(self) -> None:
        self._out.pause()

    def resume_writing(self) -> None:
        self._out.resume()

    def connection_lost(self, error: Exception | None) -> None:
        unsent = self._out.unsent()
        self._out.lose()
        self._held = b""
        if self._task is not None and self._begun:
            self._task.cancel()
        self._replying.settle(unsent)
        self._server.leave(self)

    # The server's calls.

    def sweep(self, now: float) -> None:
        """Gives up a peer that stalls; called about once a second."""
        limits = self._server.limits
        body = self._body
        if self._out.stalled(now, limits.write_seconds) or (
            body is not None and body.too_slow(now, limits.body_seconds, limits.body_rate)
        ):
            self._abort()
        elif now < self.deadline:
            return
        elif self.stage == "head":
            self._refuse(408)
        elif self.stage == "idle":
            self._close()
        else:
            self._abort()

    def last_request(self) -> None:
        """One more request is answered, and told that it was the last."""
        self._last = True

    def wind_down(self) -> None:
        """No request after the one under way, but a last one that was granted; at once closed if there is none."""
        self._keep = self._last and self._busy
        if self.stage == "idle":
            self._close()

    def let_go(self) -> bool:
        """Closes a connection that is waited for: its place is needed. False if bytes of it were not read yet."""
        return self._out.abort_if_nothing_came()

    def abort(self) -> asyncio.Task[None] | None:
        """Cuts the connection off; returns the task that is ending because of it."""
        self._abort()
        return self._task

    def _advance(self, data: bytes) -> None:
        """Answers the requests in `data`, as far as they are complete and their replies can be written at once."""
        limit = self._server.limits.head_bytes
        for _ in range(_IN_A_ROW):
            if data.startswith(b"\r\n"):  # RFC 9112 2.2: an empty line before the request line is passed over
                data = data[2:]
            end = data.find(END) + len(END)
            if end < len(END) or end > limit:
                self._partial(data, limit)
                return
            self._held = data[end:]
            if not self._take(data[:end]) or not self._held:
                return
            data = self._held
        self._listen()
        self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._held and not self._busy and not self._out.lost and self.stage != "linger":
            self._advance(self._held)
            self._listen()

    def _partial(self, data: bytes, limit: int) -> None:
        self._held = data
        if len(data) >= limit:
            self._refuse(431)
        elif data and not 65 <= data[0] <= 90:
            self._refuse(400)  # TLS or noise on a plain port: no method starts like this, so no head will end
        elif data and self.stage != "head":
            self._wait_for("head", self._server.limits.head_seconds)

    def _take(self, data: bytes) -> bool:
        """Answers one request; True if its reply is sent and the next one may be taken."""
        server = self._server
        server.counters.requests += 1
        try:
            head = self._parser
            head.parse(data)
            request = Request(head.method, head.target, head.headers, NO_BODY, self._client, self._tls)
            if len(head.headers) > server.limits.headers:
                raise BadRequest(431, "too many headers")
            if b"host" not in request.first or len(request.first) != len(head.headers):
                check_host(head.headers, head.old)
        except BadRequest as refusal:
            self._refuse(refusal.status)
            return False
        self._busy = True
        self.stage = ""
        self.deadline = inf
        if head.length != 0:
            request.body = self._open_body(request)
        try:
            answer = server.handler(request)
        except Exception as error:
            answer = self._fault(request, error)
        if isinstance(answer, Reply) and answer.stream is None:
            self._send(request, answer)
            if not self._out.paused:
                return self._finish()
            self._out.when_sent(self._finish_later)
        elif isinstance(answer, Reply) and answer.pull is not None and head.method != b"HEAD":
            if self._pull(request, answer):
                return self._finish()
        else:
            self._start(self._serve(request, answer))
        self._listen()
        return False

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = self._loop.create_task(work)
        self._task.add_done_callback(self._served)

    def _open_body(self, request: Request) -> ArrivingBody:
        expects = (request.header(b"expect") or b"").lower() == b"100-continue" and not self._parser.old
        body = ArrivingBody(self._parser.length, self._continue if expects else None, self._listen, self._server.clock)
        self._body = body
        self._held = body.feed(self._held) if self._held else b""
        return body

    def _continue(self) -> None:
        self._out.write(b"HTTP/1.1 100 Continue\r\n\r\n", b"")

    def _listen(self) -> None:
        """Reads the socket only while there is room: one queued request, the rest of a head, or a body's share."""
        queued = bool(self._held) and self.stage != "head"
        full = queued if self._body is None or self._body.complete else self._full(self._body)
        if full == self._deaf or self._transport.is_closing():
            return
        self._deaf = full
        if full:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _full(self, body: ArrivingBody) -> bool:
        return body.held >= self._server.limits.held_bytes

    # Replies.

    def _pull(self, request: Request, reply: Reply) -> bool:
        """Sends a reply as far as it is at hand, without a task; True if that was all, and it has left."""
        self._pulling = True
        try:
            self._replying.begin(reply, self._parser.old, self._may_keep())
        except ValueError as error:
            self._break_off(request, error)
            return False
        return self._push(request, reply)

    def _push(self, request: Request, reply: Reply) -> bool:
        assert reply.pull is not None, "only what can be pulled is pushed"
        assert reply.stream is not None, "what cannot be pulled is streamed"
        try:
            pushed = self._replying.push(reply.pull)
        except Exception as error:
            self._break_off(request, error)
            return False
        match pushed:
            case Pushed.ALL:
                return True
            case Pushed.FULL:
                self._out.when_sent(lambda: self._push_on(request, reply))
            case Pushed.TURN:
                self._loop.call_soon(self._push_on, request, reply)
            case Pushed.DRY:
                self._pulling = False
                self._start(self._pour(request, reply, reply.stream))
        return False

    def _push_on(self, request: Request, reply: Reply) -> None:
        if not self._out.lost and self._push(request, reply):
            self._finish_later()

    async def _serve(self, request: Request, answer: Reply | Awaitable[Reply]) -> None:
        self._begun = True
        if self._out.lost:
            await self._dispose(answer)
            return
        try:
            reply = answer if isinstance(answer, Reply) else await answer
        except BodyTooLarge:
            reply = Reply(413)
        except BadBody:
            reply = Reply(400)
        except Exception as error:
            reply = self._fault(request, error)
        try:
            if reply.stream is None or self._parser.method == b"HEAD" or reply.status in (204, 304):
                self._send(request, reply)
                await self._out.sent()
                await close_stream(reply.stream)
            else:
                self._replying.begin(reply, self._parser.old, self._may_keep())
                await self._pour(request, reply, reply.stream)
        except Exception as error:
            self._break_off(request, error)

    async def _pour(self, request: Request, reply: Reply, stream: AsyncIterator[Buffer]) -> None:
        self._begun = True
        try:
            if not self._out.lost:
                await self._replying.pour(reply, stream)
        except Exception as error:
            self._break_off(request, error)
        finally:
            await close_stream(stream)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._begun = False
        if self._out.lost:
            self._replying.settle()
        elif task.cancelled() or task.exception() is not None:
            self._abort()
        else:
            self._finish_later()

    async def _dispose(self, answer: Reply | Awaitable[Reply]) -> None:
        """The peer went before its reply was begun: what was opened for it is closed."""
        if isinstance(answer, Reply):
            self._replying.hold(answer)
            await close_stream(answer.stream)
        elif isinstance(answer, Coroutine):
            answer.close()

    def _send(self, request: Request, reply: Reply) -> None:
        to_head = self._parser.method == b"HEAD"
        try:
            self._replying.whole(reply, to_head, self._may_keep())
        except ValueError as error:
            self._replying.settle()
            self._replying.whole(self._fault(request, error), to_head, self._may_keep())

    def _may_keep(self) -> bool:
        """Whether another request may follow this reply: a body that was not read whole would be taken for one."""
        return self._keep and not self._last and self._parser.keep_alive and (self._body is None or self._body.complete)

    def _break_off(self, request: Request, error: Exception) -> None:
        """The reply is not what its head said: the peer must see that."""
        self._server.on_fault(request, error)
        self._abort()

    def _fault(self, request: Request, error: Exception) -> Reply:
        self._server.on_fault(request, error)
        return Reply(500)

    def _finish(self) -> bool:
        """The reply has left; True if another request may follow."""
        unread = self._body is not None and not self._body.complete
        self._busy = self._pulling = False
        self._body = None
        self._replying.settle()
        if not (self._keep and self._replying.keep):
            self._keep = False
            self._linger() if unread else self._close()
            return False
        self.stage = "idle"
        self.deadline = self._server.now + self._server.idle_seconds
        return True

    def _finish_later(self) -> None:
        if self._finish():
            if self._held:
                self._advance(self._held)
            self._listen()

    def _refuse(self, status: int) -> None:
        """Answers what is no request, or no longer waited for, and takes nothing more."""
        self._server.counters.refused += 1
        self._keep = False
        self._out.write(reply_head(status, (), self._server.date + b"Content-Length: 0\r\nConnection: close\r\n"), b"")
        self._linger()

    def _linger(self) -> None:
        self._held = b""
        self._wait_for("linger", self._server.limits.linger_seconds)
        if self._transport.is_closing():
            return
        if self._deaf:
            self._deaf = False
            self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._close()

    def _close(self) -> None:
        self._transport.close()

    def _abort(self) -> None:
        if not self._out.lost:
            self._server.counters.aborted += 1
            self._transport.abort()

    def _wait_for(self, stage: str, seconds: float) -> None:
        self.stage = stage
        self.deadline = self._server.now + seconds
