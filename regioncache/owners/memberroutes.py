"""Routes to members: a member as a source of pages and answers, reached over no line, signed with the region's secret.

A member that has not begun to answer is asked, each few seconds, whether it is alive: the owner of cold pages may wait
for a line much longer than a dead one may be waited for.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from namespace.model import Bucket
from regioncache.cluster.members import Member
from regioncache.cluster.ownership import Ownership
from regioncache.errors import CacheError, NotSupported, OriginUnavailable
from regioncache.health import MEMBER
from regioncache.http.client import Base, Client
from regioncache.lines.base import Crossing
from regioncache.lines.crossing import NoLine
from regioncache.origins.base import ListAsk, ListPage, Part, Payer, Question, Reading, Want
from regioncache.pages import Meta, Version
from regioncache.peers.client import PeerSource
from regioncache.peers.desks import Questioner
from regioncache.peers.digests import Digests
from regioncache.peers.proto import SILENCE_SECONDS
from regioncache.sources import Route
from regioncache.standing import Standing

MOST_ROUTES = 4096
ALIVE_BYTES = 4096
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class MemberSource:
    """A bucket as another member serves it; `alive` raises CacheError where that one gives no sign of life."""

    peer: PeerSource
    alive: Callable[[], Awaitable[None]]

    @property
    def name(self) -> str:
        """See `Source.name`."""
        return self.peer.name

    async def read(self, want: Want, crossing: Crossing) -> Reading:
        """See `Source.read`."""
        return await answered(self.peer.read(want, crossing), self.alive, closed)

    async def head(self, question: Question, crossing: Crossing) -> Meta:
        """See `Source.head`."""
        return await answered(self.peer.head(question, crossing), self.alive)

    async def part(self, question: Question, number: int, version: Version, crossing: Crossing) -> Part:
        """See `PartSource.part`."""
        return await answered(self.peer.part(question, number, version, crossing), self.alive)

    async def list(self, ask: ListAsk, question: Question, crossing: Crossing) -> ListPage:
        """See `Source.list`."""
        return await answered(self.peer.list(ask, question, crossing), self.alive)


def closed(reading: Reading) -> None:
    """Closes a reply that nobody reads. The protocol's own `close`, taken as a function, would do nothing."""
    reading.close()


async def answered(
    question: Awaitable[_T], alive: Callable[[], Awaitable[None]], left: Callable[[_T], None] = lambda _: None
) -> _T:
    """Returns the answer to a question, waiting for it as long as who was asked is alive.

    `left` is told of an answer that came when nobody waited for it any more. Raises what either raises.
    """
    task = asyncio.ensure_future(question)
    try:
        while not (await asyncio.wait({task}, timeout=SILENCE_SECONDS))[0]:
            await alive()
        return task.result()
    except BaseException:
        await _given_up(task, left)
        raise


async def _given_up(task: "asyncio.Future[_T]", left: Callable[[_T], None]) -> None:
    task.cancel()
    with suppress(CacheError, asyncio.CancelledError):
        left(await task)


class MemberRoutes:
    """Makes routes to members. Mutable state: `_routes`, by what they are made of."""

    def __init__(
        self,
        questioner: Questioner,
        client: Client,
        digests: Digests,
        on_warning: Callable[[str], None],
        ownership: Ownership,
    ) -> None:
        """`questioner` asks members' desks; `ownership` tells the view that this process goes by."""
        self.questioner = questioner
        self._client = client
        self._digests = digests
        self._on_warning = on_warning
        self._ownership = ownership
        self._routes: dict[tuple[Member, str, bytes, Standing], Route] = {}

    def route(self, member: Member, bucket: Bucket, standing: Standing) -> Route:
        """Returns the route to a bucket's pages at a member. Raises NotSupported where the region has no secret."""
        made_of = (member, bucket.name, bucket.id, standing)
        route = self._routes.get(made_of)
        if route is None:
            if len(self._routes) >= MOST_ROUTES:
                self._routes.clear()
            route = self._routes[made_of] = self._route(member, bucket, standing)
        return route

    async def ask(
        self, member: Member, operation: str, values: dict[str, str], *, seconds: float, most_bytes: int
    ) -> bytes:
        """Asks a member's desk; raises as `Questioner.ask`."""
        asker, base = self.questioner, _base(member)
        return await asker.ask(base, asker.region, operation, values, seconds=seconds, most_bytes=most_bytes)

    async def alive(self, member: Member) -> None:
        """Raises CacheError where a member gives no sign of life within the 3 s that tell it is gone.

        One that a newer view has not is not asked any more: others own what it owned, and wait for nobody.
        """
        if all(one.name != member.name for one in self._ownership.members()):
            raise OriginUnavailable(f"member {member.name} is gone, by view {self._ownership.epoch}")
        with suppress(NotSupported):  # who says what it does not know is there
            await self.ask(member, "alive", {}, seconds=SILENCE_SECONDS, most_bytes=ALIVE_BYTES)

    def _route(self, member: Member, bucket: Bucket, standing: Standing) -> Route:
        asker = self.questioner
        if asker.secrets(asker.region) is None:
            raise NotSupported(
                f"members of {asker.region!r} cannot ask one another: name the region's own secret under `secrets`"
            )
        peer = PeerSource(
            f"member {member.name}",
            _base(member),
            bucket.name,
            bucket.id,
            asker.region,
            asker.region,
            lambda: asker.secrets(asker.region) or "",
            self._client,
            self._digests,
            self._on_warning,
            asker.wall,
            asker.keys,
            standing,
            lambda: self._ownership.epoch,
        )
        source = MemberSource(peer, lambda: self.alive(member))
        return Route((bucket.name, MEMBER, member.name), "peer", None, source, _no_line)


def _base(member: Member) -> Base:
    try:
        return Base.parse(member.addresses.peer)
    except ValueError as wrong:
        raise OriginUnavailable(f"member {member.name} has no peer door: {wrong}") from wrong


def _no_line(payer: Callable[[], Payer], kind: Callable[[], str]) -> Crossing:
    return NoLine()
