"""Changes beneath a prefix from a revision on, in order, each once, whatever becomes of single servers.

A stream that ends is taken up at the next server from the revision that was reached. Before anything of a new stream is
handed on, a read that the whole cluster answers shows that it is the same cluster, that its history was not set back,
and, where a mark is named, that the mark is as it was.
"""

import asyncio
from collections import deque
from types import TracebackType

from namespace.etcdclient import wire
from namespace.etcdclient.asking import Asking, Repeat
from namespace.etcdclient.calls import RANGE
from namespace.etcdclient.connections import Failed
from namespace.etcdclient.errors import Compacted, DataLost, EtcdError, EtcdRefused, EtcdUnavailable
from namespace.etcdclient.proto import etcd_pb2 as pb
from namespace.etcdclient.refusals import Verdict
from namespace.etcdclient.stream import WatchStream
from namespace.etcdclient.values import Changes, Get, KeyValue, end_of

# The answer to a probe stands for no watch.
_NO_WATCH = -1


class Watch:
    """An iterator of Changes. It outlives servers; it ends by `close`, by leaving its `async with`, or by a fault."""

    def __init__(
        self, asking: Asking, prefix: bytes, revision: int, mark: bytes | None = None, cluster: int = 0
    ) -> None:
        """Args:
        asking: the client's calls.
        prefix: what is watched.
        revision: the first whose changes are wanted.
        mark: a key that stays as it is as long as etcd keeps its data; one that was replaced is data lost.
        cluster: the cluster's id; 0: that of the first answer.
        """
        self.revision = revision
        """The first that was not handed on yet."""
        self.cluster = cluster
        self._asking = asking
        self._prefix = prefix
        self._mark = mark
        self.marked: KeyValue | None = None
        """The mark as it was first seen."""
        self._checked = False
        self._stream: WatchStream | None = None
        self._index = 0
        self._waiting: deque[Changes] = deque()
        self._renewed = False

    async def __aenter__(self) -> "Watch":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> "Watch":
        return self

    async def __anext__(self) -> Changes:
        return await self.next()

    async def check(self) -> None:
        """Shows that etcd still has what it had.

        Raises:
            DataLost: it has not.
            EtcdUnavailable, EtcdRefused.
        """
        question = wire.range_request(Get(self._mark or self._prefix or b"\0"))
        answer = (await self._asking.call(RANGE, question, Repeat.FREELY)).answer
        self._same_cluster(answer.header)
        if answer.header.revision < self.revision - 1:
            raise DataLost(
                f"etcd is at revision {answer.header.revision}, and was at {self.revision - 1}: its data was lost"
            )
        if self._mark is None:
            return
        marked = wire.key_value(answer.kvs[0]) if answer.kvs else None
        if self._checked and marked != self.marked:
            raise DataLost(f"the mark {self._mark!r} is no longer what it was: etcd's data was replaced")
        self.marked, self._checked = marked, True

    async def next(self) -> Changes:
        """Returns the next changes; waits for them, also through outages. Safe to cancel: nothing is lost by it.

        Raises:
            Compacted: etcd no longer keeps what is wanted.
            DataLost: etcd is not the one it was.
            EtcdRefused: we may not watch this.
        """
        while not self._waiting:
            try:
                stream = self._stream or await self._opened()
                self._take(await stream.next())
            except (Failed, EtcdUnavailable) as fault:
                await self._left(fault)
        changes = self._waiting.popleft()
        self.revision = changes.revision + 1
        return changes

    async def close(self) -> None:
        """Ends it. Safe to call more than once."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    def silent(self, now: float) -> float:
        """Returns the seconds since the server was heard; inf while there is none."""
        return float("inf") if self._stream is None else now - self._stream.heard_at

    async def _opened(self) -> WatchStream:
        """Opens a stream at the server whose turn it is, and checks etcd behind it."""
        asking = self._asking
        index = asking.endpoints.order(asking.clock())[0]
        create = pb.WatchCreateRequest(
            key=self._prefix or b"\0",
            range_end=end_of(self._prefix),
            start_revision=self.revision,
            progress_notify=True,
            fragment=True,
        )
        self._index = index
        stream = await WatchStream.open(asking.connections, index, create, asking.limits, asking.clock)
        try:
            await self.check()
        except BaseException:
            # Given up in between, too: nothing of a stream is handed on that was not checked.
            await stream.close()
            raise
        self._stream = stream
        return stream

    def _take(self, answer: pb.WatchResponse) -> None:
        self._same_cluster(answer.header)
        if answer.canceled:
            raise self._cancelled(answer)
        if answer.created:
            self._renewed = False
        if answer.events:
            self._waiting.extend(Changes(revision, found) for revision, found in wire.changes(answer.events))
        elif not answer.created and answer.watch_id != _NO_WATCH:
            # A watch that keeps up says which revision it has reached; probes' answers may be ahead of its events.
            self.revision = max(self.revision, answer.header.revision + 1)

    def _cancelled(self, answer: pb.WatchResponse) -> EtcdError | Failed:
        if answer.compact_revision:
            return Compacted(
                f"etcd keeps nothing before revision {answer.compact_revision}, and {self.revision} was wanted",
                answer.compact_revision,
            )
        if "permission denied" in answer.cancel_reason and (self._renewed or not self._asking.connections.renew()):
            return EtcdRefused(f"etcd does not let us watch {self._prefix!r}: grant its user the prefix")
        # etcd says the same of a token that has run out: once with a new one.
        self._renewed = True
        return EtcdUnavailable(f"etcd ended a watch: {answer.cancel_reason or 'no reason given'}")

    def _same_cluster(self, header: pb.ResponseHeader) -> None:
        if self.cluster == 0:
            self.cluster = header.cluster_id
        elif header.cluster_id != self.cluster:
            raise DataLost(f"etcd is cluster {header.cluster_id:x}, and was {self.cluster:x}")

    async def _left(self, fault: Failed | EtcdUnavailable) -> None:
        """Leaves a stream that failed; the next is opened at another server, after a pause."""
        asking = self._asking
        if isinstance(fault, Failed):
            if fault.judged.verdict is Verdict.REFUSED:
                await self.close()
                raise fault.judged.error from fault
            if fault.judged.verdict is not Verdict.TOKEN:
                asking.endpoints.failed(self._index, asking.clock())
        await self.close()
        await asyncio.sleep(asking.limits.pause_seconds)
