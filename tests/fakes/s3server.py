"""A tiny S3 over real sockets, for faults to the byte: what a real server would never do on demand.

It serves GET, HEAD and ListObjectsV2 of in-memory buckets (ramps, so 100 GB is cheap), counts what it sends, checks no
signatures, and does to each of the next requests what a fault queued for it says.
"""

import asyncio
import contextlib
import email.utils
import re
import socket
import struct
import urllib.parse
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from xml.sax.saxutils import escape

from regioncache.origins.base import ListAsk
from tests.fakes.origin import Bucket, FakeObject

PIECE_BYTES = 64 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


@dataclass(slots=True)
class S3Fault:
    """What goes wrong with one request; offsets are of the answer's body.

    `status` answers so, with `headers` and S3's `code`. `also` are headers beside the right ones of a right answer,
    `behind` bytes that come behind its body. `cut`, `reset` and `stall` strike once that many bytes are sent
    (-1: before the head); a stall waits for `released`. `at` and `then`: something done to the bucket in mid-body.
    `moved` sends a range that begins so many bytes later than the one asked for, and says so. `pace` sends no more than
    so many bytes a second.
    """

    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    code: str = ""
    also: tuple[tuple[str, str], ...] = ()
    behind: int = 0
    etag: str | None = None
    whole: bool = False
    moved: int = 0
    pace: int = 0
    cut: int | None = None
    reset: int | None = None
    stall: int | None = None
    at: int | None = None
    then: Callable[[], object] | None = None
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def stops(self) -> list[int]:
        """Body offsets where something happens, in order."""
        return sorted(n for n in (self.cut, self.reset, self.stall, self.at) if n is not None)


def status(code: int, **headers: str) -> S3Fault:
    """500, 503 with `retry_after="2"`, 403, 404."""
    return S3Fault(status=code, headers=tuple((name.replace("_", "-"), value) for name, value in headers.items()))


def refused(code: int, name: str, **headers: str) -> S3Fault:
    """An error with S3's own word for it: 400 ExpiredToken, 403 InvalidAccessKeyId."""
    return replace(status(code, **headers), code=name)


def long_body(behind: int) -> S3Fault:
    """More bytes than Content-Length said, on the same connection."""
    return S3Fault(behind=behind)


def short_body(after: int) -> S3Fault:
    """The full Content-Length, then a clean close after so many bytes."""
    return S3Fault(cut=after)


def reset(after: int = -1) -> S3Fault:
    return S3Fault(reset=after)


def stall(after: int = -1) -> S3Fault:
    return S3Fault(stall=after)


def slow(pace: int) -> S3Fault:
    """So many bytes a second, in ten pieces."""
    return S3Fault(pace=pace)


def wrong_etag() -> S3Fault:
    """The version asked for, under another ETag."""
    return S3Fault(etag='"not-the-etag-you-asked-for"')


def whole_to_a_range() -> S3Fault:
    return S3Fault(whole=True)


def other_range(moved: int) -> S3Fault:
    """A range, but not the one asked for."""
    return S3Fault(moved=moved)


def meanwhile(after: int, then: Callable[[], object]) -> S3Fault:
    """Does something (overwrites the object) when so many bytes are sent; the answer itself goes on as it began."""
    return S3Fault(at=after, then=then)


@dataclass(frozen=True, slots=True)
class Heard:
    """One request as it came; `target` is exactly what the request line held."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def place(self) -> tuple[str, str]:
        """Bucket and key, unquoted."""
        bucket, _, key = self.target.partition("?")[0].removeprefix("/").partition("/")
        return urllib.parse.unquote(bucket), urllib.parse.unquote(key)

    @property
    def query(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(self.target.partition("?")[2], keep_blank_values=True))


class _Gone(Exception):
    """A fault has ended the connection."""


class FakeS3:
    """`async with FakeS3() as s3:` serves on a loopback port; `s3.bucket("b").put("k", size)` fills it."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.heard: list[Heard] = []
        self.sent: Counter[str] = Counter()
        self.always: S3Fault | None = None
        self.accepted = 0
        self._next: deque[S3Fault] = deque()
        self._serving: set[asyncio.Task[None]] = set()

    def bucket(self, name: str) -> Bucket:
        """The bucket of that name, made if there is none."""
        return self.buckets.setdefault(name, Bucket())

    def next(self, *faults: S3Fault) -> None:
        """Queues faults, one for each of the next requests; `S3Fault()` lets one pass."""
        self._next.extend(faults)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def count(self, method: str, key: str | None = None) -> int:
        """How many requests of a method came (for a key)."""
        return sum(one.method == method and key in (None, one.place[1]) for one in self.heard)

    async def __aenter__(self) -> "FakeS3":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.away()

    async def away(self) -> None:
        """Stops listening and drops all connections; the origin is away from now on."""
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def back(self) -> None:
        """Listens again, at the same port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.accepted += 1
        try:
            with contextlib.suppress(_Gone, ConnectionError, asyncio.IncompleteReadError):
                while True:
                    heard = _parse(await reader.readuntil(b"\r\n\r\n"))
                    await reader.readexactly(int(heard.headers.get("content-length", 0)))
                    self.heard.append(heard)
                    fault = self._next.popleft() if self._next else self.always
                    await self._answer(heard, fault or S3Fault(), writer)
        except asyncio.CancelledError:
            writer.transport.abort()  # Nobody awaits this task but `away`.
        finally:
            self._serving.discard(task)
            writer.close()

    async def _answer(self, heard: Heard, fault: S3Fault, writer: asyncio.StreamWriter) -> None:
        await self._strike(fault, -1, writer)
        bucket, key = heard.place
        if fault.status:
            code = fault.code or {400: "InvalidURI", 403: "AccessDenied", 404: "NoSuchKey", 503: "SlowDown"}.get(
                fault.status, "InternalError"
            )
            return await _refuse(heard, fault.status, code, writer, fault.headers)
        if bucket not in self.buckets:
            return await _refuse(heard, 404, "NoSuchBucket", writer)
        if not key:
            return await self._list(heard, writer)
        found = self.buckets[bucket].objects.get(key)
        if found is None:
            return await _refuse(heard, 404, "NoSuchKey", writer)
        if heard.headers.get("if-match", found.etag) != found.etag:
            return await _refuse(heard, 412, "PreconditionFailed", writer)
        if heard.headers.get("if-none-match") == found.etag:
            return await _send_head(writer, 304, (("ETag", found.etag),))
        return await self._object(heard, key, found, fault, writer)

    async def _object(
        self, heard: Heard, key: str, found: FakeObject, fault: S3Fault, writer: asyncio.StreamWriter
    ) -> None:
        asked = heard.headers.get("range")
        span = None if asked is None or fault.whole else _span(asked, found.size)
        number = int(heard.query.get("partNumber", "0")) if found.parts else 0
        if number > len(found.parts):
            await _refuse(heard, 416, "InvalidPartNumber", writer)
            return
        if number:
            part = found.part(number).span
            span = (part.start, part.end)
        if span is not None and span[0] >= span[1]:
            outside = (("Content-Range", f"bytes */{found.size}"),)
            await _refuse(heard, 416, "InvalidRange", writer, outside)
            return
        start, end = span or (0, found.size)
        start += fault.moved
        headers = [
            ("ETag", fault.etag or found.etag),
            ("Last-Modified", email.utils.formatdate(found.last_modified, usegmt=True)),
            ("Content-Type", found.content_type),
            ("Content-Length", str(end - start)),
            ("Accept-Ranges", "bytes"),
            *found.headers,
            *fault.also,
        ]
        if number:
            headers.append(("x-amz-mp-parts-count", str(len(found.parts))))
        if heard.headers.get("x-amz-checksum-mode") == "ENABLED":
            headers += found.checksums
        if span is not None:
            headers.append(("Content-Range", f"bytes {start}-{end - 1}/{found.size}"))
        await _send_head(writer, 200 if span is None else 206, tuple(headers))
        if heard.method == "GET":
            await self._body(key, found, (start, end), fault, writer)

    async def _body(
        self, key: str, found: FakeObject, span: tuple[int, int], fault: S3Fault, writer: asyncio.StreamWriter
    ) -> None:
        at, end = span
        stops = [span[0] + stop for stop in fault.stops() if stop >= 0]
        await self._strike(fault, 0, writer)
        piece = fault.pace // 10 or PIECE_BYTES
        while at < end:
            until = min([end, at + piece, *(stop for stop in stops if stop > at)])
            writer.write(found.bytes_at(at, until))
            await writer.drain()
            self.sent[key] += until - at
            at = until
            if fault.pace:
                await asyncio.sleep(0.1)
            if at in stops:
                await self._strike(fault, at - span[0], writer)
        if fault.behind:
            writer.write(b"x" * fault.behind)
            await writer.drain()

    async def _strike(self, fault: S3Fault, at: int, writer: asyncio.StreamWriter) -> None:
        """Does what the fault says for this offset."""
        if at not in fault.stops():
            return
        fault.reached.set()
        if fault.at == at and fault.then is not None:
            fault.then()
        if fault.stall == at:
            await fault.released.wait()
        if fault.cut == at:
            writer.close()
            raise _Gone
        if fault.reset == at:
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            raise _Gone

    async def _list(self, heard: Heard, writer: asyncio.StreamWriter) -> None:
        query = heard.query
        encoded = query.get("encoding-type") == "url"
        quote = urllib.parse.quote if encoded else str
        encoding = "<EncodingType>url</EncodingType>" if encoded else ""
        after = query.get("continuation-token") or query.get("start-after", "")
        limit = min(int(query.get("max-keys", "1000")), 1000)
        page = self.buckets[heard.place[0]].list(
            ListAsk(query.get("prefix", ""), after, query.get("delimiter", ""), limit)
        )
        entries = "".join(
            f"<Contents><Key>{escape(quote(one.key))}</Key><LastModified>2020-09-13T12:26:40.000Z</LastModified>"
            f"<ETag>{escape(one.etag)}</ETag><Size>{one.size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
            for one in page.entries
        )
        rolled = "".join(
            f"<CommonPrefixes><Prefix>{escape(quote(one))}</Prefix></CommonPrefixes>" for one in page.prefixes
        )
        token = page.next_after
        more = "" if token is None else f"<NextContinuationToken>{escape(token)}</NextContinuationToken>"
        body = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>{escape(heard.place[0])}</Name><KeyCount>{len(page.entries) + len(page.prefixes)}</KeyCount>"
            f"{encoding}<IsTruncated>{'false' if token is None else 'true'}</IsTruncated>{more}{entries}{rolled}"
            "</ListBucketResult>"
        ).encode()
        self.sent[""] += len(body)
        head = (("Content-Type", "application/xml"), ("Content-Length", str(len(body))))
        await _send_head(writer, 200, head, body)


def _parse(head: bytes) -> Heard:
    lines = head.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ")
    pairs = (line.partition(":") for line in lines[1:] if line)
    return Heard(method, target, {name.strip().lower(): value.strip() for name, _, value in pairs})


def _span(asked: str, size: int) -> tuple[int, int] | None:
    """The half-open bytes meant; empty where the range lies outside; None for a header that S3 ignores."""
    found = _RANGE.match(asked)
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1 if last else size)


async def _refuse(
    heard: Heard, code: int, name: str, writer: asyncio.StreamWriter, headers: tuple[tuple[str, str], ...] = ()
) -> None:
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{name}</Code><Message>fake</Message></Error>'.encode()
    head = (*headers, ("Content-Type", "application/xml"), ("Content-Length", str(len(body))))
    await _send_head(writer, code, head, b"" if heard.method == "HEAD" else body)


async def _send_head(
    writer: asyncio.StreamWriter, code: int, headers: tuple[tuple[str, str], ...], body: bytes = b""
) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    writer.write(f"HTTP/1.1 {code} Fake\r\nx-amz-request-id: FAKE\r\n{lines}\r\n".encode() + body)
    await writer.drain()
