"""The headers of an object's reply: those every object has in one piece of bytes, the rare ones behind them."""

from typing import Final

from gateway.s3.asked import PLAIN, Asked
from gateway.s3.dates import HttpDates
from regioncache.opened import Opened, Waited
from regioncache.pages import Meta

_BREAKS: Final = 6
"""Lines that every object's reply has; more line breaks than lines mean that a value holds one."""

_STORED: Final = frozenset(
    (
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "expires",
        "x-amz-storage-class",
        "x-amz-website-redirect-location",
    )
)
"""Stored headers that go back to the client, besides x-amz-meta-* and, when asked for, x-amz-checksum-*."""
_ON_304: Final = frozenset(("cache-control", "expires"))
"""What a 304 repeats of them (RFC 9110, 15.4.5)."""
_DEFAULT_TYPE: Final = "binary/octet-stream"
"""S3's Content-Type of an object that was stored without one."""
_KEPT: Final = 256
"""Sets of stored headers remembered with their lines, at most some 2 MB: most objects of a bucket have the same few.
When it is full it starts anew."""


class ObjectHeads:
    """Writes the headers of objects, as encoded lines. Mutable state: `_known`, the lines of stored headers."""

    __slots__ = ("_dates", "_known")

    def __init__(self, dates: HttpDates) -> None:
        self._dates = dates
        self._known: dict[tuple[tuple[str, str], ...], tuple[str, int]] = {}

    @property
    def remembered(self) -> int:
        """Sets of stored headers whose lines are kept; bounded."""
        return len(self._known)

    def of(self, request_id: str, opened: Opened, asked: Asked, *, whole: bool) -> bytes:
        """Returns the header lines of a reply that sends the object; `whole` unless it sends a range.

        Raises:
            ValueError: what is stored holds a line break, which would let a value pose as another header.
        """
        meta = opened.meta
        content_type = meta.content_type or _DEFAULT_TYPE
        if asked.overrides:
            content_type = dict(asked.overrides).get("content-type", content_type)
        lines = (
            f"x-amz-request-id: {request_id}\r\netag: {meta.etag}\r\n"
            f"last-modified: {self._dates(meta.last_modified)}\r\naccept-ranges: bytes\r\n"
            f"x-causeway-source: {opened.source}\r\ncontent-type: {content_type}\r\n"
        )
        if opened.waited is not None or opened.stale_seconds is not None or asked.overrides or asked.checksums:
            more, count = _lines([*_stored(meta, asked, whole=whole), *_told(opened)])
        elif not meta.headers:
            return _encoded(lines, _BREAKS)
        else:
            more, count = self._known.get(meta.headers) or self._usual(meta)
        return _encoded(lines + more, _BREAKS + count)

    def not_modified(self, request_id: str, meta: Meta) -> bytes:
        """Returns the header lines of a 304. Raises ValueError as `of`."""
        kept, count = _lines([(name, value) for name, value in meta.headers if name in _ON_304])
        lines = (
            f"x-amz-request-id: {request_id}\r\netag: {meta.etag}\r\n"
            f"last-modified: {self._dates(meta.last_modified)}\r\n"
        )
        return _encoded(lines + kept, 3 + count)

    def _usual(self, meta: Meta) -> tuple[str, int]:
        """The lines of the stored headers, and how many, where the request asks for nothing of its own."""
        if len(self._known) >= _KEPT:
            self._known.clear()
        found = self._known[meta.headers] = _lines(_stored(meta, PLAIN, whole=False))
        return found


def _lines(headers: list[tuple[str, str]]) -> tuple[str, int]:
    return "".join([f"{name}: {value}\r\n" for name, value in headers]), len(headers)


def _stored(meta: Meta, asked: Asked, *, whole: bool) -> list[tuple[str, str]]:
    overridden = [pair for pair in asked.overrides if pair[0] != "content-type"]
    names = {name for name, _ in overridden}
    found = []
    for name, value in meta.headers:
        if name in names:
            continue
        checksum = asked.checksums and whole and name.startswith("x-amz-checksum-")
        kept = _unchunked(value) if name == "content-encoding" else value
        if kept and (name in _STORED or name.startswith("x-amz-meta-") or checksum):
            found.append((name, kept))
    return found + overridden


def _unchunked(encoding: str) -> str:
    """A Content-Encoding without the wire form of an upload, which some stores keep: nobody could decode by it."""
    codings = [coding.strip() for coding in encoding.split(",")]
    return ",".join(coding for coding in codings if coding and coding.lower() != "aws-chunked")


def _told(opened: Opened) -> list[tuple[str, str]]:
    told = []
    if opened.waited is not None:
        told.append(("x-causeway-wait", _wait(opened.waited)))
    if opened.stale_seconds is not None:
        told.append(("x-causeway-stale", str(int(opened.stale_seconds))))
    return told


def _wait(waited: Waited) -> str:
    seconds = f"{waited.seconds:.3f}".rstrip("0").rstrip(".")
    return f"line={waited.line};class={waited.cls};seconds={seconds}"


def _encoded(lines: str, breaks: int) -> bytes:
    """Header values come from HTTP as Latin-1; what a client wrote as UTF-8 into a query goes out as UTF-8."""
    if lines.count("\n") != breaks or lines.count("\r") != breaks:
        raise ValueError("a stored header of the object holds a line break; store it anew without")
    try:
        return lines.encode("latin-1")
    except UnicodeEncodeError:
        return b"\r\n".join(map(_line, lines.split("\r\n")))


def _line(line: str) -> bytes:
    try:
        return line.encode("latin-1")
    except UnicodeEncodeError:
        return line.encode()
