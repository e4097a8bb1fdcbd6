"""What reads ask of the cluster: whose an extent is. Answers come from memory; only a newer view is waited for."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from regioncache.cluster.members import Member
from regioncache.cluster.ring import Ring, list_place, place
from regioncache.pages import ObjectId

RANKS = 2
"""Whom a new owner asks before a line: the ranks behind it have the former owner and the stand-in (the design's line
rules, Owner)."""
RANKS_AFTER_TWO = 3
"""After a second change at once, one more."""


class Ownership(Protocol):
    """Whose what is. `None` for an owner means this process."""

    @property
    def epoch(self) -> int:
        """Of the view in force; higher is newer, the same everywhere. 0: no cluster."""

    @property
    def alone(self) -> bool:
        """Whether everything is this process's: nobody else owns anything. Asked first, on every path."""

    def owner(self, oid: ObjectId, extent: int) -> Member | None:
        """Whose an extent is; extent 0's is the key owner."""

    def others(self, oid: ObjectId, extent: int) -> tuple[Member, ...]:
        """Whom an owner asks for pages and running flights before a line, in order."""

    def ranks(self, oid: ObjectId, extent: int) -> tuple[Member, ...]:
        """The owner and those behind it, this member among them, in order."""

    def list_owner(self, bucket: bytes, prefix: str) -> Member | None:
        """Who keeps the pages of a prefix's lists; `bucket` is its 16-byte id."""

    def next_owner(self, oid: ObjectId, extent: int) -> Member | None:
        """Whose an extent is once this member has left; None: nobody is left."""

    def members(self) -> tuple[Member, ...]:
        """All others, those that own nothing too."""

    def everyone(self) -> tuple[Member, ...]:
        """All of the view in force, this one among them; none without a cluster."""

    async def newer(self, epoch: int, seconds: float) -> bool:
        """Waits until a view newer than `epoch` is in force, `seconds` at most; returns whether one is."""


class Alone:
    """Without a cluster: everything is this process's."""

    epoch = 0
    alone = True

    def owner(self, oid: ObjectId, extent: int) -> Member | None:
        """See `Ownership`."""
        return None

    def others(self, oid: ObjectId, extent: int) -> tuple[Member, ...]:
        """See `Ownership`."""
        return ()

    def ranks(self, oid: ObjectId, extent: int) -> tuple[Member, ...]:
        """See `Ownership`."""
        return ()

    def list_owner(self, bucket: bytes, prefix: str) -> Member | None:
        """See `Ownership`."""
        return None

    def next_owner(self, oid: ObjectId, extent: int) -> Member | None:
        """See `Ownership`."""
        return None

    def members(self) -> tuple[Member, ...]:
        """See `Ownership`."""
        return ()

    def everyone(self) -> tuple[Member, ...]:
        """See `Ownership`."""
        return ()

    async def newer(self, epoch: int, seconds: float) -> bool:
        """See `Ownership`; there is never another view, so nobody is held."""
        return False


class Shared:
    """Ownership by a view of members.

    Mutable state: all of it is replaced when a view is adopted; `_waiting` are those that wait for the next.
    """

    def __init__(self, name: str, members: Sequence[Member] = (), epoch: int = 0) -> None:
        """`name` is this member's."""
        self._name = name
        self._waiting: set[asyncio.Future[None]] = set()
        self.adopt(members, epoch)

    def adopt(self, members: Sequence[Member], epoch: int, ranks: int = RANKS) -> None:
        """Goes on by these members, this one among them or not; `ranks` is how many an owner asks before a line."""
        self.epoch = epoch
        self._ranks = ranks
        self._ring = Ring(members)
        self._everyone = tuple(members)
        self._members = tuple(one for one in members if one.name != self._name)
        # Before the first view nobody is known, and a member that owns nothing is not alone.
        self.alone = [one.name for one in self._ring.members] == [self._name]
        waiting, self._waiting = self._waiting, set()
        for one in waiting:
            if not one.done():
                one.set_result(None)

    def owner(self, oid: ObjectId, extent: int) -> Member | None:
        """See `Ownership`."""
        return None if self.alone else self._unless_own(self._ring.owner(place(oid, extent)))

    def others(self, oid: ObjectId, extent: int) -> tuple[Member, ...]:
        """See `Ownership`."""
        ranked = self._ring.ranks(place(oid, extent), self._ranks + 1)
        return tuple(one for one in ranked if one.name != self._name)[: self._ranks]

    def ranks(self, oid: ObjectId, extent: int) -> tuple[Member, ...]:
        """See `Ownership`."""
        return self._ring.ranks(place(oid, extent), self._ranks + 1)

    def list_owner(self, bucket: bytes, prefix: str) -> Member | None:
        """See `Ownership`."""
        return None if self.alone else self._unless_own(self._ring.owner(list_place(bucket, prefix)))

    def next_owner(self, oid: ObjectId, extent: int) -> Member | None:
        """See `Ownership`."""
        ranked = self._ring.ranks(place(oid, extent), 2)
        return next((one for one in ranked if one.name != self._name), None)

    def members(self) -> tuple[Member, ...]:
        """See `Ownership`."""
        return self._members

    def everyone(self) -> tuple[Member, ...]:
        """See `Ownership`."""
        return self._everyone

    async def newer(self, epoch: int, seconds: float) -> bool:
        """See `Ownership`."""
        try:
            async with asyncio.timeout(seconds):
                while self.epoch <= epoch:
                    await self._next()
        except TimeoutError:
            return False
        return True

    async def _next(self) -> None:
        """Waits until a view is adopted."""
        one: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(one)
        try:
            await one
        finally:
            self._waiting.discard(one)

    def _unless_own(self, member: Member | None) -> Member | None:
        return None if member is None or member.name == self._name else member

    def __repr__(self) -> str:
        return f"Shared({self._name!r}, epoch {self.epoch}, {len(self._ring)} owners)"
