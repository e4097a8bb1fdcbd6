"""Paths under /ns as the doors see them: stat, read and list, with no protocol in it.

A path is resolved to a place, the cache rules that cover it to terms; the rest is the region cache's.
"""

import asyncio
import heapq
import math
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import replace

from gateway.s3.base import Caller, ListPath
from gateway.segments import LAST, Segment, segments
from namespace import paths
from namespace.consistency import Immutable
from namespace.keys import AccessKey
from namespace.model import Mount
from namespace.resolver import Place, Resolver
from policy.match import Rules
from regioncache.asked import Asked
from regioncache.errors import BadAnswer, NoSuchObject, NoSuchPart, NotGranted, RangeOutside, VersionChanged
from regioncache.grants import refusal
from regioncache.lists import Lists
from regioncache.opened import Opened, Terms
from regioncache.origins.base import ListAsk, Listed, ListPage, Part
from regioncache.pages import WHOLE, ObjectId, Wanted
from regioncache.parts import parts_of
from regioncache.places import terms
from regioncache.recent import Recent
from regioncache.service import RESTARTS, RegionCache

KNOWN_PATHS = 16_384
"""Paths whose place and terms are kept ready; some 10 MB, and 4 us less for each hit."""
MOST_NAMES = 1000
"""That a bucket is asked for at once: S3 never gives more."""
LIST_FRESH_SECONDS = 60.0
"""Objects of an immutable mount never change, but new ones come: its lists are kept as long as those of others."""
_Item = tuple[str, Listed | None]
"""A name of a list, in key order: a key, or a rolled-up prefix (None)."""
_Items = list[_Item]
_Batch = tuple[_Items, bool]
"""Names in order, and whether more may follow."""
_Ages = list[float]
"""Of the pages that buckets gave, seconds."""


class Files:
    """The tree of paths, read side. `rules` gives the cache rules in force."""

    def __init__(
        self, resolver: Resolver, rules: Callable[[], Rules], cache: RegionCache, lists: Lists, recent: Recent
    ) -> None:
        self._resolver = resolver
        self._rules = rules
        self._cache = cache
        self._lists = lists
        self._recent = recent
        self._known: OrderedDict[str, tuple[Place, Terms, ObjectId]] = OrderedDict()
        self._serial = -1

    def open_now(self, caller: Caller, path: str, wanted: Wanted) -> Opened | None:
        """Answers from memory and the kernel's cache alone, None where that is not enough.

        Raises: NoSuchObject (nothing is mounted there), RangeOutside.
        """
        return self._cache.glance(self._asked(caller, path, wanted))

    async def open(self, caller: Caller, path: str, wanted: Wanted) -> Opened:
        """Opens a read and waits for its first piece; raises as `RegionCache.open`."""
        asked = self._asked(caller, path, wanted)
        opened = await self._cache.open(asked)
        self._recent.read(path, opened.source, opened.waited)
        return opened

    async def stat(self, caller: Caller, path: str, *, newest: bool = False, checksums: bool = False) -> Opened:
        """What is known of the object, or the newest there is; raises as `RegionCache.stat`."""
        asked = self._asked(caller, path, WHOLE)
        asked.checksums = checksums
        if newest and not math.isinf(asked.terms.fresh_seconds):
            asked = replace(asked, terms=replace(asked.terms, fresh_seconds=0.0))
        return await self._cache.stat(asked)

    async def part(self, caller: Caller, path: str, number: int, *, newest: bool = False) -> tuple[Opened, Part | None]:
        """What is known of the object, and where its part lies, None for all of one that was uploaded whole.

        Raises: NoSuchPart, VersionChanged, NotSupported (the store tells no parts), and as `stat`.
        """
        for attempt in range(RESTARTS):
            opened = await self.stat(caller, path, newest=newest or attempt > 0)
            meta = opened.meta
            count = parts_of(meta.etag)
            if number > (count or 1):
                raise NoSuchPart(f"{path!r} has {count or 1} parts, not {number}", meta.size)
            if count is None:
                return opened, None
            try:
                part = await self._cache.parts.find(self._asked(caller, path, WHOLE), meta.version, number)
            except VersionChanged:
                if attempt == RESTARTS - 1:
                    raise
            except RangeOutside as outside:
                raise NoSuchPart(f"{path!r} has no part {number}", meta.size) from outside
            else:
                if part.span.end > meta.size:
                    raise BadAnswer(f"part {number} of {path!r} ends at {part.span.end}, behind its {meta.size} bytes")
                return opened, part
        raise AssertionError("unreachable")

    async def list(self, caller: Caller, ask: ListPath) -> ListPage:
        """One page of the paths that begin with `ask.prefix`, as far as the caller may see them.

        Raises: OriginUnavailable, OriginForbids, SlowDown; a bucket that is not there raises NoSuchObject.
        """
        parts = segments(self._resolver.table, self._grants(caller.key), ask.prefix, ask.delimiter)
        items: _Items = []
        ages: _Ages = []
        streams = [self._names(caller, part, ask, ages) for part in parts if not part.over(ask.after)]
        more = False
        try:
            async for batch, more in streams[0] if len(streams) == 1 else _merged(streams):
                items += batch
                if len(items) > ask.limit or (more and len(items) == ask.limit):
                    break
        finally:
            for stream in streams:
                await stream.aclose()
        return _page(items, ask.limit, more, max(ages, default=0.0))

    def place(self, path: str) -> Place:
        """The place of a path.

        Raises: NoSuchObject (nothing is mounted there, or the path is the mount itself), NotGranted (to this region).
        """
        place = self._resolver.find(path)
        if place is None:
            raise NoSuchObject(f"{path!r} is no object: no mount covers it")
        if not place.key:
            raise NoSuchObject(f"{path!r} is no object: it is a mount; name what lies beneath it")
        own = self._resolver.topology.regions[self._resolver.region]
        if not own.may_read(path):
            raise NotGranted(refusal(own))
        return place

    def terms(self, place: Place) -> Terms:
        """What the mount and the cache rules say of reads of this place."""
        return terms(place.mount, self._rules().match(place.path).admit)

    def _grants(self, key: AccessKey) -> tuple[str, ...]:
        """What a key opens here: in a granted region nothing but of its paths."""
        own = self._resolver.topology.regions.get(self._resolver.region)
        return key.read if own is None or own.trust == "full" else paths.common(key.read, own.paths)

    def _asked(self, caller: Caller, path: str, wanted: Wanted) -> Asked:
        if self._resolver.serial != self._serial:
            # Rules and mounts change with the revision, between two requests.
            self._known.clear()
            self._serial = self._resolver.serial
        known = self._known.get(path)
        if known is None:
            place = self.place(path)
            known = self._known[path] = (place, self.terms(place), ObjectId(place.bucket.id, place.key))
            if len(self._known) > KNOWN_PATHS:
                self._known.popitem(last=False)
        return Asked(known[0], wanted, caller.payer, known[1], oid=known[2])

    async def _names(self, caller: Caller, part: Segment, ask: ListPath, ages: _Ages) -> AsyncGenerator[_Batch]:
        """The names of one segment after `ask.after`, in order, a bucket's page at a time, whose age goes to `ages`."""
        if part.rolled is not None:
            if part.rolled > ask.after:
                yield [(part.rolled, None)], False
            return
        place = self._resolver.find(f"{part.mount.path}/")
        if place is None:
            return
        page_terms = _list_terms(part.mount)
        limit = max(1, min(ask.limit, MOST_NAMES))
        straddles = part.straddles(ask.prefix, ask.delimiter)
        question = ListAsk(part.prefix, part.key(ask.after), "" if straddles else ask.delimiter, limit)
        while True:
            page = await self._lists.page(place, question, caller.payer, page_terms)
            ages.append(page.age)
            names = _of(page)
            if not part.whole:
                names = [item for item in names if part.shows(item[0])]
            beginning, cut = part.beginning, len(part.prefix)
            items: _Items = [(beginning + name[cut:], entry) for name, entry in names]
            following = page.next_after
            if straddles:
                items = _rolled_up(items, ask)
                if following is not None and items and items[-1][1] is None:
                    following = max(following, part.key(items[-1][0] + LAST))
            if following is not None:
                following = part.beyond_hidden(following)
                coming = replace(question, after=following)
                await self._lists.ahead(place, question, coming, caller.payer, page_terms)
            yield items, following is not None
            if following is None:
                return
            question = replace(question, after=following)


def _list_terms(mount: Mount) -> Terms:
    plain = terms(mount, "always")
    return replace(plain, fresh_seconds=LIST_FRESH_SECONDS) if isinstance(mount.consistency, Immutable) else plain


def _of(page: ListPage) -> _Items:
    """A bucket's page as items in key order."""
    entries: _Items = [(entry.key, entry) for entry in page.entries]
    if not page.prefixes:
        return entries
    return list(heapq.merge(entries, ((prefix, None) for prefix in page.prefixes), key=lambda item: item[0]))


def _rolled_up(items: _Items, ask: ListPath) -> _Items:
    """Paths in order, those with the delimiter behind the list's prefix as the prefix that they share, once."""
    found: _Items = []
    for path, entry in items:
        at = path.find(ask.delimiter, len(ask.prefix))
        if at < 0:
            found.append((path, entry))
        elif not found or found[-1] != (path[: at + len(ask.delimiter)], None):
            found.append((path[: at + len(ask.delimiter)], None))
    return found


def _page(items: _Items, limit: int, more: bool, age: float) -> ListPage:
    """The first `limit` items as a page of paths; where there are more, it says where the next page goes on."""
    shown = items[:limit]
    after = None
    if shown and (more or len(items) > limit):
        after = shown[-1][0] + ("" if shown[-1][1] else LAST)
    return ListPage(
        tuple([Listed(path, *entry[1:]) for path, entry in shown if entry is not None]),
        tuple([path for path, entry in shown if entry is None]),
        after,
        age,
    )


async def _merged(streams: list[AsyncGenerator[_Batch]]) -> AsyncGenerator[_Batch]:
    """Merges ordered streams; a prefix that several of them show comes once. Asks all of them at once first."""
    firsts = await asyncio.gather(*(anext(stream, None) for stream in streams), return_exceptions=True)
    for first in firsts:
        # Only now: a stream that still runs cannot be closed.
        if isinstance(first, BaseException):
            raise first
    heads = [iter(first[0] if first else ()) for first in firsts if not isinstance(first, BaseException)]
    heap: list[tuple[str, int, _Item]] = []
    for at in range(len(streams)):
        await _push(heap, at, heads, streams)
    shown: str | None = None
    while heap:
        _, at, item = heapq.heappop(heap)
        await _push(heap, at, heads, streams)
        if item[1] is None and item[0] == shown:
            continue
        shown = item[0] if item[1] is None else shown
        yield [item], bool(heap)


async def _push(
    heap: list[tuple[str, int, _Item]],
    at: int,
    heads: list[Iterator[_Item]],
    streams: list[AsyncGenerator[_Batch]],
) -> None:
    """Puts the next item of one stream on the heap, if there is one."""
    while (item := next(heads[at], None)) is None:
        batch = await anext(streams[at], None)
        if batch is None:
            return
        heads[at] = iter(batch[0])
    heapq.heappush(heap, (item[0], at, item))
