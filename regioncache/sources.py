"""Through what a missing page may come: the ways of a place that answer, in order, each with its line.

`usable` is the pure part: the ways that answer as the route orders them; where none does, those whose trial is due.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from namespace.resolver import Place
from namespace.routes import Way
from regioncache.errors import CacheError, OriginBusy, OriginUnavailable, Refused, SlowDown, Unanswered
from regioncache.health import Health, WayId
from regioncache.lines.base import Crossing
from regioncache.origins.base import Payer, Source
from regioncache.outages import Outages
from regioncache.tidings import UNHEARD, Tidings

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Route:
    """One usable way: its name for health and `explain`, its source, and what a reply on it is accounted to."""

    id: WayId
    kind: str  # the source label of what comes: line | peer | origin
    line: str | None
    source: Source
    open_crossing: Callable[[Callable[[], Payer], Callable[[], str]], Crossing]

    def crossing(self, payer: Callable[[], Payer], kind: Callable[[], str]) -> Crossing:
        """Opens the account of one request; `kind` is the ledger's kind of the next bytes."""
        return self.open_crossing(payer, kind)


RouteBuilder = Callable[[Place, Way], Route]
"""Makes the route of one way of a place; raises CacheError where it cannot be made."""


def way_id(bucket: str, way: Way) -> WayId:
    """Returns the name under which a way's health is remembered."""
    where = way.region if way.kind == "region" or way.endpoint is None else way.endpoint.url
    return (bucket, way.kind, where)


def usable(bucket: str, ways: Iterable[Way], health: Health, now: float) -> list[Way]:
    """Returns the ways that may be asked now, best first: those that answer; where none does, those whose trial is due.

    Who is given a trial takes it: it is not due again before its pause is over.
    """
    named = [(way_id(bucket, way), way) for way in ways]
    healthy = [way for name, way in named if not health.away(name)]
    return healthy or [way for name, way in named if health.may_ask(name, now)]


class Sources:
    """Turns the ways of a place into routes; `build` makes the route of one way (the app's part)."""

    def __init__(
        self, health: Health, build: RouteBuilder, clock: Callable[[], float], tidings: Tidings = UNHEARD
    ) -> None:
        self.health = health
        self._build = build
        self._clock = clock
        self._outages = Outages(tidings)
        self._known: frozenset[WayId] = frozenset()
        self._away: dict[WayId, Route] = {}

    def of(self, place: Place) -> list[Route]:
        """The routes to try, in order; raises OriginUnavailable when none may be asked now."""
        now = self._clock()
        ways = usable(place.bucket.name, place.ways, self.health, now)
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

    async def ask(self, route: Route, question: Awaitable[_T]) -> _T:
        """Awaits a question to a route and remembers whether somebody answered."""
        try:
            answer = await question
        except (Refused, Unanswered) as silence:
            self._silent(route, silence)
            raise
        except CacheError as fault:
            # A line that has no room says nothing about the far end; a store that asks to slow down is there.
            if not isinstance(fault, SlowDown) or isinstance(fault, OriginBusy):
                self._answered(route)
            raise
        self._answered(route)
        return answer

    def _answered(self, route: Route) -> None:
        if self.health.answered(route.id):
            self._outages.back(route.id, self._clock())

    def _silent(self, route: Route, silence: Refused | Unanswered) -> None:
        now = self._clock()
        tell = self.health.refused if isinstance(silence, Refused) else self.health.unanswered
        went = tell(route.id, now)
        self._away[route.id] = route
        if went:
            others = sorted(name for name in self._known if not self.health.away(name))
            self._outages.gone(route.id, route.line, silence, others, now)

    def keep(self, known: Iterable[WayId]) -> None:
        """From now on only these ways are: others are not tried any more."""
        self._known = frozenset(known)
        self._away = {name: route for name, route in self._away.items() if name in self._known}
        self._outages.keep(self._known)

    def trials(self) -> list[Route]:
        """The routes that are away and whose trial is due now; whoever takes them asks them."""
        now = self._clock()
        self._away = {name: route for name, route in self._away.items() if self.health.away(name)}
        return [route for name, route in self._away.items() if self.health.may_ask(name, now)]

    def away(self, place: Place) -> bool:
        """Whether every way of this place is away, so that nobody should wait for an answer."""
        return all(self.health.away(way_id(place.bucket.name, way)) for way in place.ways)

    def _retry_after(self, place: Place, now: float) -> float:
        waits = [self.health.retry_after(way_id(place.bucket.name, way), now) for way in place.ways]
        return max(1.0, min(waits, default=1.0))

    def _why(self, place: Place) -> str:
        if not place.ways:
            return f"no way from here to bucket {place.bucket.name!r}: no endpoint with a line, no region with nodes"
        return f"bucket {place.bucket.name!r} is away by all of its {len(place.ways)} ways"
