"""Looks anew at what is known beneath a mount, by time (`refresh: {every: 10m}`), so that no reader has to wait for it.

By the smallest range that does it: the pages of lists that are kept, then of the keys that are known and that these do
not show, ranges of the list that hold several, and a HEAD for each of those that lie alone. What is not known is not
asked about. What a list shows as it is known is believed from then on; what it shows otherwise is asked for at once.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from namespace.model import Mount
from namespace.resolver import Place, Resolver
from regioncache.asked import Asked
from regioncache.errors import CacheError
from regioncache.listpages import Says
from regioncache.lists import Lists
from regioncache.newest import Newest
from regioncache.origins.base import ListAsk, Payer
from regioncache.pages import WHOLE, ObjectId
from regioncache.places import terms

PAYER = Payer("other", "prefetch")
EVERY_SECONDS = 1.0
"""How often it is looked whose time has come."""
MOST_REQUESTS = 1000
"""Of one round: what is left is asked about when it is read, as without a refresh."""
DENSE = 4
"""Known keys that one page of a list must show to be worth more than as many HEADs."""
_AT_ONCE = 256
"""Known keys that are looked up without letting others have the loop: about a millisecond."""
_LAST = "\U0010ffff"


@dataclass(slots=True)
class Round:
    """One look at a mount: when it began (epoch seconds), and what it may still ask."""

    place: Place
    began: float
    left: int = MOST_REQUESTS
    lists: int = 0
    heads: int = 0

    def spend(self) -> bool:
        """Takes one request off; False where none is left."""
        self.left -= 1
        return self.left >= 0


@dataclass(frozen=True, slots=True)
class RefresherStatistics:
    rounds: int
    lists: int
    heads: int


class Refresher:
    """Mutable state: when each mount is due (monotonic), the rounds under way by path, the counters."""

    def __init__(
        self,
        newest: Newest,
        lists: Lists,
        resolver: Resolver,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self._newest = newest
        self._lists = lists
        self._resolver = resolver
        self._clock = clock
        self._wall = wall
        self._due: dict[str, tuple[float, float]] = {}
        self._rounds: dict[str, asyncio.Task[Round]] = {}
        self._task: asyncio.Task[None] | None = None
        self._done = RefresherStatistics(0, 0, 0)

    def adopt(self, mounts: Iterable[Mount]) -> None:
        """Takes the mounts in force; one whose interval stays keeps its time."""
        before, now = self._due, self._clock()
        self._due = {}
        for mount in mounts:
            if mount.refresh is not None:
                known = before.get(mount.path)
                same = known is not None and known[0] == mount.refresh
                self._due[mount.path] = known if known and same else (mount.refresh, now + mount.refresh)

    def start(self) -> None:
        """Begins to look."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ends the looking and the rounds."""
        tasks = [*([self._task] if self._task is not None else []), *self._rounds.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def look(self) -> None:
        """Starts the rounds that are due, but for mounts whose last one is still under way."""
        now = self._clock()
        for path, (every, due) in self._due.items():
            if now >= due and path not in self._rounds:
                self._due[path] = (every, now + every)
                task = self._rounds[path] = asyncio.create_task(self.round(path))
                task.add_done_callback(partial(self._over, path))

    async def round(self, path: str) -> Round:
        """Looks anew at what is known beneath a mount; a source that does not answer ends it."""
        place = self._resolver.find(f"{path}/")
        now = Round(place, self._wall()) if place is not None else None
        if place is None or now is None:
            raise LookupError(f"nothing is mounted at {path!r}")
        if self._newest.sources.away(place):
            return now
        try:
            await self._pages(now)
            await self._objects(now)
        except CacheError:
            return now  # asking told the health what it needs to know; readers are answered by what is known
        return now

    def statistics(self) -> RefresherStatistics:
        """Rounds and requests so far."""
        return self._done

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            self.look()

    def _over(self, path: str, task: "asyncio.Task[Round]") -> None:
        del self._rounds[path]
        if not task.cancelled() and isinstance(task.exception(), LookupError):
            return  # taken out of the topology since it was due
        if not task.cancelled():
            done, now = self._done, task.result()
            self._done = RefresherStatistics(done.rounds + 1, done.lists + now.lists, done.heads + now.heads)

    async def _pages(self, now: Round) -> None:
        """Asks anew for the pages that are kept."""
        bucket, owners = now.place.bucket.id, self._newest.owners
        for ask in self._newest.pages.asked_beneath(bucket, now.place.mount.prefix):
            if not owners.lists_through(bucket, ask.prefix):
                await self._list(now, ask)

    async def _objects(self, now: Round) -> None:
        """Sees that a page of this round shows every key that is known, or asks about it."""
        bucket, prefix = now.place.bucket.id, now.place.mount.prefix
        owners = self._newest.owners
        # What others own they look at; what is known of it here is asked of them when it is read.
        known = self._newest.catalog.known_beneath(bucket, prefix)
        keys = [key for key in known if not owners.through(ObjectId(bucket, key), 0)]
        dense = True
        for at, key in enumerate(keys):
            if now.left <= 0:
                return
            if at % _AT_ONCE == 0:
                await asyncio.sleep(0)
            says = self._says(now, key)
            if says is Says.NOTHING and dense and len(keys) - at >= DENSE:
                shown = bisect_right(keys, await self._list(now, ListAsk(prefix, _before(key))), at) - at
                dense = shown >= DENSE
                says = self._says(now, key)
            if says is not Says.SAME:
                await self._head(now, key)

    def _says(self, now: Round, key: str) -> Says:
        """What the pages of this round say of the version that is known."""
        oid = ObjectId(now.place.bucket.id, key)
        meta = self._newest.catalog.find(oid)
        if meta is None or meta.learned_at >= now.began:
            return Says.SAME  # dropped, or asked about by a reader meanwhile
        said = self._newest.pages.says(oid, meta)
        return said.says if said.kept is not None and said.kept.at >= now.began else Says.NOTHING

    async def _list(self, now: Round, ask: ListAsk) -> str:
        """Asks for a page; returns where its range ends."""
        if not now.spend():
            return ""
        now.lists += 1
        anew = replace(terms(now.place.mount, "always"), fresh_seconds=0.0)
        page = await self._lists.page(now.place, ask, PAYER, anew)
        return page.next_after if page.next_after is not None else _LAST

    async def _head(self, now: Round, key: str) -> None:
        if not now.spend():
            return
        now.heads += 1
        mount = now.place.mount
        place = replace(now.place, path=f"{mount.path}/{key[len(mount.prefix) :]}", key=key)
        try:
            await self._newest.look(Asked(place, WHOLE, PAYER, terms(mount, "always")))
        except CacheError:
            if self._newest.sources.away(now.place):
                raise


def _before(key: str) -> str:
    """A text that sorts before the key, and hardly any key between."""
    if not key or key[-1] == "\0":
        return key[:-1]
    code = ord(key[-1]) - 1
    last = chr(0xD7FF if 0xD800 <= code <= 0xDFFF else code)
    return key[:-1] + last + _LAST
