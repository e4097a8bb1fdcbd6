"""A lease that is kept alive, and the keys that live with it: how a process shows that it is there."""

import asyncio
from types import TracebackType

from namespace.etcdclient.client import Etcd
from namespace.etcdclient.errors import EtcdError, LeaseGone
from namespace.etcdclient.leaseclock import LeaseClock


class Session:
    """A lease of ours. Opened by `open`; lost when it may have run out, which is before etcd lets it.

    A lost session stays so until `renew`: who held something by it must first know that it does not any more.
    """

    def __init__(self, etcd: Etcd, lease: int, clock: LeaseClock) -> None:
        self.lease = lease
        """Its id; another one after `renew` where the old one was gone."""
        self._etcd = etcd
        self._clock = clock
        self._keys: dict[bytes, bytes] = {}
        self._lost = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"Session({self.lease:x}, {'lost' if self._lost.is_set() else 'alive'}, {len(self._keys)} keys)"

    @classmethod
    async def open(cls, etcd: Etcd, ttl_seconds: float = 8.0) -> "Session":
        """Returns a session with a new lease, kept alive in each quarter of it.

        Args:
            etcd: the client; it outlives the session.
            ttl_seconds: after a `kill -9`, what hangs on it is gone within this and a second or two.

        Raises: EtcdUnavailable, EtcdRefused, NoSpace.
        """
        lease, clock = await _granted(etcd, ttl_seconds)
        session = cls(etcd, lease, clock)
        session._keeping = asyncio.create_task(session._keep())
        return session

    async def __aenter__(self) -> "Session":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def alive(self) -> bool:
        """Whether the lease is ours for certain."""
        return not self._lost.is_set() and self.left(self._etcd.clock()) > 0

    def left(self, now: float) -> float:
        """Returns the seconds for which the lease is ours for certain, counted from the sending of the last answered
        keep-alive; 0 or less: lost."""
        return 0.0 if self._lost.is_set() else self._clock.left(now)

    async def lost(self) -> None:
        """Returns once the session is lost."""
        await self._lost.wait()

    async def put(self, key: bytes, value: bytes) -> int:
        """Sets a key that lives with the session, and returns the revision; `renew` puts it again.

        Raises: EtcdUnavailable, EtcdUncertain, EtcdRefused, NoSpace, LeaseGone.
        """
        self._keys[key] = value
        return await self._etcd.put(key, value, self.lease, repeatable=True)

    def keep(self, key: bytes, value: bytes) -> None:
        """Notes a key that was put under this lease by other means, as by a transaction, for `renew`."""
        self._keys[key] = value

    def drop(self, key: bytes) -> None:
        """Notes no longer a key that somebody else has by now, or that goes by other means."""
        self._keys.pop(key, None)

    async def forget(self, key: bytes) -> None:
        """Removes a key of the session; raises EtcdUnavailable, EtcdUncertain, EtcdRefused."""
        self._keys.pop(key, None)
        await self._etcd.delete(key)

    async def renew(self) -> bool:
        """Makes a lost session alive again: by its old lease if etcd still has it, else by a new one with all its keys.

        Returns whether the old lease lived on, and with it whatever was elected by it. Call it again after a fault.

        Raises: EtcdUnavailable, EtcdUncertain, EtcdRefused, NoSpace.
        """
        await self._stop_keeping()
        lived_on = await self._lives()
        if not lived_on:
            self.lease, self._clock = await _granted(self._etcd, self._clock.ttl_seconds)
            for key, value in self._keys.items():
                await self._etcd.put(key, value, self.lease, repeatable=True)
        self._lost = asyncio.Event()
        self._keeping = asyncio.create_task(self._keep())
        return lived_on

    async def close(self, *, revoke: bool = True) -> None:
        """Ends the session, and with it, unless told otherwise, the lease and its keys. Safe to call more than once."""
        await self._stop_keeping()
        self._lost.set()
        if revoke and self.lease:
            lease, self.lease = self.lease, 0
            try:
                await self._etcd.revoke(lease)
            except EtcdError:
                # etcd is away: the lease runs out by itself.
                return

    async def _lives(self) -> bool:
        try:
            renewal = await self._etcd.keep_alive(self.lease)
        except LeaseGone:
            return False
        self._clock.renewed(renewal.ttl_seconds, renewal.sent_at)
        return True

    async def _keep(self) -> None:
        clock, etcd = self._clock, self._etcd
        try:
            while (left := clock.left(etcd.clock())) > 0:
                due = clock.due_in(etcd.clock())
                if due > 0:
                    await asyncio.sleep(min(due, left))
                    continue
                try:
                    renewal = await etcd.keep_alive(self.lease, min(left, clock.attempt_seconds))
                except LeaseGone:
                    return
                except EtcdError:
                    # Again at once, and until the lease has run out: etcd may be back within it.
                    await asyncio.sleep(min(etcd.limits.pause_seconds, max(0.0, left)))
                else:
                    clock.renewed(renewal.ttl_seconds, renewal.sent_at)
        finally:
            self._lost.set()

    async def _stop_keeping(self) -> None:
        task, self._keeping = self._keeping, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])


async def _granted(etcd: Etcd, ttl_seconds: float) -> tuple[int, LeaseClock]:
    sent_at = etcd.clock()
    lease = await etcd.grant(ttl_seconds)
    return lease, LeaseClock(float(max(1, round(ttl_seconds))), sent_at)
