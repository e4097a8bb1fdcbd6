"""The client as others see it: keys, transactions, leases; what is watched is in `watch` and `follow`."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType

import grpc.aio

from namespace.etcdclient import calls, wire
from namespace.etcdclient.asking import Asking, Repeat, Trouble
from namespace.etcdclient.config import EtcdAccess
from namespace.etcdclient.connections import Connections, Failed, unconnected
from namespace.etcdclient.errors import Compacted, DataLost, EtcdError, EtcdRefused, EtcdUncertain, LeaseGone, TooLarge
from namespace.etcdclient.follow import Following
from namespace.etcdclient.limits import EtcdLimits
from namespace.etcdclient.proto import etcd_pb2 as pb
from namespace.etcdclient.values import (
    Cause,
    Compare,
    Delete,
    Get,
    KeyValue,
    Operation,
    Outcome,
    Page,
    Put,
    ServerStatus,
    Snapshot,
    Transaction,
    chunks,
    end_of,
    size_of,
)
from namespace.etcdclient.watch import Watch

LARGEST_SENT = 1_500_000
"""etcd's --max-request-bytes is 1.5 MiB by default, framing included."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """A lease that was kept alive."""

    ttl_seconds: float
    sent_at: float
    """When the answered request was sent, by the client's clock: it lives at least until `sent_at + ttl_seconds`."""


class Etcd:
    """One cluster of etcd, over all its servers. Use it as an async context manager, or `close` it.

    Reads are linearizable unless they say `serializable`; those may be served by a member that is behind.
    """

    def __init__(
        self,
        access: EtcdAccess,
        limits: EtcdLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        trouble: Trouble | None = None,
        renew: Callable[[], EtcdAccess] | None = None,
    ) -> None:
        """Args:
        access: servers, certificates, user.
        limits: bounds of waits and buffers.
        clock: monotonic seconds.
        trouble: told once when etcd is away (why), and once, with None, when it answers again.
        renew: reads the access anew, as `EtcdSettings.access`; asked where a server cannot be connected to or does
            not know us, for certificates are renewed and passwords changed while we run. Its servers stay as they are.
        """
        self.limits = limits or EtcdLimits()
        self.clock = clock
        self._connections = Connections(access, self.limits, renew)
        self.asking = Asking(self._connections, self.limits, clock, trouble)

    async def __aenter__(self) -> "Etcd":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections. Leases are left to run out, or to whoever holds them."""
        await self._connections.close()

    async def get(self, key: bytes, *, serializable: bool = False) -> KeyValue | None:
        """Returns a key, or None; raises EtcdUnavailable, EtcdRefused."""
        found = await self.page(Get(key), serializable=serializable)
        return found.items[0] if found.items else None

    async def page(self, get: Get, revision: int = 0, *, serializable: bool = False, keys_only: bool = False) -> Page:
        """Returns keys as they were at `revision` (0: now).

        Raises: EtcdUnavailable, EtcdRefused, Compacted, TooLarge (more bytes than one answer may have: ask for less).
        """
        question = wire.range_request(get, revision, serializable=serializable, keys_only=keys_only)
        return wire.page((await self.asking.call(calls.RANGE, question, Repeat.FREELY)).answer)

    async def snapshot(self, prefix: bytes) -> Snapshot:
        """Returns everything beneath a prefix at one revision, in pages; raises EtcdUnavailable, EtcdRefused."""
        while True:
            try:
                return await self._snapshot(prefix)
            except Compacted:
                # The history went on and was cut while we read: from the beginning, at a newer revision.
                continue

    async def put(self, key: bytes, value: bytes, lease: int = 0, *, repeatable: bool = False) -> int:
        """Sets a key and returns the revision.

        Args:
            key: at most some KiB.
            value: 1.5 MiB at most, the key included.
            lease: that it goes with.
            repeatable: send it again after an attempt without an answer. Right where nobody else writes this key: twice
                the same is the same, but it would undo another's write in between.

        Raises: EtcdUnavailable, EtcdUncertain, EtcdRefused, NoSpace, TooLarge, LeaseGone.
        """
        put = Put(key, value, lease)
        _check_size((put,))
        answered = await self.asking.call(
            calls.PUT, wire.put_request(put), Repeat.AGAIN if repeatable else Repeat.NEVER
        )
        return answered.answer.header.revision

    async def delete(self, key: bytes, end: bytes = b"") -> int:
        """Removes a key, or with `end` all in [key, end); returns how many; raises as `put`.

        It is sent once; one that may be repeated is a transaction with a compare.
        """
        question = wire.delete_request(Delete(key, end))
        return (await self.asking.call(calls.DELETE, question, Repeat.NEVER)).answer.deleted

    async def delete_prefix(self, prefix: bytes) -> int:
        """Removes all keys beneath a prefix; returns how many; raises as `put`."""
        return await self.delete(prefix or b"\0", end_of(prefix))

    async def transact(
        self,
        compares: Sequence[Compare] = (),
        then: Sequence[Operation] = (),
        otherwise: Sequence[Operation] = (),
        *,
        repeatable: bool | None = None,
    ) -> Outcome:
        """Does `then` if all compares hold, else `otherwise`, at one revision.

        It is sent again by itself where that cannot do it twice (`Transaction.repeatable`), or where `repeatable` says
        that twice is the same; if the compares do not hold then, it may have been our own first attempt that changed
        what they look at.

        Raises: EtcdUnavailable, EtcdUncertain (read what it would have written), EtcdRefused, NoSpace, TooLarge,
            LeaseGone.
        """
        transaction = Transaction(tuple(compares), tuple(then), tuple(otherwise))
        _check_size((*transaction.then, *transaction.otherwise))
        again = transaction.repeatable if repeatable is None else repeatable
        repeat = Repeat.AGAIN if again else Repeat.NEVER
        if not transaction.writes:
            repeat = Repeat.FREELY
        answered = await self.asking.call(calls.TXN, wire.txn_request(transaction), repeat)
        found = wire.outcome(answered.answer)
        if answered.doubted and not found.succeeded:
            raise EtcdUncertain(
                "a transaction was sent again, and its compares no longer hold: the attempt before may have been done;"
                " read what it would have written"
            )
        return found

    async def write(self, operations: Iterable[Operation], compares: Sequence[Compare] = ()) -> int:
        """Does any number of operations in order, in as many transactions as etcd's limits want; returns the revision.

        It is no transaction as a whole: write what is new first, then flip one key that points to it. It may be called
        again with the same operations after EtcdUnavailable or EtcdUncertain.

        Args:
            operations: puts and deletes.
            compares: guards of each chunk, as that we are still the leader.

        Raises: as `transact`; EtcdRefused: a guard no longer holds.
        """
        revision = 0
        for chunk in chunks(operations):
            outcome = await self.transact(compares, chunk, repeatable=True)
            if not outcome.succeeded:
                raise EtcdRefused("a guard of these writes no longer holds: nothing more was written")
            revision = outcome.revision
        return revision

    async def grant(self, ttl_seconds: float) -> int:
        """Returns a new lease's id. Sent again it may leave a lease behind that nobody holds: that one runs out.

        Args:
            ttl_seconds: without a keep-alive; etcd counts whole seconds, and not less than some elections take.

        Raises: EtcdUnavailable, EtcdRefused.
        """
        question = pb.LeaseGrantRequest(TTL=max(1, round(ttl_seconds)))
        return (await self.asking.call(calls.GRANT, question, Repeat.FREELY)).answer.ID

    async def revoke(self, lease: int) -> None:
        """Ends a lease, and its keys with it; one that is gone already is no fault.

        Raises: EtcdUnavailable, EtcdRefused.
        """
        try:
            await self.asking.call(calls.REVOKE, pb.LeaseRevokeRequest(ID=lease), Repeat.FREELY)
        except LeaseGone:
            return

    async def keep_alive(self, lease: int, seconds: float | None = None) -> Renewal:
        """Keeps a lease alive, once, by whichever server answers.

        Args:
            lease: its id.
            seconds: for all attempts together.

        Raises: EtcdUnavailable, EtcdRefused, LeaseGone.
        """

        async def once(index: int, left: float) -> pb.LeaseKeepAliveResponse:
            return await self._keep_alive(index, lease, left)

        # Half of it for each attempt: a server that is silent leaves time for the next one.
        within = None if seconds is None else seconds / 2
        answered = await self.asking.attempt(once, Repeat.FREELY, seconds, within)
        if answered.answer.TTL <= 0:
            raise LeaseGone(f"lease {lease:x} has run out; register anew")
        return Renewal(float(answered.answer.TTL), answered.sent_at)

    async def compact(self, revision: int) -> None:
        """Drops the history before a revision; one that is dropped already is no fault; raises EtcdUnavailable,
        EtcdRefused."""
        try:
            await self.asking.call(
                calls.COMPACT, pb.CompactionRequest(revision=revision, physical=False), Repeat.FREELY
            )
        except Compacted:
            return

    async def status(self) -> tuple[ServerStatus, ...]:
        """Returns what each server says of itself, those that are away with their fault; never raises for them."""
        servers = range(len(self._connections.servers))
        return tuple(await asyncio.gather(*(self._status(index) for index in servers)))

    def watch(self, prefix: bytes, revision: int, mark: bytes | None = None) -> Watch:
        """Returns the changes beneath a prefix from `revision` on; see `Watch`."""
        return Watch(self.asking, prefix, revision, mark)

    def follow(self, prefix: bytes, mark: bytes | None = None) -> Following:
        """Returns everything beneath a prefix, then its changes; see `Following`."""
        return Following(self, prefix, mark)

    async def _snapshot(self, prefix: bytes) -> Snapshot:
        key, end = prefix or b"\0", end_of(prefix)
        limit, revision, cluster = self.limits.page_keys, 0, 0
        items: list[KeyValue] = []
        while True:
            question = wire.range_request(Get(key, end, limit), revision)
            try:
                answer = (await self.asking.call(calls.RANGE, question, Repeat.FREELY)).answer
            except TooLarge:
                if limit == 1:
                    raise
                limit = max(1, limit // 2)
                continue
            revision, cluster = revision or answer.header.revision, cluster or answer.header.cluster_id
            if cluster != answer.header.cluster_id:
                raise DataLost("etcd became another cluster while it was read; read it anew")
            page = wire.page(answer)
            items += page.items
            if not page.more:
                return Snapshot(revision, tuple(items), Cause.FIRST, cluster)
            key = page.items[-1].key + b"\0"

    async def _keep_alive(self, index: int, lease: int, seconds: float) -> pb.LeaseKeepAliveResponse:
        connections = self._connections
        await connections.connect(index, min(seconds, self.limits.connect_seconds))
        metadata = await connections.metadata(index)
        call = calls.KEEP_ALIVE.on(connections.channel(index))(timeout=seconds, metadata=metadata)
        try:
            await call.write(pb.LeaseKeepAliveRequest(ID=lease))
            await call.done_writing()
            answer = await call.read()
            # To its end: a call that is cut short stays with gRPC for a while.
            await call.read()
        except grpc.aio.AioRpcError as fault:
            raise connections.failure(index, fault, metadata) from fault
        finally:
            call.cancel()
        if not isinstance(answer, pb.LeaseKeepAliveResponse):
            raise Failed(unconnected(connections.servers[index].url))
        return answer

    async def _status(self, index: int) -> ServerStatus:
        url = self._connections.servers[index].url
        try:
            answer = await self._connections.ask(index, calls.STATUS, pb.StatusRequest(), self.limits.attempt_seconds)
        except (Failed, EtcdError) as fault:
            return ServerStatus(url, fault=str(fault))
        leads = answer.leader != 0 and answer.leader == answer.header.member_id
        return ServerStatus(url, answer.version, leads, answer.dbSize, answer.header.revision)


def _check_size(operations: Sequence[Operation]) -> None:
    for one in operations:
        if size_of(one) > LARGEST_SENT:
            raise TooLarge(
                f"key {one.key!r} with its value has {size_of(one)} bytes, etcd takes {LARGEST_SENT}: split it"
            )
