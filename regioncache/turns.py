"""Turns: where requests wait for a place at their way, and readers of a bucket are counted while they wait.

The shell of `isolation`: a future for each that waits.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager

from regioncache.errors import CacheError, SlowDown
from regioncache.health import WayId
from regioncache.isolation import Bounds, Kind, Share, Turn

RETRY_SECONDS = 1.0
"""After which who was refused may come again: what is under way has had its answers, or the way counts as away."""


class Turns:
    """Mutable state: the shares by way, the futures of who waits, the guests by bucket."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float]) -> None:
        self._bounds = bounds
        self._clock = clock
        self._shares: dict[WayId, Share] = {}
        self._waiters: dict[Turn, asyncio.Future[None]] = {}
        self._guests: Counter[str] = Counter()
        self.turned_away = 0
        """Readers that were refused because too many of the same bucket wait already."""

    def __repr__(self) -> str:
        return f"<Turns {self._shares}, {self._guests.total()} guests>"

    def share(self, way: WayId) -> Share:
        """The share of a way, made when it is first asked for."""
        found = self._shares.get(way)
        if found is None:
            found = self._shares[way] = Share(self._bounds)
        return found

    def shares(self) -> Iterator[tuple[WayId, Share]]:
        """All shares."""
        yield from list(self._shares.items())

    def keep(self, known: Container[WayId]) -> None:
        """From now on only these ways are; the shares of others go when nobody has anything of them."""
        self._shares = {way: share for way, share in self._shares.items() if way in known or not share.idle}

    def turn(self, way: WayId, kind: Kind, rank: int) -> "HeldPlace":
        """A place at the way, for `async with`, which gives whether it had to be waited for.

        Entering raises: SlowDown (too many wait already), and what `dismiss` was told.
        """
        return HeldPlace(self, way, kind, rank)

    def come(self, way: WayId, kind: Kind, rank: int) -> Turn:
        """A request comes; raises SlowDown."""
        share = self.share(way)
        turn = share.come(kind, rank, self._clock())
        if turn is None:
            bucket, _, where = way
            raise SlowDown(f"{share.waiting} requests wait for bucket {bucket!r} at {where} already", RETRY_SECONDS)
        return turn

    async def wait(self, turn: Turn) -> None:
        """Waits until a turn that is no longer waiting has been told so."""
        waiter = self._waiters[turn] = asyncio.get_running_loop().create_future()
        try:
            await waiter
        finally:
            del self._waiters[turn]

    def leave(self, way: WayId, turn: Turn) -> None:
        """A request is over, or does not wait any more."""
        share = self.share(way)
        share.leave(turn)
        self.let_in(share)

    def let_in(self, share: Share) -> None:
        """Wakes those whose turn has come: after each change of the share."""
        if share.waiting:
            for turn in share.admitted(self._clock()):
                self._tell(turn, None)

    def dismiss(self, way: WayId, fault: CacheError) -> None:
        """The way is away: nobody waits for it any more."""
        for turn in self.share(way).dismissed():
            self._tell(turn, fault)

    @contextmanager
    def guest(self, bucket: str) -> Iterator[None]:
        """Counts a reader of a bucket while he waits for his first byte. Raises SlowDown when too many do."""
        if self._guests[bucket] >= self._bounds.guests:
            self.turned_away += 1
            raise SlowDown(f"{self._guests[bucket]} readers wait for bucket {bucket!r} already", RETRY_SECONDS)
        self._guests[bucket] += 1
        try:
            yield
        finally:
            self._guests[bucket] -= 1
            if not self._guests[bucket]:
                del self._guests[bucket]

    def guests(self) -> int:
        """Readers that wait for their first byte."""
        return self._guests.total()

    def _tell(self, turn: Turn, fault: CacheError | None) -> None:
        waiter = self._waiters[turn]
        if waiter.done():
            return
        if fault is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(type(fault)(str(fault)))


class HeldPlace:
    """A request's place at its way, held for the length of an `async with`. A class: it is made for each cold read."""

    __slots__ = ("_kind", "_rank", "_turn", "_turns", "_way")

    def __init__(self, turns: Turns, way: WayId, kind: Kind, rank: int) -> None:
        self._turns, self._way, self._kind, self._rank = turns, way, kind, rank

    async def __aenter__(self) -> bool:
        turn = self._turn = self._turns.come(self._way, self._kind, self._rank)
        if turn.state != "waiting":
            return False
        try:
            await self._turns.wait(turn)
        except BaseException:
            self._turns.leave(self._way, turn)
            raise
        return True

    async def __aexit__(self, *_: object) -> None:
        self._turns.leave(self._way, self._turn)
