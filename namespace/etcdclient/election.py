"""One of several is the leader: whoever's key under a prefix came into being first.

Each candidate has a key of its own, which lives with its session. The leader's epoch is the revision at which its key
came into being: a later leader's is always higher. Who leads must look at `Session.left` before it relies on it.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from types import TracebackType

from namespace.etcdclient.client import Etcd
from namespace.etcdclient.errors import EtcdError, EtcdUncertain, LeaseGone
from namespace.etcdclient.follow import Following
from namespace.etcdclient.session import Session
from namespace.etcdclient.values import Delete, Get, Gone, KeyValue, Put, Snapshot, absent, created_at


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads."""

    key: bytes
    value: bytes
    epoch: int
    """Revision at which its key came into being."""
    lease: int = 0


class Candidates:
    """The keys under an election's prefix. A core: fed by a following, asked who leads."""

    def __init__(self) -> None:
        self._keys: dict[bytes, KeyValue] = {}

    def feed(self, news: Snapshot | tuple[KeyValue | Gone, ...]) -> Leader | None:
        """Takes in what a following said, and returns who leads now."""
        if isinstance(news, Snapshot):
            self._keys = news.as_dict()
        else:
            for change in news:
                if isinstance(change, Gone):
                    self._keys.pop(change.key, None)
                else:
                    self._keys[change.key] = change
        return self.leader()

    def leader(self) -> Leader | None:
        """Returns who leads; None: nobody."""
        first = min(self._keys.values(), key=lambda one: one.created, default=None)
        return None if first is None else Leader(first.key, first.value, first.created, first.lease)

    def has(self, key: bytes, epoch: int) -> bool:
        """Whether a candidate's key is still the one that came into being then."""
        found = self._keys.get(key)
        return found is not None and found.created == epoch


class Election:
    """The election under one prefix."""

    def __init__(self, etcd: Etcd, prefix: bytes) -> None:
        self._etcd = etcd
        self._prefix = prefix.rstrip(b"/") + b"/"

    async def leader(self) -> Leader | None:
        """Returns who leads now; raises EtcdUnavailable, EtcdRefused."""
        return Candidates().feed(await self._etcd.snapshot(self._prefix))

    def observe(self) -> "Observed":
        """Returns an iterator of who leads: the present leader first, then each change."""
        return Observed(self._etcd.follow(self._prefix))

    async def campaign(self, session: Session, value: bytes) -> Leader:
        """Stands for election and returns once elected, with the epoch. Cancelled, it withdraws when it can.

        Args:
            session: ours, alive; its end is the end of the leadership.
            value: what others shall see of the leader.

        Raises:
            LeaseGone: the session was lost before: renew it, then stand again.
            EtcdUnavailable, EtcdRefused, NoSpace: standing failed; waiting outlasts outages.
        """
        key = self._prefix + b"%016x" % session.lease
        epoch = await self._stand(key, value, session.lease)
        try:
            return await self._elected(key, epoch)
        except BaseException:
            await self._withdraw(key, epoch)
            raise

    async def resign(self, leader: Leader) -> bool:
        """Gives up a leadership of ours; returns whether it still was.

        Raises: EtcdUnavailable, EtcdUncertain, EtcdRefused.
        """
        outcome = await self._etcd.transact(
            [created_at(leader.key, leader.epoch)], [Delete(leader.key)], repeatable=True
        )
        return outcome.succeeded

    async def _stand(self, key: bytes, value: bytes, lease: int) -> int:
        """Puts our key if it is not there, and returns the revision at which it came into being."""
        if not lease:
            raise LeaseGone("the session is closed; open one, then stand for election")
        try:
            outcome = await self._etcd.transact([absent(key)], [Put(key, value, lease)], [Get(key)])
        except EtcdUncertain:
            # The key bears our lease's id: if it is there, it is ours.
            found = await self._etcd.get(key)
            if found is None:
                raise
            return found.created
        return outcome.revision if outcome.succeeded else outcome.items(0)[0].created

    async def _elected(self, key: bytes, epoch: int) -> Leader:
        candidates = Candidates()
        async with self._etcd.follow(self._prefix) as following:
            async for news in following:
                leader = candidates.feed(news if isinstance(news, Snapshot) else news.changes)
                if not candidates.has(key, epoch):
                    raise LeaseGone("our candidature is gone, and the session with it: renew it, then stand again")
                if leader is not None and leader.key == key:
                    return leader
        raise LeaseGone("the following has ended")

    async def _withdraw(self, key: bytes, epoch: int) -> None:
        """Takes our key back, as far as that can be done now: it ends with the session in any case."""
        with contextlib.suppress(EtcdError):
            await asyncio.shield(self._etcd.transact([created_at(key, epoch)], [Delete(key)], repeatable=True))


class Observed:
    """An iterator of leaders; None stands for nobody. Each change is said once; waits through outages."""

    def __init__(self, following: Following) -> None:
        self._following = following
        self._candidates = Candidates()
        self._said: Leader | None = None
        self._begun = False

    async def __aenter__(self) -> "Observed":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> "Observed":
        return self

    async def __anext__(self) -> Leader | None:
        return await self.next()

    async def next(self) -> Leader | None:
        """Returns who leads, once that is another than was said last; raises EtcdRefused. Safe to cancel."""
        while True:
            news = await self._following.next()
            leader = self._candidates.feed(news if isinstance(news, Snapshot) else news.changes)
            if not self._begun or leader != self._said:
                self._begun, self._said = True, leader
                return leader

    async def close(self) -> None:
        """Ends it. Safe to call more than once."""
        await self._following.close()
