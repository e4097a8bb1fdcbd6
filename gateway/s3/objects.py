"""GetObject and HeadObject. A hit is answered in one call, without a task; everything else waits in a coroutine."""

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from gateway.s3.asked import OF_INTEREST, PLAIN, Asked, read_asked
from gateway.s3.base import Caller, Files
from gateway.s3.conditions import range_holds
from gateway.s3.heads import ObjectHeads
from gateway.s3.ranges import content_range
from gateway.s3.visit import Visit
from regioncache.errors import RangeOutside, VersionChanged
from regioncache.http.messages import Reply
from regioncache.opened import Opened
from regioncache.pages import WHOLE, Meta, Span, Wanted


class Objects:
    """Answers reads of single objects whose path the caller's key opens."""

    __slots__ = ("_files", "_heads")

    def __init__(self, files: Files, heads: ObjectHeads) -> None:
        self._files = files
        self._heads = heads

    def get(self, visit: Visit, caller: Caller) -> Reply | Coroutine[Any, Any, Reply]:
        """Answers GetObject. Raises what `Files` raises, and `Refusal`."""
        request, target = visit.request, visit.target
        plain = not target.query and OF_INTEREST.isdisjoint(request.first)
        asked = PLAIN if plain else read_asked(request, target)
        if asked.part is not None:
            return self._part(visit, caller, asked, asked.part)
        if asked.newest:
            return self._later(visit, caller, asked)
        try:
            opened = self._files.open_now(caller, target.root + target.key, asked.wanted or WHOLE)
        except RangeOutside:
            # Conditions stand before the range (RFC 9110, 13.2.2); only the object's metadata can tell.
            if asked.conditions is None and asked.if_range is None:
                raise
            opened = None
        if opened is None:
            return self._later(visit, caller, asked)
        visit.opened = opened
        if asked is PLAIN:
            return self._send(visit, opened, PLAIN)
        if not _range_counts(asked, opened.meta):
            visit.let_go()
            return self._later(visit, caller, asked)
        return self._answer(visit, opened, asked)

    async def head(self, visit: Visit, caller: Caller) -> Reply:
        """Answers HeadObject. Raises what `Files` raises, and `Refusal`."""
        asked = read_asked(visit.request, visit.target)
        if asked.part is not None:
            return await self._part(visit, caller, asked, asked.part)
        checksums = asked.checksums and asked.wanted is None
        opened = await self._files.stat(caller, visit.target.path, newest=asked.newest, checksums=checksums)
        meta = opened.meta
        if not _changed(asked, meta):
            return self._not_modified(visit, meta)
        if asked.wanted is None or not _range_counts(asked, meta):
            lines = self._heads.of(visit.id, opened, asked, whole=True)
            return Reply(200, length=meta.size, encoded=lines)
        span = asked.wanted.of(meta.size)
        if span is None or not meta.size:
            raise RangeOutside(meta.size)
        lines = self._heads.of(visit.id, opened, asked, whole=False)
        return Reply(206, length=len(span), encoded=lines + _range_line(span, meta))

    async def _part(self, visit: Visit, caller: Caller, asked: Asked, number: int) -> Reply:
        """Answers a read of one part, with or without its bytes: a range whose ends the origin knows."""
        path = visit.target.path
        opened, part = await self._files.part(caller, path, number, newest=asked.newest)
        meta = opened.meta
        if not _changed(asked, meta):
            return self._not_modified(visit, meta)
        span = Span(0, meta.size) if part is None else part.span
        if visit.request.method != b"HEAD":
            wanted = Wanted(span.start, span.end) if len(span) else WHOLE
            visit.opened = opened = await self._files.open(caller, path, wanted)
            if opened.meta.version != meta.version:
                raise VersionChanged("the object was overwritten while it was opened; ask again")
        lines = self._heads.of(visit.id, opened, asked, whole=len(span) == meta.size)
        if part is not None:
            lines += b"x-amz-mp-parts-count: %d\r\n" % part.count
        if not len(span):  # Content-Range cannot say "none of nothing" (RFC 9110, 14.4)
            return Reply(200, length=0, encoded=lines)
        lines += _range_line(span, meta)
        if visit.request.method == b"HEAD":
            return Reply(206, length=len(span), encoded=lines)
        return _sent(206, opened, lines)

    async def _later(self, visit: Visit, caller: Caller, asked: Asked) -> Reply:
        path = visit.target.path
        if asked.looks_first:
            meta = (await self._files.stat(caller, path, newest=asked.newest)).meta
            if not _changed(asked, meta):
                return self._not_modified(visit, meta)
            if not _range_counts(asked, meta):
                asked = replace(asked, wanted=None)
        try:
            visit.opened = await self._files.open(caller, path, asked.wanted or WHOLE)
        except RangeOutside:
            if asked.conditions is not None:
                meta = (await self._files.stat(caller, path, newest=asked.newest)).meta
                if not _changed(asked, meta):
                    return self._not_modified(visit, meta)
            raise
        if not _range_counts(asked, visit.opened.meta):
            raise VersionChanged("the object was overwritten while it was opened; ask again")
        return self._answer(visit, visit.opened, asked)

    def _answer(self, visit: Visit, opened: Opened, asked: Asked) -> Reply:
        if not _changed(asked, opened.meta):
            return self._not_modified(visit, opened.meta)
        return self._send(visit, opened, asked)

    def _send(self, visit: Visit, opened: Opened, asked: Asked) -> Reply:
        status = 200
        lines = self._heads.of(visit.id, opened, asked, whole=asked.wanted is None)
        if asked.wanted is not None:
            if not opened.meta.size:
                raise RangeOutside(0)
            status = 206
            lines += _range_line(opened.span, opened.meta)
        return _sent(status, opened, lines)

    def _not_modified(self, visit: Visit, meta: Meta) -> Reply:
        return Reply(304, encoded=self._heads.not_modified(visit.id, meta))


def _sent(status: int, opened: Opened, lines: bytes) -> Reply:
    whole = opened.whole
    if whole is not None:
        return Reply(status, (), whole, None, None, None, lines)
    return Reply(status, stream=opened.stream(), length=len(opened.span), encoded=lines, pull=opened.pull)


def _changed(asked: Asked, meta: Meta) -> bool:
    """Whether the object shall be sent; raises `Refusal` PreconditionFailed."""
    return asked.conditions is None or asked.conditions.changed(meta.etag, meta.last_modified)


def _range_counts(asked: Asked, meta: Meta) -> bool:
    """Whether the range holds under If-Range; without a range there is nothing to hold."""
    if asked.wanted is None or asked.if_range is None:
        return True
    return range_holds(asked.if_range, meta.etag, meta.last_modified)


def _range_line(span: Span, meta: Meta) -> bytes:
    return b"content-range: %b\r\n" % content_range(span.start, span.end, meta.size)
