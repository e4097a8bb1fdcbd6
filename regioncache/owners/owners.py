"""Owners: through whom an extent is read, and what an owner asks other members before it goes to a source.

A process that is not the owner by its view reads through the owner and waits for it: for a newer view, or for the same
member to be back. It never goes to a source itself. Without a cluster nothing of this is asked.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from namespace.model import Bucket
from namespace.resolver import Place
from regioncache.cluster.members import Member
from regioncache.cluster.ownership import Alone, Ownership
from regioncache.errors import (
    BadAnswer,
    CacheError,
    NodeStopping,
    NoSuchObject,
    NotOwner,
    OriginForbids,
    OriginNeedsMending,
    OriginTried,
    OriginUnavailable,
    SlowDown,
)
from regioncache.flights import Flight
from regioncache.lines.base import Crossing
from regioncache.origins.base import Question
from regioncache.owners.holdings import Held, Holding, Holdings, parse_held
from regioncache.owners.memberroutes import MemberRoutes
from regioncache.owners.patience import FIRST_SECONDS, Patience
from regioncache.pages import Meta, ObjectId, Span
from regioncache.peers.proto import SILENCE_SECONDS
from regioncache.peers.wire import facts
from regioncache.questions import Questions
from regioncache.sources import Route, Sources
from regioncache.standing import Standing

ALONE = Alone()
HELD_BYTES = 1024 * 1024
ANOTHER_SECONDS = 1.0
"""More than an origin is waited for, the owner is: it gives what it knows when the origin does not answer."""
OPENING_SECONDS = 20.0
"""How long a new owner waits for what a former one has asked a source for; the reader's own limit is 25 s."""
OPENING_PAUSE = 0.05
NEWER_SECONDS = 1.0
"""A view that another member has already is a moment away."""
TELL_SECONDS = 3.0
"""A member that does not say within this that it has heard is gone: as long as a reply may be silent."""
MOST_TELLING = 256
"""Told at once of what first reads have learned; of more the key owner hears when it is asked."""
_T = TypeVar("_T")


class Moved(CacheError):
    """The extent is another's now, or becomes ours: who waits looks anew."""


@dataclass(frozen=True, slots=True)
class Leg:
    """What one request of a flight is asked of, up to `end` (object offset)."""

    route: Route
    end: int | None = None


class Owners:
    """Mutable state: `holdings`, the questions under way, and what is being told."""

    def __init__(
        self,
        sources: Sources,
        clock: Callable[[], float],
        ownership: Ownership = ALONE,
        routes: MemberRoutes | None = None,
    ) -> None:
        """`clock` is monotonic. `routes` leads to other members; without it there must be none."""
        self.sources = sources
        self.ownership = ownership
        self.holdings = Holdings()
        self._clock = clock
        self._routes = routes
        self._questions: Questions[Holding] = Questions()
        self._telling: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Owners by {self.ownership!r}, {len(self.holdings)} extents asked about>"

    def through(self, oid: ObjectId, extent: int, standing: Standing = Standing.READER) -> bool:
        """Whether an extent is read through another member; raises NotOwner to who asks as of its owner."""
        ownership = self.ownership
        return not ownership.alone and self._others(ownership.owner(oid, extent), standing)

    def lists_through(self, bucket: bytes, prefix: str, standing: Standing = Standing.READER) -> bool:
        """Whether the lists of a prefix are another member's; raises as `through`."""
        ownership = self.ownership
        return not ownership.alone and self._others(ownership.list_owner(bucket, prefix), standing)

    def _others(self, owner: Member | None, standing: Standing) -> bool:
        if owner is not None and standing is Standing.OWNER:
            epoch = self.ownership.epoch
            raise NotOwner(f"{owner.name} owns this by view {epoch}; look at the view again", epoch)
        return owner is not None

    async def admit(self, through: Callable[[], bool], epoch: int) -> None:
        """Sees that a member that goes by the view of `epoch` asks the owner: `through` says what we are by ours.

        An older view than the asker's is given a moment to be followed by his. Raises NotOwner.
        """
        ownership = self.ownership
        late = self._clock() + NEWER_SECONDS
        # Who has no view yet believes to be alone, and would not ask those that stood in for it.
        while ownership.epoch < epoch:
            try:
                if ownership.epoch and not ownership.alone:
                    through()
                    return
            except NotOwner:
                if self._clock() >= late:
                    raise
            if not await ownership.newer(ownership.epoch, max(0.0, late - self._clock())):
                break
        through()

    def route(self, member: Member, bucket: Bucket, standing: Standing = Standing.OWNER) -> Route:
        """The route to a bucket's pages at a member."""
        return self.routes.route(member, bucket, standing)

    @property
    def routes(self) -> MemberRoutes:
        """Leads to the other members."""
        assert self._routes is not None, "others own what nobody can ask them for"
        return self._routes

    async def pause(self, fault: CacheError, patience: Patience, epoch: int) -> None:
        """Waits for a newer view than that of `epoch`, or until the same member is to be asked again.

        Raises `fault` where it was waited long enough.
        """
        seconds = patience.pause(self._clock())
        if seconds is None:
            raise fault
        await self.ownership.newer(epoch, seconds)

    def patience(self, seconds: float) -> Patience:
        """Begins to wait."""
        return Patience(seconds, self._clock())

    def progress(self, patience: Patience) -> None:
        """Something came from who is waited for."""
        patience.progress(self._clock())

    async def tell(
        self,
        keeper: Callable[[], Member | None] | None,
        place: Place,
        question: Question,
        what: str,
        ask: Callable[[Route, Question, Crossing], Awaitable[_T]],
        final: tuple[type[CacheError], ...] = (NoSuchObject, OriginForbids),
    ) -> _T:
        """Puts a question to who keeps the answer, `keeper()`; to the sources once that, or from the start, is us.

        Raises as `Sources.tell`; SlowDown where the keeper is silent for 25 s.
        """
        patience = self.patience(FIRST_SECONDS)
        answers: tuple[type[CacheError], ...] = (*final, OriginTried, OriginNeedsMending, SlowDown)
        while keeper is not None and (member := keeper()) is not None:
            epoch = self.ownership.epoch
            try:
                return await self.sources.put(self.route(member, place.bucket), question, what, ask)
            except answers:
                raise
            except (OriginUnavailable, BadAnswer) as fault:
                late = SlowDown(f"member {member.name} is silent: {fault}", 5.0)
                await self.pause(late, patience, epoch)
        return await self.sources.tell(place, question, what, ask, final)

    async def from_member(self, flight: Flight, place: Place) -> "tuple[Leg, Member] | None":
        """Returns what comes next of an owner's flight where a member holds it; None: a source is next.

        Raises Moved where the extent is not ours any more.
        """
        leg = await self._leg(flight, place)
        return leg if isinstance(leg, tuple) else None

    async def leg(self, flight: Flight, place: Place, route: Route) -> "Leg | tuple[Leg, Member]":
        """Returns what the next request of an owner's flight is to be: of a member, or of a source by this route.

        Raises Moved where the extent is not ours any more.
        """
        leg = await self._leg(flight, place)
        return leg if isinstance(leg, tuple) else Leg(route, leg)

    async def _leg(self, flight: Flight, place: Place) -> "tuple[Leg, Member] | int | None":
        """What comes next: of a member, or of a source up to an object offset (None: its end)."""
        if self.ownership.alone:
            flight.at_source = True
            return None
        holding = await self.held(place, flight.oid, flight.extent)
        # No await from here to `at_source`: who becomes the owner now asks us, and waits for what we are bringing.
        if self.ownership.owner(flight.oid, flight.extent) is not None:
            raise Moved(f"{flight.oid.key!r}, extent {flight.extent}, is another member's now")
        if flight.version is None and holding.meta is not None:
            raise Moved(f"another member knows {flight.oid.key!r}")
        page_bytes = flight.page_bytes
        page = flight.landed // page_bytes
        found = holding.at(flight.version, page)
        if found is not None:
            run, member = found
            return Leg(self.route(member, place.bucket, Standing.HELD), run.end * page_bytes), member
        flight.at_source = True
        following = holding.following(flight.version, page)
        return None if following is None else following * page_bytes

    def not_given(self, flight: Flight, member: Member) -> None:
        """A member did not give what it said it holds: it is not asked for it again."""
        self.holdings.gone(flight.oid, flight.extent, member)

    async def held(self, place: Place, oid: ObjectId, extent: int) -> Holding:
        """Returns what the members that may have owned an extent before hold of it; asked once in each view."""
        while True:
            epoch = self.ownership.epoch
            self.holdings.look(epoch)
            found = self.holdings.find(oid, extent)
            if found is not None:
                return found
            task = self._questions.ask((oid, extent, epoch), lambda: self._ask_all(place, oid, extent))
            holding = await asyncio.shield(task)
            if self.ownership.epoch == epoch:
                return holding

    async def known(self, place: Place, oid: ObjectId, extent: int) -> Holding:
        """Returns what others know of an object that the owner of an extent does not know.

        The key owner is asked, each time, for what it knows in memory, and those before for what they hold.
        """
        keeper = self.ownership.owner(oid, 0) if extent else None
        if keeper is None:
            return await self.held(place, oid, extent)
        told, held = await asyncio.gather(
            self.ask(keeper, place, oid, extent), self.held(place, oid, extent), return_exceptions=True
        )
        if isinstance(held, BaseException):
            raise held
        if isinstance(told, Held) and told.meta is not None:
            return Holding(told.meta, told.doubted)
        return held

    async def known_by_any(self, place: Place, oid: ObjectId, extent: int) -> Holding:
        """As `known`, of all members: for an owner whose sources are away, and who knows nothing."""
        epoch, members = self.ownership.epoch, self.ownership.members()
        told = await asyncio.gather(*(self.ask(one, place, oid, extent) for one in members))
        holding = Holding.of((one, held) for one, held in zip(members, told, strict=True) if held is not None)
        if self.ownership.epoch == epoch:
            self.holdings.look(epoch)
            self.holdings.keep(oid, extent, holding)
        return holding

    def tell_key_owner(self, flight: Flight, meta: Meta) -> None:
        """Tells the key owner, where that is another member, what an owner's first read has learned."""
        if self.ownership.alone or flight.through:
            return
        keeper = self.ownership.owner(flight.oid, 0)
        if keeper is not None and len(self._telling) < MOST_TELLING:
            task = asyncio.create_task(self._tell_learned(keeper, flight.oid, meta))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def tell_all(self, values: dict[str, str]) -> tuple[str, ...]:
        """Tells every other member; returns the names of those that could not be told."""
        members = self.ownership.members()
        told = await asyncio.gather(*(self._tell(one, values) for one in members))
        return tuple(one.name for one, heard in zip(members, told, strict=True) if not heard)

    async def stop(self) -> None:
        """Ends all questions, and what is being told."""
        await self._questions.stop()
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)

    async def _tell_learned(self, keeper: Member, oid: ObjectId, meta: Meta) -> None:
        age = max(0.0, self.routes.questioner.wall() - meta.learned_at)
        told = facts(meta, Span(0, 0), age).decode("ascii")
        await self._tell(keeper, {"what": "learned", "id": oid.bucket.hex(), "key": oid.key, "object": told})

    async def _tell(self, member: Member, values: dict[str, str]) -> bool:
        try:
            await self.routes.ask(member, "tell", values, seconds=TELL_SECONDS, most_bytes=HELD_BYTES)
        except CacheError:
            return False
        return True

    async def _ask_all(self, place: Place, oid: ObjectId, extent: int) -> Holding:
        until = self._clock() + OPENING_SECONDS
        while True:
            epoch = self.ownership.epoch
            asked = self.holdings.to_ask(self.ownership.others(oid, extent), oid, self._clock())
            told = await asyncio.gather(*(self.ask(one, place, oid, extent) for one in asked))
            answers = [(one, held) for one, held in zip(asked, told, strict=True) if held is not None]
            newest = max((held.epoch for _, held in answers), default=0)
            if newest > epoch and await self.ownership.newer(newest - 1, NEWER_SECONDS):
                continue
            if any(held.opening for _, held in answers) and self._clock() < until:
                await asyncio.sleep(OPENING_PAUSE)
                continue
            break
        if self.ownership.epoch == epoch:
            self._remember(oid, extent, epoch, answers)
        return Holding.of(answers)

    def _remember(self, oid: ObjectId, extent: int, epoch: int, answers: list[tuple[Member, Held]]) -> None:
        self.holdings.look(epoch)
        for member, held in answers:
            if held.meta is None:
                self.holdings.nothing(member, oid)
        self.holdings.keep(oid, extent, Holding.of(answers))

    async def ask(self, member: Member, place: Place, oid: ObjectId, extent: int) -> Held | None:
        """What one member holds; None: it is silent for as long as tells that one is gone.

        A busy one is waited for: what it holds would cross the line a second time.
        """
        values = {
            "bucket": place.bucket.name,
            "id": oid.bucket.hex(),
            "key": oid.key,
            "extent": str(extent),
            "page": str(place.bucket.page),
            "epoch": str(self.ownership.epoch),
        }
        asked_at = self.routes.questioner.wall()
        try:
            body = await self.routes.ask(member, "held", values, seconds=SILENCE_SECONDS, most_bytes=HELD_BYTES)
            return parse_held(body, asked_at)
        except CacheError:
            self.holdings.silent(member, self._clock())
            return None


def is_silence(fault: CacheError) -> bool:
    """Whether a fault says nothing about the object: the owner is silent, about to stop, or another one by now."""
    if isinstance(fault, NodeStopping | NotOwner):
        return True
    return isinstance(fault, OriginUnavailable) and not isinstance(fault, OriginTried | OriginNeedsMending)
