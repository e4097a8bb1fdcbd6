"""What tests of the store are written in: objects whose bytes follow from their name, and system calls that fail."""

import asyncio
import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from regioncache.pages import EXTENT_BYTES, KIB, MIB, Meta, ObjectId, Span, Version
from regioncache.store.base import WouldBlock
from regioncache.store.disk import Piece, SystemCalls
from regioncache.store.store import Store

BUCKET = b"b" * 16
RAMP = bytes(range(251)) * (17 * MIB // 251 + 2)
"""A wrong offset shows: 251 divides no block."""


def oid(key: str) -> ObjectId:
    """An object of the one bucket."""
    return ObjectId(BUCKET, key)


def version(number: int = 1) -> Version:
    """An ETag as S3 makes it."""
    return Version(f'"{number:032x}"')


def meta(size: int, number: int = 1, learned_at: float = 1.0) -> Meta:
    """The facts of version `number` of an object of `size` bytes."""
    headers = (("cache-control", "no-cache"), ("x-amz-meta-a", "ä b"))
    return Meta(version(number), size, version(number), 5.5, "text/plain", headers, learned_at)


def content(span: Span, number: int = 1) -> bytes:
    """The bytes of version `number`."""
    start = (span.start + 7 * number) % 251
    return RAMP[start : start + len(span)]


async def put(store: Store, key: str, about: Meta, pages: Span, page_bytes: int = MIB, number: int = 1) -> bool:
    """Lands a run of pages in uneven pieces; False where it is not admitted."""
    landing = await store.land(oid(key), about, page_bytes, pages.start * page_bytes // EXTENT_BYTES, pages)
    if landing is None:
        return False
    at, end = pages.start * page_bytes, min(pages.end * page_bytes, about.size)
    try:
        while at < end:
            step = min(100 * KIB, end - at)
            await landing.write(at, memoryview(content(Span(at, at + step), number)))
            at += step
    finally:
        await landing.close()
    return True


async def read(store: Store, key: str, span: Span, number: int = 1) -> bytes:
    """Reads as a door does: now, and where that would block, later."""
    try:
        return bytes(store.read_now(oid(key), version(number), span))
    except WouldBlock:
        return bytes(await store.read(oid(key), version(number), span))


async def packed(store: Store, key: str) -> tuple[Meta, bytes] | None:
    """Reads a packed object as a door does."""
    try:
        held = store.packed_now(oid(key))
    except WouldBlock:
        held = await store.packed(oid(key))
    return None if held is None else (held[0], bytes(held[1]))


@dataclass(slots=True)
class FaultyCalls:
    """System calls of a disk that can be told to fail: `writes` and `reads` name the errno, 0 for none."""

    writes: int = 0
    reads: int = 0
    never_in_memory: bool = False
    """The kernel has nothing in memory: `RWF_NOWAIT` always says it would block."""
    short_writes: bool = False
    written: int = field(default=0)

    def calls(self) -> SystemCalls:
        """What the store is given."""
        return SystemCalls(preadv=self._preadv, pwritev=self._pwritev, sleep=self._never)

    async def _never(self, _: float) -> None:
        """A path that is out is not probed."""
        await asyncio.get_running_loop().create_future()

    def _preadv(self, fd: int, buffers: Sequence[bytearray | memoryview], offset: int, flags: int) -> int:
        if self.reads:
            raise OSError(self.reads, os.strerror(self.reads))
        if self.never_in_memory and flags:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return os.preadv(fd, buffers, offset, flags)

    def _pwritev(self, fd: int, pieces: Sequence[Piece], offset: int) -> int:
        if self.writes:
            raise OSError(self.writes, os.strerror(self.writes))
        if self.short_writes:
            pieces = [memoryview(pieces[0])[: max(1, len(pieces[0]) // 2)]]
        self.written += 1
        return os.pwritev(fd, pieces, offset)
