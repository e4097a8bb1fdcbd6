"""The service: answers what regions ask, each with what is its own to see and to do.

It knows who calls by the call's signature. Only trusted regions change the namespace; a granted one pins in its own
cache and tells of its own nodes.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from namespace import contents
from namespace.errors import NamespaceError
from namespace.items import Difference, Garbled, Snapshot, unpacked
from namespace.keeping import Draft, NotGranted
from namespace.rpc.faults import RpcFault, Wrong
from namespace.rpc.methods import A, Q
from namespace.rpc.serving import Caller, Service
from namespace.service import methods, sights
from namespace.service.faults import to_call
from namespace.service.feeds import Feeds, Fresh, Seen
from namespace.service.proto import namespace_pb2 as pb
from namespace.service.publishing import Publishing
from namespace.service.sights import Seals
from namespace.store.base import Revision
from namespace.store.etcdstore import EtcdStore

BEHIND_SECONDS = 5.0
"""Who was told newer things by another instance waits so long for this one to hear them too."""
MOST_APPLY_BYTES = 64 << 20
"""Of an apply, packed: a hundred times what 100,000 mounts take."""


class NamespaceService:
    """The handlers, over a namespace in etcd that somebody else follows."""

    def __init__(
        self,
        store: EtcdStore,
        publishing: Publishing,
        seals: Callable[[str], Seals],
        served: frozenset[str],
    ) -> None:
        """`seals` are those of a region; `served` the regions that may ask at all."""
        self._store = store
        self._publishing = publishing
        self._seals = seals
        self._served = served
        self._feeds = Feeds(seals)
        self._feeds.take(store.snapshot, None)
        self._newer = asyncio.Event()
        self._leaving = False
        self.watching = 0
        store.on_change(self._heard)

    def __repr__(self) -> str:
        return f"<NamespaceService: {self.watching} watch, {self._store!r}>"

    def service(self) -> Service:
        """What a server is given."""
        offered = Service(methods.SERVICE)
        offered.feed(methods.WATCH, self.watch)
        offered.talk(methods.APPLY, self.apply)
        offered.unary(methods.HISTORY, self._told(self.history))
        offered.feed(methods.FILES, self.files)
        offered.unary(methods.ADD_KEY, self._told(self.add_key))
        offered.unary(methods.REMOVE_KEY, self._told(self.remove_key))
        offered.unary(methods.ADD_PIN, self._told(self.add_pin))
        offered.unary(methods.REMOVE_PIN, self._told(self.remove_pin))
        offered.unary(methods.PUBLISH, self._told(self.publish))
        return offered

    def leave(self) -> None:
        """Ends all watches: who watches goes on at another instance, and a stop need not wait for them."""
        self._leaving = True
        self._newer.set()

    async def watch(self, question: pb.WatchQuestion, caller: Caller) -> AsyncIterator[pb.News]:
        """All news, from what the caller has on; a sign of life where there is none."""
        self._check_served(caller)
        seen = Seen()
        if question.cluster and question.cluster == self._feeds.snapshot.cluster:
            trust = question.trust
            seen = Seen(question.serial, trust if trust in {"full", "granted"} else None)  # type: ignore[arg-type]
            await self._reached(question.serial)
        self.watching += 1
        try:
            while not self._leaving:
                snapshot = self._feeds.snapshot
                if not snapshot.cluster or (snapshot.serial == seen.serial and seen.trust is not None):
                    yield self._sign(snapshot)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(methods.SIGN_SECONDS):
                            await self._newer.wait()
                    continue
                try:
                    fresh = self._feeds.since(caller.region, seen)
                except NamespaceError as fault:
                    raise to_call(fault) from fault
                for message in self._messages(snapshot, fresh):
                    yield message
                seen = fresh.seen
        finally:
            self.watching -= 1

    async def apply(self, pieces: AsyncIterator[pb.ApplyPiece], caller: Caller) -> AsyncIterator[pb.RevisionShown]:
        """Puts files in force."""
        try:
            try:
                self._check_trusted(caller)
            except (NamespaceError, RpcFault):
                await _heard_out(pieces)
                raise
            draft = await _draft(pieces, caller)
            revision = await self._store.apply(draft)
            yield self._shown(revision)
            await self._store.tidy()
        except NamespaceError as fault:
            raise to_call(fault) from fault

    async def history(self, _question: pb.HistoryQuestion, caller: Caller) -> pb.History:
        """The revisions that are kept."""
        self._check_trusted(caller)
        return pb.History(revisions=[self._shown(one) for one in await self._store.history()])

    async def files(self, question: pb.FilesQuestion, caller: Caller) -> AsyncIterator[pb.FilesPiece]:
        """The texts of a revision, packed."""
        try:
            self._check_trusted(caller)
            content = await self._store.packed_files(question.number)
        except NamespaceError as fault:
            raise to_call(fault) from fault
        if content is None:
            yield pb.FilesPiece(found=False)
            return
        for start in range(0, len(content), methods.PIECE_BYTES):
            yield pb.FilesPiece(found=True, content=content[start : start + methods.PIECE_BYTES])

    async def add_key(self, question: pb.KeyQuestion, caller: Caller) -> pb.Done:
        """Keeps a key, sealed anew as all keys in etcd are."""
        self._check_trusted(caller)
        seals = self._seals(caller.region)
        if seals.opening is None or seals.closing is None:
            raise NamespaceError("the namespace service has no seal: name one in its node.yaml, as namespace.seal")
        item = contents.resealed(question.item, seals.closing, seals.opening)
        await self._store.add_key(item, _author(question.author, caller), question.at)
        return self._done()

    async def remove_key(self, question: pb.NameQuestion, caller: Caller) -> pb.Done:
        """Removes a key: it is refused in every region that watches, at once."""
        self._check_trusted(caller)
        removed = await self._store.remove_key(question.name, _author(question.author, caller), question.at)
        return self._done(removed)

    async def add_pin(self, question: pb.PinQuestion, caller: Caller) -> pb.Done:
        """Keeps a pin of the caller's region."""
        self._check_served(caller)
        pin = contents.pin_of(question.item)
        name = contents.pin_name(caller.region, pin.path)
        await self._store.put_item(name, contents.pin_item(pin), _author(pin.author, caller), pin.at)
        return self._done()

    async def remove_pin(self, question: pb.NameQuestion, caller: Caller) -> pb.Done:
        """Removes a pin of the caller's region."""
        self._check_served(caller)
        name = contents.pin_name(caller.region, question.name)
        return self._done(await self._store.remove_item(name, _author(question.author, caller), question.at) or "")

    async def publish(self, question: pb.NodeQuestion, caller: Caller) -> pb.Done:
        """A node of the caller's region tells of itself."""
        self._check_served(caller)
        node = contents.node_of(question.item)
        if node.region != caller.region:
            raise NotGranted(f"a node of {caller.region!r} cannot tell of one of {node.region!r}")
        await self._publishing.tell(question.item)
        return self._done()

    def _told(self, handler: Callable[[Q, Caller], Awaitable[A]]) -> Callable[[Q, Caller], Awaitable[A]]:
        async def answer(question: Q, caller: Caller) -> A:
            try:
                return await handler(question, caller)
            except NamespaceError as fault:
                raise to_call(fault) from fault

        return answer

    async def _heard(self, snapshot: Snapshot, _before: Snapshot | None, changed: Difference | None) -> None:
        self._feeds.take(snapshot, changed)
        self._newer.set()
        self._newer = asyncio.Event()

    async def _reached(self, serial: int) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(BEHIND_SECONDS):
                while self._feeds.snapshot.serial < serial:
                    await self._newer.wait()

    def _check_served(self, caller: Caller) -> None:
        if caller.region not in self._served:
            remedy = "add it to namespace.regions in the service's node.yaml"
            raise to_call(NotGranted(f"region {caller.region!r} is not served here: {remedy}"))

    def _check_trusted(self, caller: Caller) -> None:
        self._check_served(caller)
        trust = sights.trust_of(self._feeds.snapshot.items, caller.region)
        if trust == "granted":
            raise NotGranted(f"region {caller.region!r} is granted: the namespace is changed from a trusted region")
        if trust == "unknown":
            raise NotGranted(
                f"region {caller.region!r} is not in the topology: change it from a region that is, by `causeway apply`"
            )

    def _messages(self, snapshot: Snapshot, fresh: Fresh) -> list[pb.News]:
        messages = []
        for packet in fresh.packets:
            for start in range(0, len(packet), methods.PIECE_BYTES):
                news = self._sign(snapshot)
                news.base, news.content = fresh.base, packet[start : start + methods.PIECE_BYTES]
                news.packet_end = start + methods.PIECE_BYTES >= len(packet)
                messages.append(news)
        messages[-1].last = True
        return messages

    def _sign(self, snapshot: Snapshot) -> pb.News:
        return pb.News(cluster=snapshot.cluster, serial=snapshot.serial, age_seconds=self._store.age_seconds())

    def _shown(self, revision: Revision) -> pb.RevisionShown:
        one = revision
        serial = self._store.snapshot.serial
        return pb.RevisionShown(number=one.number, author=one.author, at=one.at, digest=one.digest, serial=serial)

    def _done(self, item: str = "") -> pb.Done:
        return pb.Done(serial=self._store.snapshot.serial, item=item)


async def _heard_out(pieces: AsyncIterator[pb.ApplyPiece]) -> None:
    """Reads what the caller still sends, before it is refused.

    A message that meets a call which has ended is a fault of its own to gRPC, and ours is lost.
    """
    total = 0
    async for piece in pieces:
        total += len(piece.content)
        if piece.last or total > MOST_APPLY_BYTES:
            return


async def _draft(pieces: AsyncIterator[pb.ApplyPiece], caller: Caller) -> Draft:
    packets, packet, total = list[dict[str, str]](), bytearray(), 0
    async for piece in pieces:
        total += len(piece.content)
        if total > MOST_APPLY_BYTES:
            raise Wrong(f"the files have more than {MOST_APPLY_BYTES >> 20} MiB, packed; leave some out")
        packet += piece.content
        if piece.packet_end:
            try:
                packets.append(await asyncio.to_thread(unpacked, bytes(packet)))
            except Garbled as wrong:
                raise Wrong(f"the files did not come whole: {wrong}") from wrong
            packet.clear()
        if piece.last:
            if len(packets) != 2:
                break
            return Draft(packets[0], packets[1], _author(piece.author, caller), piece.at, piece.made_from)
    raise Wrong("the files did not come whole; apply them again")


def _author(said: str, caller: Caller) -> str:
    return f"{said} of {caller.region}"
