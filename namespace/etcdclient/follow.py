"""Everything beneath a prefix, then its changes, for as long as somebody wants to know.

Whoever follows sees one whole Snapshot, then Changes without loss or repetition. After a compaction while it was away,
or after etcd lost its data, it sees a whole Snapshot again, whose cause says so: nothing is passed over in silence.
"""

import asyncio
from dataclasses import replace
from types import TracebackType
from typing import Protocol

from namespace.etcdclient.asking import Asking
from namespace.etcdclient.errors import Compacted, DataLost, EtcdUnavailable
from namespace.etcdclient.values import Cause, Changes, Snapshot
from namespace.etcdclient.watch import Watch


class Snapshots(Protocol):
    """What is needed of the client."""

    asking: Asking

    async def snapshot(self, prefix: bytes) -> Snapshot: ...


class Following:
    """An iterator of one Snapshot, Changes, and Snapshots again where the thread was lost. Waits through outages."""

    def __init__(self, etcd: Snapshots, prefix: bytes, mark: bytes | None = None) -> None:
        """Args:
        etcd: the client.
        prefix: what is followed.
        mark: as of `Watch`.
        """
        self._etcd = etcd
        self._prefix = prefix
        self._mark = mark
        self._watch: Watch | None = None
        self._last: Watch | None = None
        self._cause = Cause.COMPACTED

    async def __aenter__(self) -> "Following":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> "Following":
        return self

    async def __anext__(self) -> Snapshot | Changes:
        return await self.next()

    async def next(self) -> Snapshot | Changes:
        """Returns what comes next; waits for it, also through outages. Safe to cancel: nothing is lost by it.

        Raises: EtcdRefused: we may not read or watch this.
        """
        while True:
            try:
                if self._watch is None:
                    return await self._whole()
                return await self._watch.next()
            except Compacted:
                await self._lost_thread(Cause.COMPACTED)
            except DataLost:
                await self._lost_thread(Cause.LOST)
            except EtcdUnavailable:
                await asyncio.sleep(self._etcd.asking.limits.pause_seconds)

    async def close(self) -> None:
        """Ends it. Safe to call more than once."""
        watch, self._watch = self._watch, None
        if watch is not None:
            await watch.close()

    def silent(self, now: float) -> float:
        """Returns the seconds since a server was heard; inf while there is none."""
        return float("inf") if self._watch is None else self._watch.silent(now)

    async def _whole(self) -> Snapshot:
        # The mark is noted before the whole is read: one that changes in between is seen by the first stream's check.
        watch = Watch(self._etcd.asking, self._prefix, 1, self._mark)
        await watch.check()
        snapshot = await self._etcd.snapshot(self._prefix)
        if snapshot.cluster != watch.cluster:
            raise DataLost("etcd became another cluster while it was read")
        watch.revision = snapshot.revision + 1
        # No await from here to the end: what is returned is what the watch goes on from.
        cause = self._cause_of(watch)
        self._watch = self._last = watch
        self._cause = Cause.COMPACTED
        return replace(snapshot, cause=cause)

    def _cause_of(self, now: Watch) -> Cause:
        """Lost is also what a compaction seemed to explain, if etcd is not the one that it was."""
        before = self._last
        if before is None:
            return Cause.FIRST
        same = (before.cluster, before.marked) == (now.cluster, now.marked) and before.revision <= now.revision
        return self._cause if same else Cause.LOST

    async def _lost_thread(self, cause: Cause) -> None:
        # What was lost stays lost, also where the next whole is cut short by a compaction.
        if self._cause is not Cause.LOST:
            self._cause = cause
        await self.close()
