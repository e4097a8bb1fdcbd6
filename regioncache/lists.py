"""Pages of lists, kept for a while in a bounded store: one flight a page, dropped by a doubt under its prefix.

A failed list is never remembered as an answer; a page that is too old is served when nobody can be asked (P6).
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from namespace.resolver import Place
from regioncache.errors import OriginUnavailable, SlowDown
from regioncache.lines.base import Crossing
from regioncache.listpages import Kept, ListPages
from regioncache.opened import Terms
from regioncache.origins.base import Hops, ListAsk, ListPage, Payer, Question
from regioncache.owners.owners import ANOTHER_SECONDS, Owners
from regioncache.questions import Questions
from regioncache.sources import Route, Sources
from regioncache.standing import Standing

ENDS = 1024
"""Ends of pages that are remembered, to see who walks on: more than lists under way at a time, some 300 KiB."""

_Key = tuple[bytes, ListAsk]


@dataclass(frozen=True, slots=True)
class ListsStatistics:
    pages: int
    nbytes: int
    asking: int


class Lists:
    """Asks for pages of lists and keeps them. Mutable state: `_ends`, `_doubted`, and that of `_pages`."""

    def __init__(
        self,
        sources: Sources,
        pages: ListPages,
        ticket: Callable[[], int],
        clock: Callable[[], float],
        wall: Callable[[], float],
        owners: Owners | None = None,
    ) -> None:
        """`ticket` numbers questions (`Catalog.ticket`); `clock` is monotonic, `wall` since the epoch, in seconds.

        Without `owners` everything is this process's own.
        """
        self._sources = sources
        self._owners = owners or Owners(sources, clock)
        self._pages = pages
        self._ticket = ticket
        self._clock = clock
        self._wall = wall
        self._ends: OrderedDict[_Key, None] = OrderedDict()
        self._questions: Questions[ListPage] = Questions(clock)
        self._doubted = 0

    async def page(
        self,
        place: Place,
        ask: ListAsk,
        payer: Payer,
        terms: Terms,
        hops: Hops = (),
        standing: Standing = Standing.READER,
    ) -> ListPage:
        """Returns one page of the bucket's list, with its age.

        Raises: NoSuchObject (no such bucket), OriginForbids, OriginUnavailable, SlowDown.
        """
        kept = self._pages.find(place.bucket.id, ask)
        if kept is not None and self._age(kept) <= terms.fresh_seconds and terms.fresh_seconds > 0:
            return self._aged(kept)
        usable = kept is not None and self._age(kept) <= terms.stale_seconds
        if kept is not None and usable and self._sources.away(place):
            return self._aged(kept)
        through = self._owners.lists_through(place.bucket.id, ask.prefix, standing)
        task = self._asking(place, ask, payer, terms, hops, through=through, join=terms.fresh_seconds > 0)
        hold = self._hold(place, terms, task, through=through) if usable else None
        if hold != 0.0:
            await asyncio.wait({task}, timeout=hold)
        if not task.done() and kept is not None:
            return self._aged(kept)
        try:
            return task.result()
        except (OriginUnavailable, SlowDown):
            if kept is not None and usable:
                return self._aged(kept)
            raise

    async def ahead(self, place: Place, ask: ListAsk, following: ListAsk, payer: Payer, terms: Terms) -> None:
        """A reader was given the page `ask`: if it walks, the question for `following` leaves now, unless that is here.

        It walks when `ask` is where a page given before had its end: who looks at a first page alone costs the origin
        and the line that page alone. One page ahead of a walk, never more; it is kept, and forgotten, as any other.
        """
        if terms.fresh_seconds <= 0:
            return
        coming = (place.bucket.id, following)
        walks = (place.bucket.id, ask) in self._ends
        self._ends[coming] = None
        self._ends.move_to_end(coming)
        if len(self._ends) > ENDS:
            self._ends.popitem(last=False)
        kept = self._pages.find(*coming)
        if walks and (kept is None or self._age(kept) > terms.fresh_seconds):
            through = self._owners.lists_through(place.bucket.id, following.prefix)
            self._asking(place, following, payer, terms, (), through=through)
            # It leaves before the reader's page is made ready and sent: that takes the loop for milliseconds.
            await asyncio.sleep(0)

    def doubt(self, bucket: bytes, prefix: str) -> None:
        """Drops every page on which a key with this prefix may stand; pages asked for before are not kept."""
        self._doubted += 1
        self._pages.drop(bucket, prefix)

    def statistics(self) -> ListsStatistics:
        return ListsStatistics(len(self._pages), self._pages.nbytes, len(self._questions))

    async def stop(self) -> None:
        """Ends all questions."""
        await self._questions.stop()

    def _hold(self, place: Place, terms: Terms, task: "asyncio.Task[ListPage]", *, through: bool) -> float:
        """How long a reader who may have the page that is kept waits for an answer: all of them, from its asking on."""
        seconds = self._sources.hold(place, terms.hold_seconds) + through * ANOTHER_SECONDS
        return max(0.0, seconds - self._questions.age(task))

    def _asking(
        self,
        place: Place,
        ask: ListAsk,
        payer: Payer,
        terms: Terms,
        hops: Hops,
        *,
        through: bool,
        join: bool = True,
    ) -> "asyncio.Task[ListPage]":
        """The question for a page; one under way is joined where it asks for an answer as fresh."""
        subject = (place.bucket.id, ask, terms.fresh_seconds, through)
        question = Question(ask.prefix, payer, hops, terms.fresh_seconds)
        return self._questions.ask(subject, lambda: self._ask(place, ask, question, through=through), join=join)

    async def _ask(self, place: Place, ask: ListAsk, question: Question, *, through: bool) -> ListPage:
        doubted, ticket, began, at = self._doubted, self._ticket(), self._clock(), self._wall()

        def listing(route: Route, question: Question, crossing: Crossing) -> Awaitable[ListPage]:
            return route.source.list(ask, question, crossing)

        keeper = partial(self._owners.ownership.list_owner, place.bucket.id, ask.prefix) if through else None
        page = await self._owners.tell(keeper, place, question, "list", listing)
        if doubted == self._doubted:
            self._pages.keep(place.bucket.id, ask, page, began - page.age, at - page.age, ticket)
        return page

    def _age(self, kept: Kept) -> float:
        return max(0.0, self._clock() - kept.learned_at)

    def _aged(self, kept: Kept) -> ListPage:
        return replace(kept.page, age=self._age(kept))
