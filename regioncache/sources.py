"""Through what a missing page may come: the ways of a place that answer, in order, each with its line.

`usable` is the pure part: the ways that answer as the route orders them; where none does, those whose probe is due.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from namespace.resolver import Place
from namespace.routes import Way
from regioncache.errors import (
    CacheError,
    NoSuchObject,
    NotSupported,
    OriginBusy,
    OriginForbids,
    OriginNeedsMending,
    OriginUnavailable,
    Refused,
    SlowDown,
    Unanswered,
)
from regioncache.health import ANSWER_SECONDS, MEMBER, Health, WayId
from regioncache.isolation import Asking, Bounds, Kind, ShareStatistics
from regioncache.lines.base import Crossing
from regioncache.origins.base import Payer, Question, Source
from regioncache.outages import Outages
from regioncache.tidings import UNHEARD, Tidings
from regioncache.tracing import Passage, Trail
from regioncache.turns import HeldPlace, Turns

_T = TypeVar("_T")

LISTENED_SECONDS = 1.0
"""Where nobody has listened for longer, the process stood still: answers may lie in its sockets, unread."""


def _nobody() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Route:
    """One usable way: its name for health and `explain`, its source, and what a reply on it is accounted to."""

    id: WayId
    kind: str  # the source label of what comes: line | peer | origin
    line: str | None
    source: Source
    open_crossing: Callable[[Callable[[], Payer], Callable[[], str]], Crossing]
    others: Callable[[], bool] = _nobody
    """Whether another node behind it may go on where one broke off."""

    @property
    def judged(self) -> bool:
        """Whether its answers and its silence say that it is there or away; of a member the view says so."""
        return self.id[1] != MEMBER

    def crossing(self, payer: Callable[[], Payer], kind: Callable[[], str]) -> Crossing:
        """Opens the account of one request; `kind` is the ledger's kind of the next bytes."""
        return self.open_crossing(payer, kind)

    def traced(self, trail: Trail | None, operation: str) -> Passage | None:
        """Begins the stretches of one question to it, if whoever asks is traced."""
        if trail is None:
            return None
        _, kind, where = self.id
        return Passage.begin(trail, kind, self.line, {"causeway.operation": operation, "causeway.where": where})


RouteBuilder = Callable[[Place, Way], Route]
"""Makes the route of one way of a place; raises CacheError where it cannot be made."""


def way_id(bucket: str, way: Way) -> WayId:
    """Returns the name under which a way's health is remembered."""
    where = way.region if way.kind == "region" or way.endpoint is None else way.endpoint.url
    return (bucket, way.kind, where)


def usable(bucket: str, ways: Iterable[Way], health: Health, now: float, *, probes: bool = True) -> list[Way]:
    """Returns the ways that may be asked now, best first: those that answer; where none does, those whose probe is due.

    Who is given a probe takes it: it is not due again before its pause is over. Without `probes` nobody is given one:
    somebody else makes them.
    """
    named = [(way_id(bucket, way), way) for way in ways]
    healthy = [way for name, way in named if not health.away(name)]
    return healthy or [way for name, way in named if probes and health.may_ask(name, now)]


@dataclass(frozen=True, slots=True)
class WayStatistics:
    """How one way fares. `away_seconds` is None for a way that answers."""

    id: WayId
    away_seconds: float | None
    share: ShareStatistics


class Sources:
    """Turns the ways of a place into routes; `build` makes the route of one way (the app's part).

    Mutable state: that of `health` and `turns`; `_known`, `_away` the routes to be tried; `_owed` by whom questions are
    not answered yet, with `_limits` of those on a line; `_listened` when that was looked at last; `probed`.
    """

    def __init__(
        self,
        health: Health,
        build: RouteBuilder,
        clock: Callable[[], float],
        tidings: Tidings = UNHEARD,
        bounds: Bounds | None = None,
    ) -> None:
        self.health = health
        self.turns = Turns(bounds or Bounds(), clock)
        self.probed = False
        """Whether a prober runs: then no reader waits for the probe of a way that is away."""
        self._build = build
        self._clock = clock
        self._outages = Outages(tidings)
        self._known: frozenset[WayId] = frozenset()
        self._away: dict[WayId, Route] = {}
        self._owed: dict[Asking, Route] = {}
        self._limits: dict[Asking, tuple[asyncio.Timeout, Crossing]] = {}
        self._listened = clock()

    def of(self, place: Place) -> list[Route]:
        """The routes to try, in order; raises OriginUnavailable when none may be asked now."""
        now = self._clock()
        ways = usable(place.bucket.name, place.ways, self.health, now, probes=not self.probed)
        if not ways:
            raise OriginUnavailable(self._why(place), self._retry_after(place, now))
        routes: list[Route] = []
        unmade: list[CacheError] = []
        for way in ways:
            try:
                routes.append(self._build(place, way))
            except CacheError as fault:  # no secret, no credentials: the others may do
                unmade.append(fault)
        if not routes:
            raise OriginUnavailable("; ".join(map(str, unmade))) from unmade[0]
        return routes

    async def tell(
        self,
        place: Place,
        question: Question,
        what: str,
        ask: Callable[[Route, Question, Crossing], Awaitable[_T]],
        final: tuple[type[CacheError], ...] = (NoSuchObject, OriginForbids),
    ) -> _T:
        """Asks the routes of a place, one after the other, until one answers.

        Args:
            place: Whose routes.
            question: Who asks, and how fresh; its bytes count as `meta`.
            what: What is asked, for the trace.
            ask: Asks one route; what it raises before it returns is no answer of the route.
            final: Faults that are the answer: no other route is asked after them.

        Raises: those of `final`; OriginUnavailable, SlowDown or NotSupported where no route answered.
        """
        fault: CacheError = OriginUnavailable("no route was tried")
        for route in self.of(place):
            try:
                return await self.put(route, question, what, ask)
            except final:
                raise
            except CacheError as failed:
                fault = failed
        told = isinstance(fault, OriginUnavailable | SlowDown | NotSupported)
        raise fault if told else OriginUnavailable(str(fault)) from fault

    async def put(
        self,
        route: Route,
        question: Question,
        what: str,
        ask: Callable[[Route, Question, Crossing], Awaitable[_T]],
    ) -> _T:
        """Puts a question to one route, in its turn; raises what `ask` raises, and SlowDown."""
        crossing = route.crossing(lambda: question.payer, lambda: "meta")
        passage = route.traced(question.payer.trail, what)
        try:
            async with self.turn(route, "question"):
                return await self.ask(route, ask(route, question.by(passage), crossing), crossing)
        finally:
            if passage is not None:
                passage.end(sys.exception(), crossing.waited)
            crossing.close()

    def turn(self, route: Route, kind: Kind, rank: int = 0) -> HeldPlace:
        """Holds a place at the route's way; see `Turns.turn`."""
        return self.turns.turn(route.id, kind, rank)

    async def ask(self, route: Route, question: Awaitable[_T], crossing: Crossing) -> _T:
        """Awaits a question to a route and remembers whether somebody answered."""
        share = self.turns.share(route.id)
        asking = share.asked(self._clock(), crossing)
        self._owed[asking] = route
        try:
            # Only on a line does it hold what others wait for, and may be given up: elsewhere no timer is made.
            answer = await (question if route.line is None else self._limited(asking, question, crossing))
        except (Refused, Unanswered) as silence:
            if route.judged and (not asking.counted or isinstance(silence, Refused)):
                self._silent(route, silence)
            raise
        except OriginNeedsMending as fault:
            self._answered(route, asking)
            if route.judged:
                self._outages.refuses(route.id, fault)
            raise
        except CacheError as fault:
            # A line that has no room says nothing about the far end; a store that asks to slow down is there.
            if not isinstance(fault, SlowDown) or isinstance(fault, OriginBusy):
                self._answered(route, asking)
            raise
        finally:
            del self._owed[asking]
            share.over(asking)
            self.turns.let_in(share)
        self._answered(route, asking)
        if route.judged:
            self._outages.accepts(route.id)
        return answer

    async def _limited(self, asking: Asking, question: Awaitable[_T], crossing: Crossing) -> _T:
        """Awaits a question that `listen` may give up."""
        try:
            async with asyncio.timeout(None) as limit:
                self._limits[asking] = (limit, crossing)
                return await question
        except TimeoutError as given_up:
            route = self._owed[asking]
            why = f"{route.source.name} owes an answer for {ANSWER_SECONDS:g} s while others wait for the line"
            raise (Unanswered if self.health.away(route.id) else SlowDown)(why, ANSWER_SECONDS) from given_up
        finally:
            del self._limits[asking]

    def listen(self) -> None:
        """Counts the questions that a bucket has not answered in 2 s; to be called several times a second.

        A node of another region is not judged so: it waits for its own origin. What either holds of a line that others
        wait for is given up once it has been silent for as long.
        """
        now, before = self._clock(), self._listened
        self._listened = now
        if now - before > LISTENED_SECONDS:
            return
        for way, share in self.turns.shares():
            if share.silent_for(now) < ANSWER_SECONDS:
                continue
            if way[1] not in ("region", MEMBER):
                for asking in share.overdue(now, ANSWER_SECONDS):
                    route = self._owed[asking]
                    self._silent(route, Unanswered(f"{route.source.name} gave no answer in {ANSWER_SECONDS:g} s"))
            self._give_up([asking for asking in share.asking() if asking.age(now) >= ANSWER_SECONDS])

    def _give_up(self, silent: list[Asking]) -> None:
        now = asyncio.get_running_loop().time()
        for asking in silent:
            if asking in self._limits:
                limit, crossing = self._limits[asking]
                if crossing.holds_up and not limit.expired():
                    limit.reschedule(now)

    def _answered(self, route: Route, asking: Asking) -> None:
        now = self._clock()
        self.turns.share(route.id).answered(asking, now)
        if self.health.answered(route.id):
            self._outages.back(route.id, now)

    def _silent(self, route: Route, silence: Refused | Unanswered) -> None:
        now = self._clock()
        tell = self.health.refused if isinstance(silence, Refused) else self.health.unanswered
        went = tell(route.id, now)
        self._away[route.id] = route
        if went:
            others = sorted(name for name in self._known if not self.health.away(name))
            self._outages.gone(route.id, route.line, silence, others, now)
            self.turns.dismiss(route.id, silence)

    def keep(self, known: Iterable[WayId]) -> None:
        """From now on only these ways are: others are not tried any more."""
        self._known = frozenset(known)
        self._away = {name: route for name, route in self._away.items() if name in self._known}
        self._outages.keep(self._known)
        self.turns.keep(self._known)

    def probes(self) -> list[Route]:
        """The routes that are away and whose probe is due now; whoever takes them asks them."""
        now = self._clock()
        self._away = {name: route for name, route in self._away.items() if self.health.away(name)}
        return [route for name, route in self._away.items() if self.health.may_ask(name, now)]

    def away(self, place: Place) -> bool:
        """Whether every way of this place is away, so that nobody should wait for an answer."""
        return all(self.health.away(way_id(place.bucket.name, way)) for way in place.ways)

    def hold(self, place: Place, seconds: float) -> float:
        """How long a reader who may have what is cached waits for an answer: up to `seconds`.

        Nobody waits where all ways are away, or owe others an answer for as long as that already.
        """
        now, bucket = self._clock(), place.bucket.name
        for way in place.ways:
            name = way_id(bucket, way)
            if not self.health.away(name) and self.turns.share(name).silent_for(now) < seconds:
                return seconds
        return 0.0

    def statistics(self) -> list[WayStatistics]:
        """Every way that is left to this region, by name, and those still in use."""
        now, away = self._clock(), self.health.away_since()
        ways = self._known.union(way for way, _ in self.turns.shares() if way[1] != MEMBER)
        return [
            WayStatistics(way, now - away[way] if way in away else None, self.turns.share(way).statistics(now))
            for way in sorted(ways)
        ]

    def _retry_after(self, place: Place, now: float) -> float:
        waits = [self.health.retry_after(way_id(place.bucket.name, way), now) for way in place.ways]
        return max(1.0, min(waits, default=1.0))

    def _why(self, place: Place) -> str:
        if not place.ways:
            return f"no way from here to bucket {place.bucket.name!r}: no endpoint with a line, no region with nodes"
        return f"bucket {place.bucket.name!r} is away by all of its {len(place.ways)} ways"
