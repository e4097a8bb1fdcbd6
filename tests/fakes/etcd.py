"""A server that speaks etcd's API as a test tells it: for faults that a real one shows only by chance."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from namespace.etcdclient.calls import PUT, RANGE, TXN, WATCH
from namespace.etcdclient.proto import etcd_pb2 as pb
from namespace.rpc.faults import RpcFault, Unreachable
from namespace.rpc.serving import Caller, RpcServer, Service

CLUSTER = 7


def header(revision: int) -> pb.ResponseHeader:
    return pb.ResponseHeader(cluster_id=CLUSTER, revision=revision)


def event(key: bytes, value: bytes, revision: int) -> pb.Event:
    return pb.Event(kv=pb.KeyValue(key=key, value=value, create_revision=revision, mod_revision=revision, version=1))


Watching = Callable[[pb.WatchCreateRequest, AsyncIterator[pb.WatchRequest]], AsyncIterator[pb.WatchResponse]]


class FakeEtcd:
    """One key-value store of exact keys. Counts what it is asked, and fails as told."""

    def __init__(self, revision: int = 1) -> None:
        self.revision = revision
        self.keys: dict[bytes, pb.KeyValue] = {}
        self.asked: list[str] = []
        self.lose_answers = 0
        """So many writes are carried out, and then the connection is gone before their answer."""
        self.refuse: list[RpcFault] = []
        """Told instead of carrying out a write."""
        self.watching: Watching | None = None
        self.watches: list[int] = []
        """The revisions that watches began from."""
        self.hangs: asyncio.Event | None = None
        """Reads wait for it."""
        self.url = ""

    async def _range(self, question: pb.RangeRequest, caller: Caller) -> pb.RangeResponse:
        self.asked.append("range")
        if self.hangs is not None:
            await self.hangs.wait()
        found = [self.keys[question.key]] if question.key in self.keys else []
        return pb.RangeResponse(header=header(self.revision), kvs=found)

    async def _put(self, question: pb.PutRequest, caller: Caller) -> pb.PutResponse:
        self.asked.append("put")
        self._fail()
        self._set(question)
        self._lose()
        return pb.PutResponse(header=header(self.revision))

    async def _txn(self, question: pb.TxnRequest, caller: Caller) -> pb.TxnResponse:
        self.asked.append("txn")
        self._fail()
        holds = all(self._holds(one) for one in question.compare)
        if holds:
            for one in question.success:
                self._set(one.request_put)
            self._lose()
        return pb.TxnResponse(header=header(self.revision), succeeded=holds)

    async def _watch(
        self, questions: AsyncIterator[pb.WatchRequest], caller: Caller
    ) -> AsyncIterator[pb.WatchResponse]:
        create = (await anext(questions)).create_request
        self.watches.append(create.start_revision)
        yield pb.WatchResponse(header=header(self.revision), created=True)
        if self.watching is not None:
            async for one in self.watching(create, questions):
                yield one
        await asyncio.Event().wait()

    def _fail(self) -> None:
        if self.refuse:
            raise self.refuse.pop(0)

    def _lose(self) -> None:
        if self.lose_answers:
            self.lose_answers -= 1
            raise Unreachable("the connection is gone")

    def _set(self, put: pb.PutRequest) -> None:
        self.revision += 1
        before = self.keys.get(put.key)
        self.keys[put.key] = pb.KeyValue(
            key=put.key,
            value=put.value,
            create_revision=self.revision if before is None else before.create_revision,
            mod_revision=self.revision,
            version=1 if before is None else before.version + 1,
        )

    def _holds(self, compare: pb.Compare) -> bool:
        kept = self.keys.get(compare.key, pb.KeyValue())
        if compare.target == pb.Compare.CREATE:
            return bool(kept.create_revision == compare.create_revision)
        return bool(kept.mod_revision == compare.mod_revision)

    def services(self) -> tuple[Service, ...]:
        kv, watch = Service(RANGE.service), Service(WATCH.service)
        kv.unary(RANGE, self._range)
        kv.unary(PUT, self._put)
        kv.unary(TXN, self._txn)
        watch.talk(WATCH, self._watch)
        return kv, watch


@asynccontextmanager
async def served(*fakes: FakeEtcd) -> AsyncIterator[None]:
    """Serves each at an address of its own."""
    servers = [RpcServer(one.services(), None, _unexpected) for one in fakes]
    try:
        for one, server in zip(fakes, servers, strict=True):
            one.url = f"http://127.0.0.1:{await server.start('127.0.0.1:0')}"
        yield
    finally:
        await asyncio.gather(*(server.stop(0.0) for server in servers))


def _unexpected(path: str, fault: BaseException) -> None:
    raise AssertionError(f"{path}: {fault!r}") from fault
