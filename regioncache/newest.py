"""Which version of an object is the newest: what is known here, what a list shows, who is asked where neither will do.

What is known and fresh is believed; else a page of a list that is younger may say that it is the newest still, or that
it is not; else the origin is asked by a HEAD, once for all who wait, and what it teaches corrects the pages of lists.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from regioncache.asked import Asked
from regioncache.catalog import Catalog
from regioncache.checksums import told_before
from regioncache.errors import CacheError, NoSuchObject, OriginForbids, OriginUnavailable, SlowDown
from regioncache.lines.base import Crossing
from regioncache.listpages import ListPages, Says
from regioncache.origins.base import Question
from regioncache.owners.holdings import Holding
from regioncache.owners.owners import ANOTHER_SECONDS, Owners
from regioncache.pages import EXTENT_BYTES, Meta, ObjectId
from regioncache.questions import Questions
from regioncache.reader import Shelf, again
from regioncache.sources import Route, Sources
from regioncache.store.base import WouldBlock

UNSETTLED_SECONDS = 2.0
"""What is said of an object that changed a moment ago is believed no longer than it takes to be settled."""


class Newest:
    """Knows and asks. Its state is that of its parts; `questions` holds the questions under way."""

    def __init__(
        self,
        shelf: Shelf,
        catalog: Catalog,
        pages: ListPages,
        sources: Sources,
        clock: Callable[[], float],
        wall: Callable[[], float],
        owners: Owners | None = None,
    ) -> None:
        """Without `owners` everything is this process's own."""
        self.owners = owners or Owners(sources, time.monotonic)
        self.shelf = shelf
        self.catalog = catalog
        self.pages = pages
        self.sources = sources
        self.questions: Questions[Meta] = Questions(clock)
        self._clock = clock
        self._wall = wall

    def fresh(self, asked: Asked, meta: Meta) -> bool:
        """Tells whether `meta` may be believed to be the newest on the read's terms, without asking anybody."""
        if asked.version is not None:
            return asked.version == meta.version
        fresh_seconds = asked.terms.fresh_seconds
        if not fresh_seconds:
            return False
        age = self.catalog.age(asked.oid, meta, self._wall())
        if age is None or age > (fresh_seconds if meta.settled else min(fresh_seconds, UNSETTLED_SECONDS)):
            return False
        # Of an immutable mount nothing is held that a list could contradict.
        if meta.learned_at >= self.pages.newest or fresh_seconds == math.inf:
            return True
        return self.pages.says(asked.oid, meta).says is not Says.OTHER

    async def recall(self, oid: ObjectId) -> Meta | None:
        """What is known of the object, in memory or on disk, whatever its age."""
        meta = self.catalog.find(oid)
        if meta is not None:
            return meta
        store = self.shelf.store
        if store.newest(oid) is None:
            return None
        try:
            meta = store.recall_now(oid)
        except WouldBlock:
            meta = await store.recall(oid)
        if meta is None:
            self.shelf.spoilt.add(oid, 0)  # its record is damaged: what was here is fetched again
        return meta

    def lacks(self, asked: Asked, meta: Meta | None) -> bool:
        """Whether other members may know what this owner does not: the object, or the version asked for."""
        owners = self.owners
        if owners.ownership.alone or (meta is not None and asked.version in (None, meta.version)):
            return False
        return not owners.through(asked.oid, _extent(asked), asked.standing)

    async def told(self, asked: Asked) -> Meta | None:
        """What other members know of an object; it is as old, and as much doubted, as it is to them."""
        ticket = self.catalog.ticket()
        return self._heard(asked.oid, await self.owners.known(asked.place, asked.oid, _extent(asked)), ticket)

    async def told_by_any(self, asked: Asked) -> Meta | None:
        """As `told`, by any member: for an owner that knows nothing while its sources are away."""
        if not self.lacks(asked, None):
            return None
        ticket = self.catalog.ticket()
        return self._heard(asked.oid, await self.owners.known_by_any(asked.place, asked.oid, _extent(asked)), ticket)

    def _heard(self, oid: ObjectId, known: Holding, ticket: int) -> Meta | None:
        if known.meta is None:
            return None
        if known.doubted:
            self.catalog.distrust(oid, known.meta.learned_at)
        self.hear(oid, known.meta, ticket)
        return known.meta

    def hear(self, oid: ObjectId, meta: Meta, ticket: int) -> None:
        """Another member says that this is the newest; what is known here to be younger stands."""
        known = self.catalog.find(oid)
        if known is None or known.learned_at < meta.learned_at:
            self.learn(oid, meta, ticket)

    def raise_absence(self, oid: ObjectId) -> None:
        """Raises the fault of a key that was just found missing or forbidden, unless a list has shown it since."""
        fault = self.catalog.absence(oid, self._clock())
        if fault is None:
            return
        if isinstance(fault, NoSuchObject) and self.pages.shows(oid, self.catalog.absent_since(oid)):
            return
        raise again(fault)

    async def renew(self, asked: Asked, meta: Meta) -> tuple[Meta, float | None]:
        """Sees whether `meta` is still the newest; returns it with its age where no answer came in time."""
        terms, saying = asked.terms, self.pages.says(asked.oid, meta)
        if saying.says is Says.SAME and (shown := await self._shown(asked, meta)) is not None:
            return shown, None
        doubted = self.catalog.age(asked.oid, meta, self._wall()) is None
        kept = asked.version is None and self._old(meta) <= terms.stale_seconds
        usable = kept and not doubted
        if usable and self.sources.away(asked.place):
            return meta, self._old(meta)
        # What is doubted here may still be believed on the way: the question goes through to the origin.
        fresh_seconds = 0.0 if doubted or saying.says is Says.OTHER else terms.fresh_seconds
        task = self._questioned(asked, fresh_seconds, join=terms.fresh_seconds > 0)
        hold = max(0.0, self._hold(asked, terms.hold_seconds) - self.questions.age(task)) if usable else None
        if hold != 0.0:
            await asyncio.wait({task}, timeout=hold)
        if not task.done():
            return meta, self._old(meta)
        try:
            found = task.result()
        except (OriginUnavailable, SlowDown):
            if kept:
                return meta, self._old(meta)
            raise
        return found, self.stale(asked, found)

    async def ask(self, asked: Asked) -> Meta:
        """Asks, or joins those who do; raises as `RegionCache.stat`."""
        return await asyncio.shield(self._questioned(asked, asked.terms.fresh_seconds))

    async def look(self, asked: Asked) -> Meta:
        """Asks the origin; what is known is believed meanwhile. Raises as `ask`."""
        return await asyncio.shield(self._questioned(asked, 0.0))

    async def ask_anew(self, asked: Asked) -> Meta:
        """Doubts what is known and asks the origin now; an answer begun before will not do. Raises as `ask`."""
        self.catalog.distrust(asked.oid, self._wall())
        return await asyncio.shield(self._questioned(asked, 0.0, join=False))

    def learn(self, oid: ObjectId, meta: Meta, ticket: int) -> None:
        """`meta` was the newest when the question with this ticket was asked."""
        if self.catalog.learn(oid, meta, ticket):
            self.pages.correct(oid, meta, ticket)

    def learn_absence(self, oid: ObjectId, fault: CacheError, ticket: int) -> None:
        """The question with this ticket was answered by a 404 or a 403; other faults teach nothing."""
        self.shelf.hot.drop(oid)
        # Known but not on disk yet: it may be on its way there at this moment.
        held = self.catalog.find(oid) is not None or self.shelf.store.newest(oid) is not None
        self.catalog.learn_absent(oid, fault, ticket, self._clock(), self._wall(), held=held)
        if isinstance(fault, NoSuchObject):
            self.pages.correct(oid, None, ticket)

    def stale(self, asked: Asked, meta: Meta) -> float | None:
        """The age of an answer that a node on the way gave although nobody could be asked, or None."""
        old = self._old(meta)
        return old if asked.version is None and old > asked.terms.fresh_seconds + asked.terms.hold_seconds else None

    async def stop(self) -> None:
        """Ends all questions."""
        await self.questions.stop()

    def _old(self, meta: Meta) -> float:
        return max(0.0, self._wall() - meta.learned_at)

    async def _shown(self, asked: Asked, meta: Meta) -> Meta | None:
        """`meta` as young as the page of a list that shows it; None where that is not young enough, or void."""
        kept = self.pages.says(asked.oid, meta).kept
        if kept is None or self._wall() - kept.at > asked.terms.fresh_seconds or asked.version is not None:
            return None
        shown = replace(meta, learned_at=kept.at)
        if not self.catalog.learn(asked.oid, shown, kept.ticket) or not self.fresh(asked, shown):
            return None
        await self._keep(asked, shown)
        return shown

    def _hold(self, asked: Asked, seconds: float) -> float:
        """How long a reader who may have what is known here waits for an answer about the newest version."""
        if self.owners.through(asked.oid, 0):
            return seconds + ANOTHER_SECONDS
        return self.sources.hold(asked.place, seconds)

    def _questioned(self, asked: Asked, fresh_seconds: float, *, join: bool = True) -> "asyncio.Task[Meta]":
        """The question under way; one that a fresher answer was wanted of than this one needs is as good.

        Raises NotOwner to one who asks as of the key owner where that is another member.
        """
        through = self.owners.through(asked.oid, 0, asked.standing)
        subject = (asked.oid, fresh_seconds, asked.checksums, through)
        return self.questions.ask(subject, lambda: self._question(asked, fresh_seconds, through=through), join=join)

    async def _question(self, asked: Asked, fresh_seconds: float, *, through: bool) -> Meta:
        """A HEAD by the first route that answers, or a question to the key owner; what it teaches is noted."""
        oid, ticket = asked.oid, self.catalog.ticket()
        question = Question(asked.place.key, asked.payer, asked.hops, fresh_seconds, asked.checksums)
        try:
            keeper = partial(self.owners.ownership.owner, oid, 0) if through else None
            meta = await self.owners.tell(keeper, asked.place, question, "stat", _head)
        except (NoSuchObject, OriginForbids) as absent:
            self.learn_absence(oid, absent, ticket)
            raise
        meta = told_before(meta, await self.recall(oid))
        self.learn(oid, meta, ticket)
        await self._keep(asked, meta)
        return meta

    async def _keep(self, asked: Asked, meta: Meta) -> None:
        """What was learned is written where the object is kept, so that it outlives the process."""
        store, oid = self.shelf.store, asked.oid
        try:
            kept = asked.terms.keep and not asked.terms.second_read and meta.settled
            kept = kept and not self.owners.through(oid, 0)
            if not meta.size and kept and store.newest(oid) != meta.version:
                await store.pack(oid, meta, b"")  # no flight brings an empty object
            else:
                await store.relearn(oid, meta)
        finally:
            self.shelf.hot.drop(oid)


def _extent(asked: Asked) -> int:
    """The extent that a read begins in."""
    return asked.wanted.start // EXTENT_BYTES


def _head(route: Route, question: Question, crossing: Crossing) -> Awaitable[Meta]:
    return route.source.head(question, crossing)
