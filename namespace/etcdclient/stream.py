"""One watch at one server: a stream that is read into a bounded buffer, and probed when it is silent."""

import asyncio
from collections import deque
from collections.abc import Callable

import grpc.aio

from namespace.etcdclient.calls import WATCH
from namespace.etcdclient.connections import Connections, Failed, unconnected
from namespace.etcdclient.errors import EtcdError
from namespace.etcdclient.limits import EtcdLimits
from namespace.etcdclient.proto import etcd_pb2 as pb

# etcd ends streams that say this when their member has no leader: it would be silent, and nobody would know.
_REQUIRE_LEADER = ("hasleader", "true")

Call = grpc.aio.StreamStreamCall[pb.WatchRequest, pb.WatchResponse]


class WatchStream:
    """Answers of one watch in their order, parts joined. Opened by `open`, ended by `close`, read by one reader."""

    def __init__(
        self, call: Call, connections: Connections, index: int, limits: EtcdLimits, clock: Callable[[], float]
    ) -> None:
        self.index = index
        self.heard_at = clock()
        self._call = call
        self._connections = connections
        self._limits = limits
        self._clock = clock
        self._answers: deque[pb.WatchResponse] = deque()
        self._fault: Exception | None = None
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False
        self._pump: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        connections: Connections,
        index: int,
        create: pb.WatchCreateRequest,
        limits: EtcdLimits,
        clock: Callable[[], float],
    ) -> "WatchStream":
        """Returns the stream with its watch asked for.

        Raises: Failed: the server is away; EtcdRefused: the user or the password is wrong.
        """
        await connections.connect(index, limits.connect_seconds)
        metadata = [*await connections.metadata(index), _REQUIRE_LEADER]
        call = WATCH.on(connections.channel(index))(metadata=metadata)
        stream = cls(call, connections, index, limits, clock)
        try:
            async with asyncio.timeout(limits.attempt_seconds):
                await call.write(pb.WatchRequest(create_request=create))
        except (TimeoutError, grpc.aio.AioRpcError, asyncio.InvalidStateError) as fault:
            call.cancel()
            raise Failed(unconnected(connections.servers[index].url)) from fault
        except BaseException:
            call.cancel()
            raise
        stream._pump = asyncio.create_task(stream._read(metadata))
        return stream

    async def next(self) -> pb.WatchResponse:
        """Returns the next answer. Safe to cancel: nothing is lost by it.

        Raises: Failed: the stream has ended, or its server is silent even to a probe.
        """
        while not self._answers:
            if self._fault is not None:
                raise self._fault
            await self._hear()
        answer = self._answers.popleft()
        self._room.set()
        return answer

    async def close(self) -> None:
        """Ends the watch."""
        self._closed = True
        self._room.set()
        self._call.cancel()
        if self._pump is not None:
            # It ends by itself once gRPC has let go of the call; cancelled, it would leave that to whoever runs next.
            await asyncio.wait([self._pump])
            await self._call.code()

    async def _hear(self) -> None:
        """Waits for anything, asking for a sign of life after a time of silence; raises Failed."""
        if await self._something(self._limits.silent_seconds):
            return
        try:
            async with asyncio.timeout(self._limits.probe_seconds):
                await self._call.write(pb.WatchRequest(progress_request=pb.WatchProgressRequest()))
        except (TimeoutError, grpc.aio.AioRpcError, asyncio.InvalidStateError) as fault:
            raise self._silent() from fault
        if not await self._something(self._limits.probe_seconds):
            raise self._silent()

    async def _something(self, seconds: float) -> bool:
        self._arrived.clear()
        if self._answers or self._fault is not None:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        except TimeoutError:
            return False
        return True

    def _silent(self) -> Failed:
        return Failed(unconnected(self._connections.servers[self.index].url))

    async def _read(self, metadata: list[tuple[str, str]]) -> None:
        parts: list[pb.WatchResponse] = []
        try:
            while not self._closed:
                answer = await self._call.read()
                self.heard_at = self._clock()
                if not isinstance(answer, pb.WatchResponse):
                    raise self._silent()
                parts.append(answer)
                if not answer.fragment:
                    self._answers.append(_joined(parts))
                    parts = []
                # A probe's answer is a sign of life while the reader waits, whole or not.
                self._arrived.set()
                if len(self._answers) >= self._limits.watch_answers:
                    self._room.clear()
                    await self._room.wait()
        except grpc.aio.AioRpcError as fault:
            self._fault = self._connections.failure(self.index, fault, metadata)
        except (Failed, EtcdError) as fault:
            self._fault = fault
        finally:
            # Cancelled, too: a reader that still waits must not wait for ever.
            self._fault = self._fault or self._silent()
            self._arrived.set()


def _joined(parts: list[pb.WatchResponse]) -> pb.WatchResponse:
    """One answer of the parts that etcd made of it."""
    first, *others = parts
    for other in others:
        first.events.extend(other.events)
    return first
