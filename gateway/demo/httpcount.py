"""Counts what passes on an HTTP/1.1 connection: wire bytes and payload, each answer by itself. Knows no socket.

Payload is the body of an answer with Content-Length, the content of a chunked one, and of a chunked answer whose
chunks are frames between nodes only what the frames of kind `bytes` carry. One frame is one chunk: a header of 32
bytes, `<BBHIQQQ` = kind, reserved, reserved, length, offset, xxh3, reserved, then `length` bytes.
"""

import struct
from collections import deque
from dataclasses import dataclass, field

FRAME = struct.Struct("<BBHIQQQ")
FRAME_BYTES = 1
_KINDS = 4
_HEAD_LIMIT = 256 * 1024


class NotHttp(Exception):
    """The stream is not what an HTTP/1.1 peer sends; counting it would be guessing."""


@dataclass(slots=True)
class Exchange:
    """One request and its answer, as far as it went. `payload` is of the answer; times are the caller's clock."""

    method: str
    target: str
    asked_at: float
    status: int = 0
    form: str = ""
    payload: int = 0
    first_at: float = 0.0
    ended_at: float = 0.0
    whole: bool = False
    range: str = ""


@dataclass(slots=True)
class _Body:
    """Where a message's body stands: `left` bytes of the body, the chunk or the frame."""

    form: str = "none"
    left: int = 0
    frame_left: int = 0
    counts: bool = False


@dataclass(slots=True)
class _Stream:
    """One direction: unparsed bytes (heads, chunk lines) and the body under way."""

    buffer: bytearray = field(default_factory=bytearray)
    body: _Body | None = None
    step: str = "head"


class Connection:
    """Both directions of one connection. `up` is fed requests, `down` answers; `down` returns the payload seen."""

    def __init__(self, frames: bool) -> None:
        self._frames = frames
        self._up = _Stream()
        self._down = _Stream()
        self._waiting: deque[Exchange] = deque()
        self.exchanges: list[Exchange] = []

    @property
    def idle(self) -> bool:
        """Whether every request that began has been answered whole."""
        return not self._waiting and not self._up.buffer and self._up.body is None

    def up(self, data: bytes | memoryview, now: float) -> int:
        """Feeds bytes of requests; returns their body bytes."""
        return self._feed(self._up, data, now, answers=False)

    def down(self, data: bytes | memoryview, now: float) -> int:
        """Feeds bytes of answers; returns the payload among them."""
        return self._feed(self._down, data, now, answers=True)

    def ended(self, now: float) -> None:
        """The connection closed; an answer until close is whole, any other one under way is not."""
        if self._waiting and self._waiting[0].form == "close":
            self._finish(now)
        for exchange in self._waiting:
            exchange.ended_at = now

    def _feed(self, stream: _Stream, data: bytes | memoryview, now: float, answers: bool) -> int:
        view = memoryview(data)
        payload = 0
        while view:
            if stream.body is None:
                view = self._head(stream, view, now, answers)
            else:
                view, seen = self._body(stream, stream.body, view)
                payload += seen
                if answers and seen and self._waiting:
                    self._waiting[0].payload += seen
            if stream.body is not None and stream.body.form == "done":
                stream.body = None
                if answers:
                    self._finish(now)
        return payload

    def _finish(self, now: float) -> None:
        exchange = self._waiting.popleft()
        exchange.whole, exchange.ended_at = True, now

    def _head(self, stream: _Stream, view: memoryview, now: float, answers: bool) -> memoryview:
        """Takes bytes until a head is whole, then says which body follows."""
        had = len(stream.buffer)
        stream.buffer += view[:_HEAD_LIMIT]
        end = stream.buffer.find(b"\r\n\r\n", max(0, had - 3))
        if end < 0:
            if len(stream.buffer) > _HEAD_LIMIT:
                raise NotHttp(f"no end of a head in {len(stream.buffer)} bytes: {bytes(stream.buffer[:60])!r}")
            return view[_HEAD_LIMIT:]
        head = bytes(stream.buffer[:end])
        stream.buffer.clear()
        stream.body = self._answer(head, now) if answers else self._request(head, now)
        return view[end + 4 - had :]

    def _request(self, head: bytes, now: float) -> _Body:
        line, headers = _parse(head)
        parts = line.split(" ")
        if len(parts) != 3:
            raise NotHttp(f"not a request line: {line[:80]!r}")
        exchange = Exchange(parts[0], parts[1], now, range=headers.get("range", ""))
        self._waiting.append(exchange)
        self.exchanges.append(exchange)
        if "chunked" in headers.get("transfer-encoding", ""):
            return _Body("chunked")
        return _sized(int(headers.get("content-length", 0)))

    def _answer(self, head: bytes, now: float) -> _Body:
        line, headers = _parse(head)
        if not line.startswith("HTTP/1.1 ") or not self._waiting:
            raise NotHttp(f"not an answer to anything: {line[:80]!r}")
        exchange = self._waiting[0]
        status = int(line[9:12])
        if status == 100:
            return _Body("interim")
        exchange.status, exchange.first_at = status, now
        if exchange.method == "HEAD" or status in (204, 304):
            exchange.form = "none"
            return _Body("done")
        if "chunked" in headers.get("transfer-encoding", ""):
            exchange.form = "frames" if self._frames and status in (200, 206) else "chunked"
            return _Body(exchange.form)
        if "content-length" in headers:
            exchange.form = "length"
            return _sized(int(headers["content-length"]))
        exchange.form = "close"
        return _Body("close")

    def _body(self, stream: _Stream, body: _Body, view: memoryview) -> tuple[memoryview, int]:
        """Takes what belongs to the body's present piece; returns the rest and the payload taken."""
        if body.form == "interim":
            stream.body = None
            return view, 0
        if body.form == "close":
            return view[len(view) :], len(view)
        if body.form == "length":
            n = min(body.left, len(view))
            body.left -= n
            if not body.left:
                body.form = "done"
            return view[n:], n
        return self._chunked(stream, body, view)

    def _chunked(self, stream: _Stream, body: _Body, view: memoryview) -> tuple[memoryview, int]:
        if stream.step == "head":
            return self._chunk_line(stream, body, view), 0
        if stream.step == "frame":
            return self._frame_head(stream, body, view), 0
        if stream.step == "content":
            n = min(body.left, len(view))
            body.left -= n
            if not body.left:
                stream.step = "edge"
            return view[n:], n if body.counts else 0
        return self._edge(stream, body, view), 0

    def _chunk_line(self, stream: _Stream, body: _Body, view: memoryview) -> memoryview:
        line, view = _line(stream.buffer, view)
        if line is None:
            return view
        body.left = int(line.split(b";")[0], 16)
        body.counts = body.form == "chunked"
        stream.step = "last" if not body.left else "frame" if body.form == "frames" else "content"
        return view

    def _frame_head(self, stream: _Stream, body: _Body, view: memoryview) -> memoryview:
        need = FRAME.size - len(stream.buffer)
        stream.buffer += view[:need]
        if len(stream.buffer) < FRAME.size:
            return view[need:]
        kind, reserved, reserved2, length, _, _, reserved3 = FRAME.unpack(stream.buffer)
        if kind >= _KINDS or reserved or reserved2 or reserved3 or length + FRAME.size != body.left:
            raise NotHttp(f"a chunk of {body.left} bytes does not hold one frame: kind {kind}, length {length}")
        stream.buffer.clear()
        body.left = length
        body.counts = kind == FRAME_BYTES
        stream.step = "content" if length else "edge"
        return view[need:]

    def _edge(self, stream: _Stream, body: _Body, view: memoryview) -> memoryview:
        """The line end behind a chunk's content, or the trailers behind the last chunk."""
        line, view = _line(stream.buffer, view)
        if line is None:
            return view
        if stream.step == "edge":
            if line:
                raise NotHttp(f"{line[:40]!r} behind a chunk's content")
            stream.step = "head"
        elif not line:
            stream.step = "head"
            body.form = "done"
        return view


def _sized(length: int) -> _Body:
    return _Body("length", length) if length else _Body("done")


def _line(buffer: bytearray, view: memoryview) -> tuple[bytes | None, memoryview]:
    """Takes bytes up to the end of a line; None while it is not whole."""
    piece = bytes(view[:4096])
    at = piece.find(b"\n")
    if at < 0:
        buffer += piece
        if len(buffer) > _HEAD_LIMIT:
            raise NotHttp("a line without an end")
        return None, view[len(piece) :]
    line = (bytes(buffer) + piece[:at]).rstrip(b"\r")
    buffer.clear()
    return line, view[at + 1 :]


def _parse(head: bytes) -> tuple[str, dict[str, str]]:
    lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:])
    return lines[0], {name.strip().lower(): value.strip() for name, _, value in pairs}
