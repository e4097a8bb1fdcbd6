"""Heads of requests and replies: bytes to values and back, no socket.

llhttp (httptools) parses; what it bears and a gateway must not (RFC 9112: request smuggling) is refused here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import httptools

from regioncache.http.messages import Header, Headers

END = b"\r\n\r\n"
_STATUS_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}


class BadRequest(Exception):
    """The peer's request cannot be served; `status` is what to tell it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class HeadParser:
    """Parses one complete head after the other.

    All of its state is of the last head: `method`, `target` in origin-form, `headers`; `length` the body's
    Content-Length, None = chunked, 0 = there is none; `keep_alive` the client bears another reply behind this one;
    `old` HTTP/1.0: no chunked replies, no second request. `_lines` are the headers as llhttp tells them.
    """

    __slots__ = (
        "_bodyless", "_lines", "_parser", "headers", "keep_alive", "length", "method", "old", "on_header", "target",
    )  # fmt: skip

    on_header: Callable[[bytes, bytes], None]

    def __init__(self) -> None:
        self.method = self.target = b""
        self.headers: list[Header] = []
        self.length: int | None = 0
        self.keep_alive = self.old = self._bodyless = False
        self._renew()

    def on_message_complete(self) -> None:
        """llhttp's: the head says that no body follows."""
        self._bodyless = True
        self.keep_alive = self._parser.should_keep_alive()

    def parse(self, data: bytes) -> None:
        """Reads the head that `data` is, from the request line to the empty line.

        Raises: BadRequest with 400, 501 (a transfer coding that is not chunked, a tunnel) or 505.
        """
        self._bodyless = False
        lines = self._lines
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._decline_upgrade(data)
        except httptools.HttpParserError as error:
            self._renew()
            raise _refusal(data, error) from None
        self.headers = headers = lines.copy()
        lines.clear()
        words = data[: data.find(b"\r\n")].split(b" ")
        if len(words) != 3:
            raise BadRequest(400, "the request line is not METHOD TARGET VERSION")
        self.method, self.target, version = words
        self.old = version == b"HTTP/1.0"
        if not self.old and version != b"HTTP/1.1":
            raise BadRequest(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        self.length = 0
        if not self._bodyless:
            self._renew()
            self.length = _framing(headers, self.old)
            self.keep_alive = not _says_close(headers)
        if self.old:
            self.keep_alive = False
        if self.target[:1] != b"/" or b"#" in self.target:
            self.target = _unusual_target(self.method, self.target, headers)

    def _decline_upgrade(self, data: bytes) -> None:
        """An upgrade is an offer that is not taken up; llhttp skips the body then, which is still to be framed."""
        lines = self._lines
        self._renew()
        if data.startswith(b"CONNECT "):
            raise BadRequest(501, "no tunnels are made here")
        self._bodyless = not any(name in (b"content-length", b"transfer-encoding") for name, _ in lines)
        self.keep_alive = not _says_close(lines)

    def _renew(self) -> None:
        """A new llhttp: after a fault, and behind a request whose body it was not shown."""
        lines: list[Header] = []

        def on_header(name: bytes, value: bytes) -> None:
            lines.append((name.lower(), value.rstrip()))  # llhttp leaves the blanks behind a value

        self._lines = lines
        self.on_header = on_header
        self._parser = httptools.HttpRequestParser(self)


class BadAnswerHead(Exception):
    """The peer's answer is not one that we understand."""


@dataclass(slots=True)
class AnswerHead:
    """An answer's head. `length` is Content-Length where `chunked` is false, None = until the connection ends."""

    status: int
    headers: list[Header]
    first: dict[bytes, bytes]
    length: int | None
    chunked: bool
    keep_alive: bool


class _AnswerLines:
    __slots__ = ("headers", "on_header")

    def __init__(self) -> None:
        self.headers = headers = list[Header]()

        def on_header(name: bytes, value: bytes) -> None:
            headers.append((name.lower(), value.rstrip()))

        self.on_header = on_header


def parse_answer(data: bytes, to_head: bool) -> AnswerHead:
    """Returns the answer's head that `data` is; `to_head` says that the request was a HEAD.

    Raises: BadAnswerHead.
    """
    lines = _AnswerLines()
    parser = httptools.HttpResponseParser(lines)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        raise BadAnswerHead("the answer changes the protocol, which nobody asked for") from None
    except httptools.HttpParserError as error:
        raise BadAnswerHead(f"not an answer: {error}") from None
    status = int(parser.get_status_code())
    if status < 100:
        raise BadAnswerHead(f"the answer's status is {status:03}, which is none")
    headers = lines.headers
    first = dict(reversed(headers))
    if data[:9] != b"HTTP/1.1 " and data[:9] != b"HTTP/1.0 ":
        raise BadAnswerHead("the answer is neither HTTP/1.1 nor HTTP/1.0")
    old = data[7:8] == b"0"
    keep_alive = not old and not (b"connection" in first and _says_close(headers))
    coding = first.get(b"transfer-encoding")
    if coding is not None and (old or coding.strip().lower() != b"chunked" or b"content-length" in first):
        raise BadAnswerHead("the answer's Transfer-Encoding is not plain chunked")
    length = first.get(b"content-length")
    if length is not None and not length.isdigit():
        raise BadAnswerHead("the answer's Content-Length is not a number")
    told = None if length is None else int(length)
    if to_head or status in (204, 304) or status < 200:
        return AnswerHead(status, headers, first, told, False, keep_alive)
    if coding is None and told is None:
        keep_alive = False
    return AnswerHead(status, headers, first, told, coding is not None, keep_alive)


def check_host(headers: list[Header], old: bool) -> None:
    """RFC 9112 3.2: exactly one Host in HTTP/1.1.

    Raises: BadRequest with 400.
    """
    hosts = sum(name == b"host" for name, _ in headers)
    if hosts > 1 or (not hosts and not old):
        raise BadRequest(400, "HTTP/1.1 needs one Host header")


def reply_head(status: int, headers: Headers, tail: bytes) -> bytes:
    """Returns a reply's head; `tail` are encoded lines that are put behind `headers`, each ended by CRLF.

    Raises:
        ValueError: as `header_lines`.
    """
    line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    return b"".join((line, header_lines(headers), tail, b"\r\n"))


def header_lines(headers: Headers) -> bytes:
    """Returns the headers as lines, each ended by CRLF.

    Raises:
        ValueError: a header holds CR, LF or NUL, which would let a value pose as another header.
    """
    block = b"".join([b"%b: %b\r\n" % header for header in headers])
    if len(block) - len(block.translate(None, b"\r\n\0")) != 2 * len(headers):
        raise ValueError("a header holds CR, LF or NUL")
    return block


def _framing(headers: list[Header], old: bool) -> int | None:
    """The body's length, None = chunked. llhttp refused both together and a doubled length; this does so again."""
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if codings:
        if lengths or old or len(codings) > 1:
            raise BadRequest(400, "Transfer-Encoding beside Content-Length, in HTTP/1.0, or twice")
        if codings[0].strip(b" \t").lower() != b"chunked":
            raise BadRequest(501, "only the transfer coding chunked is understood")
        return None
    if len(lengths) != 1 or not lengths[0].isdigit():
        raise BadRequest(400, "Content-Length is not one number")
    return int(lengths[0])


def _says_close(headers: list[Header]) -> bool:
    return any(name == b"connection" and b"close" in value.lower() for name, value in headers)


def _unusual_target(method: bytes, target: bytes, headers: list[Header]) -> bytes:
    """RFC 9112 3.2: absolute-form becomes origin-form and its authority the Host; `*` is for OPTIONS alone."""
    if target == b"*" and method == b"OPTIONS":
        return target
    scheme, mark, rest = target.partition(b"://")
    if not mark or scheme.lower() not in (b"http", b"https") or b" " in target or b"#" in target:
        raise BadRequest(400, "the request's target is not a path")
    cut = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    authority, target = rest[:cut], rest[cut:]
    if not authority or b"@" in authority:
        raise BadRequest(400, "the request's target has no host, or credentials in it")
    headers[:] = [(name, authority if name == b"host" else value) for name, value in headers]
    return target if target[:1] == b"/" else b"/" + target


def _refusal(data: bytes, error: Exception) -> BadRequest:
    line = data[: max(0, data.find(b"\r\n"))]
    _, mark, version = line.rpartition(b" HTTP/")
    if mark and version not in (b"1.1", b"1.0") and version.replace(b".", b"", 1).isdigit():
        return BadRequest(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    return BadRequest(400, f"not a request: {error}")
