"""The cache of a region as its doors and its peers see it: open, stat, list and refresh a place.

The order of a read: what is held and fresh answers at once; what is held and not fresh is asked about, for a bounded
while; what is unknown is asked for by its first pages, whose reply teaches the version (one round trip, not two).
"""

import asyncio
from dataclasses import replace

from regioncache.asked import Asked
from regioncache.checksums import tells
from regioncache.errors import NotHeld, OriginUnavailable, RangeOutside, SlowDown, VersionChanged
from regioncache.fetching import Job
from regioncache.flights import Flight, Waiter
from regioncache.newest import Newest
from regioncache.opened import Means, Opened, Waited
from regioncache.pages import (
    EXTENT_BYTES,
    STEP_BYTES,
    WHOLE,
    FilePart,
    Meta,
    Span,
    by_extent,
    cover,
)
from regioncache.parts import PartTable
from regioncache.reader import Reader, Shelf, again
from regioncache.standing import Standing
from regioncache.store.base import CorruptPage, PageGone, WouldBlock

FIRST_PIECE_SECONDS = 25.0
"""A read whose first page is not expected within this gets 503 SlowDown; the flight goes on (line-rules, Visible)."""
RESTARTS = 3
"""How often a read starts again on a new version before its headers leave."""


class RegionCache:
    """Opens reads. Its state is that of its parts."""

    def __init__(self, shelf: Shelf, newest: Newest, means: Means) -> None:
        self.shelf = shelf
        self.newest = newest
        self.catalog = newest.catalog
        self.means = means
        self.parts = PartTable(newest.owners)
        self.owners = newest.owners

    def glance(self, asked: Asked) -> Opened | None:
        """Answers from memory and the kernel's cache alone, or returns None; raises RangeOutside. Never awaits."""
        oid, shelf, source = asked.oid, self.shelf, "page"
        found = shelf.hot.find(oid)
        try:
            if found is not None:
                meta, data = found.meta, found.data
            elif (packed := shelf.store.packed_now(oid)) is not None:
                meta, data = packed
                shelf.hot.keep(oid, meta, data)
            elif shelf.siblings is not None and (packed := shelf.siblings.packed_now(oid)) is not None:
                meta, data = packed
                source = "sibling"
                shelf.hot.keep(oid, meta, data)
            else:
                return self._glance_large(asked)
        except CorruptPage:
            shelf.spoilt.add(oid, 0)
            return None
        except (WouldBlock, PageGone):
            return None
        known = self.catalog.find(oid)
        if known is not None and known is not meta:
            if known.version != meta.version:
                return None
            if known.learned_at > meta.learned_at:
                meta = known  # learned while it was on its way to the disk: what lies there does not say it
        if not self.newest.fresh(asked, meta):
            return None
        if asked.wanted is WHOLE:
            shelf.tally.read[source] += meta.size
            return Opened(meta, Span(0, meta.size), source, whole=data)
        span = asked.wanted.of(meta.size)
        if span is None:
            raise RangeOutside(meta.size)
        shelf.tally.read[source] += len(span)
        return Opened(meta, span, source, whole=data[span.start : span.end])

    def _glance_large(self, asked: Asked) -> Opened | None:
        """`glance` at an object that is not packed."""
        meta = self.catalog.find(asked.oid) or self.shelf.store.recall_now(asked.oid)
        if meta is None or not self.newest.fresh(asked, meta):
            return None
        span = asked.wanted.of(meta.size)
        if span is None:
            raise RangeOutside(meta.size)
        if not len(span):
            return Opened(meta, span, whole=memoryview(b""))
        if len(span) > STEP_BYTES and self.shelf.flights.of(asked.oid, meta.version):
            return None  # who will need what a flight brings joins it from the start: it may be more urgent, and pay
        reader, room = self._reader(asked, meta, span), self.means.rooms.take()
        first = reader.now(span.start, room)
        if first is None:
            self.means.rooms.give(room)
            return None
        reader.begun = True
        if asked.terms.second_read:
            reader.keep = self._kept(asked, span.start)
        whole = first.view if len(first.view) == len(span) else None
        return Opened(meta, span, reader.source, None, None, whole, reader, self.means, first, room)

    async def open(self, asked: Asked) -> Opened:
        """Opens a read and waits for its first piece.

        Raises: NoSuchObject, OriginForbids, RangeOutside, VersionChanged (only with `asked.version`),
        OriginUnavailable, SlowDown.
        """
        trail = asked.payer.trail
        if trail is None:
            return await self._tries(asked)
        read = trail.begin("read", {"causeway.bucket": asked.place.bucket.name, "causeway.hops": len(asked.hops)})
        try:
            opened = await self._tries(replace(asked, payer=replace(asked.payer, trail=read)))
        except BaseException as fault:
            read.end(fault)
            raise
        read.note({"causeway.source": opened.source, "causeway.bytes": len(opened.span)})
        opened.trail = read
        return opened

    async def _tries(self, asked: Asked) -> Opened:
        due = asyncio.get_running_loop().time() + FIRST_PIECE_SECONDS
        for attempt in range(RESTARTS):
            try:
                async with asyncio.timeout_at(due) as limit:
                    with self.newest.sources.turns.guest(asked.place.bucket.name):
                        return await self._open(asked, limit)
            except VersionChanged:
                if asked.version is not None or attempt == RESTARTS - 1:
                    raise
            except TimeoutError as late:
                raise SlowDown(f"the first page of {asked.place.path!r} is not expected soon", 5.0) from late
        raise AssertionError("unreachable")

    async def stat(self, asked: Asked) -> Opened:
        """Opens no bytes: the newest version on the read's terms. Raises as `open`."""
        self.newest.raise_absence(asked.oid)
        meta = await self.newest.recall(asked.oid)
        stale = None
        if asked.checksums and (meta is None or not tells(meta)):
            asked = replace(asked, terms=replace(asked.terms, fresh_seconds=0.0))
        if meta is None:
            with self.newest.sources.turns.guest(asked.place.bucket.name):
                meta = await self._asked(asked)
            stale = self.newest.stale(asked, meta)
        elif not self.newest.fresh(asked, meta):
            meta, stale = await self.newest.renew(asked, meta)
        return Opened(meta, Span(0, 0), stale_seconds=stale)

    async def _asked(self, asked: Asked) -> Meta:
        """Asks for an unknown object; where no source answers, what any member knows."""
        try:
            return await self.newest.ask(asked)
        except OriginUnavailable:
            told = await self.newest.told_by_any(asked)
            if told is None:
                raise
            return told

    async def refresh(self, asked: Asked) -> Meta:
        """Asks for the newest version now; raises as `open`."""
        return await self.newest.ask_anew(asked)

    async def stop(self) -> None:
        """Ends all flights and questions."""
        await self.newest.stop()
        await self.parts.stop()
        if self.shelf.siblings is not None:
            await self.shelf.siblings.stop()
        await self.shelf.filler.stop()

    async def _open(self, asked: Asked, limit: asyncio.Timeout) -> Opened:
        if asked.standing is Standing.HELD:
            return await self._open_held(asked, limit)
        meta, stale, first = await self._found(asked, limit)
        try:
            if asked.version is not None and asked.version != meta.version:
                raise VersionChanged(f"{asked.place.path!r} is {meta.version} now, not {asked.version}")
            span = asked.wanted.of(meta.size)
            if span is None:
                raise RangeOutside(meta.size)
            reader = self._reader(asked, meta, span)
            reader.keep = self._kept(asked, span.start)
            if first is not None and first[0].reaches(span.start):
                reader.join(*first)
                first = None
        finally:
            if first is not None:
                first[0].detach(first[1])
        return await self._begin(reader, stale, limit)

    async def _found(
        self, asked: Asked, limit: asyncio.Timeout
    ) -> tuple[Meta, float | None, tuple[Flight, Waiter] | None]:
        """The newest version, its age where it is stale, and the flight at which that was learned, if one was."""
        while True:
            self.newest.raise_absence(asked.oid)
            meta = await self.newest.recall(asked.oid)
            if self.newest.lacks(asked, meta):
                meta = await self.newest.told(asked) or meta
            if meta is not None:
                fresh = self.newest.fresh(asked, meta)
                return (meta, None, None) if fresh else (*await self.newest.renew(asked, meta), None)
            try:
                opened = await self._open_unknown(asked, limit)
            except OriginUnavailable:
                told = await self.newest.told_by_any(asked)
                if told is None:
                    raise
                return told, self.newest.stale(asked, told), None
            if opened is not None:
                return opened[0], self.newest.stale(asked, opened[0]), opened[1]

    async def _open_held(self, asked: Asked, limit: asyncio.Timeout) -> Opened:
        """Opens what is present or landing of the version asked for; asks nobody. Raises NotHeld."""
        meta = await self.newest.recall(asked.oid)
        span = None if meta is None else asked.wanted.of(meta.size)
        if meta is None or span is None or meta.version != asked.version:
            raise NotHeld(f"{asked.place.path!r} is not held here in that version")
        return await self._begin(self._reader(asked, meta, span), None, limit)

    async def _begin(self, reader: Reader, stale: float | None, limit: asyncio.Timeout) -> Opened:
        """Waits for the first piece, so that the headers can say where it came from."""
        piece = memoryview(b"")
        try:
            if len(reader.span):
                piece = await reader.piece(reader.span.start)
        finally:
            if not len(piece):
                reader.leave(comes_again=limit.expired())
        reader.begun = True
        waited = [Waited(line, reader.payer.cls, seconds) for line, seconds in reader.waits.items() if line]
        whole = piece if len(piece) == len(reader.span) else None
        if whole is not None:
            reader.leave()
        return Opened(
            reader.meta,
            reader.span,
            reader.source,
            waited[0] if waited else None,
            stale,
            whole,
            reader,
            self.means,
            FilePart(piece, None, 0),
        )

    async def _open_unknown(
        self, asked: Asked, limit: asyncio.Timeout
    ) -> tuple[Meta, tuple[Flight, Waiter] | None] | None:
        """The first read of an unknown object is the question too. None: it must be looked at anew."""
        oid, wanted = asked.oid, asked.wanted
        if wanted.suffix is not None or wanted.end == wanted.start:
            return await self.newest.ask(asked), None
        flight = self.shelf.flights.opening(oid, asked.standing) or self._start_opening(asked)
        waiter = flight.attach(asked.payer, wanted.start)
        try:
            # Not only until the head is there: who is woken by it would wait again for the first bytes.
            while not flight.done and (flight.meta is None or flight.lacks(wanted.start)):
                if waiter.late is not None:
                    raise again(waiter.late)
                await flight.change(wanted.start)
        except BaseException:
            flight.detach(waiter, comes_again=limit.expired() or waiter.late is not None)
            raise
        if flight.meta is not None:
            return flight.meta, (flight, waiter)
        flight.detach(waiter)
        if isinstance(flight.fault, RangeOutside):
            return await self.newest.ask(asked), None
        if flight.fault is not None:
            self.newest.learn_absence(oid, flight.fault, flight.ticket)
            raise again(flight.fault)
        return None  # it was ending for want of readers when we came, or the extent has become another's

    def _start_opening(self, asked: Asked) -> Flight:
        """Starts the flight that asks for an unknown object; what its head tells is learned at once."""
        pages, page_bytes = self._first_run(asked), asked.place.bucket.page
        through = self.owners.through(asked.oid, pages.start * page_bytes // EXTENT_BYTES, asked.standing)
        flight = Flight(asked.oid, pages, page_bytes, asked.payer, through=through)
        flight.ticket = self.catalog.ticket()
        self.shelf.flights.open(flight)

        def learned(meta: Meta) -> None:
            self.newest.learn(asked.oid, meta, flight.ticket)
            self.owners.tell_key_owner(flight, meta)

        terms, again = asked.terms, self.shelf.spoilt.take(asked.oid, flight.pages)
        kept = self._kept(asked, asked.wanted.start)
        job = Job(flight, asked.place, asked.hops, kept and not through, terms.fresh_seconds, again, learned)
        self.shelf.filler.start(job)
        return flight

    def _first_run(self, asked: Asked) -> Span:
        """The pages to ask for before the size is known: what is wanted, of one extent.

        Over a line a read to the object's end begins with one page: most objects are smaller, and what is prepaid for
        an unknown length must not keep others waiting (line-rules, Before it arrives).
        """
        page_bytes, wanted = asked.place.bucket.page, asked.wanted
        first = wanted.start // page_bytes
        if wanted.end is None:
            over_line = bool(asked.place.ways) and asked.place.ways[0].line is not None
            pages = Span(first, first + 1 if over_line else first + EXTENT_BYTES // page_bytes)
        else:
            pages = cover(Span(wanted.start, wanted.end), page_bytes)
        return next(by_extent(pages, page_bytes))[1]

    def _reader(self, asked: Asked, meta: Meta, span: Span) -> Reader:
        return Reader(
            self.shelf,
            asked.place,
            meta,
            span,
            asked.payer,
            asked.hops,
            asked.terms.keep,
            standing=asked.standing,
        )

    def _kept(self, asked: Asked, start: int) -> bool:
        """Whether what this read brings is kept; `start` is its first byte."""
        if asked.kept is None:
            page, terms = start // asked.place.bucket.page, asked.terms
            asked.kept = terms.keep and (not terms.second_read or self.shelf.first_reads.again(asked.oid, page))
        return asked.kept
