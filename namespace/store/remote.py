"""The global service keeps the namespace: a node watches it, and goes on with what it has while nobody answers.

Of several addresses one is watched; one that is silent gives way to the next. A change is asked of that one alone: what
nobody answered may have been done.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress

from namespace import contents
from namespace.contents import PublishedNode
from namespace.errors import NamespaceError
from namespace.holding import Holding
from namespace.items import Difference, Garbled, Snapshot, packed, unpacked, unpacked_difference
from namespace.keeping import Adopt, Draft, Known, NamespaceAway
from namespace.keys import AccessKey
from namespace.rpc.calling import Remote
from namespace.rpc.faults import RpcFault
from namespace.rpc.methods import A, Q, Unary
from namespace.sealing import Seal
from namespace.service import methods
from namespace.service.faults import from_call
from namespace.service.proto import namespace_pb2 as pb
from namespace.store.base import PinnedPath, Revision

FIRST_SECONDS = 5.0
"""A start waits so long for the service, and then goes on with what is on disk."""
CALL_SECONDS = 10.0
APPLY_SECONDS = 60.0
"""100,000 mounts are packed, sent and written in some seconds."""
SILENT_SECONDS = 3 * methods.SIGN_SECONDS
AGAIN_SECONDS = 0.5
REFUSED_SECONDS = 10.0
"""Before another look at a namespace that was not taken: it lags for moments, or is another one for hours."""
REACH_SECONDS = 5.0
STALE_SECONDS = 30.0


class RemoteNamespace:
    """`namespace.keeping.Namespace` over addresses of the service, which it closes. Made by `start`.

    Mutable state: the address that is asked first, when it was heard, and why it is not.
    """

    def __init__(
        self,
        region: str,
        remotes: Sequence[Remote],
        holding: Holding,
        seal: Seal | None,
        warn: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        self._region = region
        self._remotes = remotes
        self._holding = holding
        self._seal = seal
        self._warn = warn
        self._clock = clock
        self._first = 0
        self._heard_at = clock()
        self._trouble = ""
        self._answered = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<RemoteNamespace of {self._region}: {self._remotes[self._first].address}, {self._holding!r}>"

    @classmethod
    async def start(
        cls, region: str, remotes: Sequence[Remote], holding: Holding, seal: Seal | None, warn: Callable[[str], None],
        clock: Callable[[], float], *, adopt: Adopt = "",
    ) -> "RemoteNamespace":  # fmt: skip
        """Watches the service; on return the newest namespace is known, or what was on disk if nobody answers.

        Args:
            region: the node's.
            remotes: instances of the service, at least one; closed at the end, whatever happens.
            holding: the node's copy.
            seal: of this region and the service.
            warn: tells an operator.
            clock: monotonic seconds.
            adopt: take what the service has, whatever is on disk; an empty one only where that is said.
        """
        namespace = cls(region, remotes, holding, seal, warn, clock)
        try:
            await holding.restore(adopt)
            namespace._tasks = [asyncio.create_task(namespace._watch()), asyncio.create_task(holding.save())]
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_SECONDS):
                    await namespace._answered.wait()
        except BaseException:
            await namespace.close()
            raise
        return namespace

    def newest(self) -> Known:
        """What is known now."""
        return self._holding.newest()

    async def newer(self, serial: int) -> Known:
        """Waits until something newer than `serial` is known, and returns it."""
        return await self._holding.newer(serial)

    def age_seconds(self) -> float:
        """How long ago the service, and etcd behind it, was heard."""
        return max(0.0, self._clock() - self._heard_at)

    def concern(self) -> str:
        """What an operator should know, in one sentence."""
        if concern := self._holding.concern():
            return concern
        if self._trouble and self.age_seconds() > SILENT_SECONDS:
            away = f"the namespace service is away for {self.age_seconds():.0f} s"
            return f"{away}, what is known goes on: {self._trouble}"
        if self.age_seconds() > STALE_SECONDS:
            return f"the namespace service has not heard its etcd for {self.age_seconds():.0f} s: changes wait"
        return ""

    async def apply(self, draft: Draft) -> Revision:
        """Keeps a draft as the newest revision, for all regions. Raises Superseded, NamespaceAway, NotGranted."""
        self._check_taken()
        pieces = await asyncio.to_thread(_pieces, draft)
        remote = self._remotes[self._first]
        conversation = remote.talk(methods.APPLY)
        try:
            async with asyncio.timeout(APPLY_SECONDS):
                for piece in pieces:
                    await conversation.send(piece, CALL_SECONDS)
                shown = await conversation.receive(APPLY_SECONDS)
        except RpcFault as fault:
            refused = from_call(fault)
            await self._wait_for_another(draft.made_from)
            raise refused from fault
        except TimeoutError as fault:
            raise NamespaceAway("the namespace service takes too long; it may have been done, look first") from fault
        finally:
            await conversation.close()
        if shown is None:
            raise NamespaceAway("the namespace service ended the call; it may have been done, look first")
        await self._reach(shown.serial)
        return Revision(shown.number, shown.author, shown.at, shown.digest)

    async def history(self) -> tuple[Revision, ...]:
        """The revisions that are kept, newest first. Raises NamespaceAway, NotGranted."""
        found = await self._ask(methods.HISTORY, pb.HistoryQuestion(), again=True)
        return tuple(Revision(one.number, one.author, one.at, one.digest) for one in found.revisions)

    async def files(self, number: int) -> Mapping[str, str] | None:
        """The texts of a revision, None if it is not kept. Raises NamespaceAway, NotGranted."""
        content, found = bytearray(), False
        try:
            async for piece in self._fed(pb.FilesQuestion(number=number)):
                found = found or piece.found
                content += piece.content
            return unpacked(bytes(content)) if found else None
        except RpcFault as fault:
            raise from_call(fault) from fault
        except Garbled as wrong:
            raise NamespaceAway(f"revision {number} did not come whole: {wrong}; ask again") from wrong

    async def add_key(self, key: AccessKey, author: str, at: float) -> None:
        """Keeps a key. Raises KeyExists, NamespaceAway, NotGranted."""
        self._check_taken()
        if self._seal is None:
            raise NamespaceError("there is no secret of this region and the namespace service under `secrets`; add it")
        item = contents.key_item(key, self._seal)
        await self._change(methods.ADD_KEY, pb.KeyQuestion(item=item, author=author, at=at))

    async def remove_key(self, name: str, author: str, at: float) -> AccessKey:
        """Removes the key of this name or id. Raises UnknownKey, NamespaceAway, NotGranted."""
        self._check_taken()
        done = await self._change(methods.REMOVE_KEY, pb.NameQuestion(name=name, author=author, at=at))
        return contents.key_shown(done.item)

    async def add_pin(self, pin: PinnedPath) -> None:
        """Keeps a pin of this region; one of the same path gives way to it. Raises NamespaceAway."""
        self._check_taken()
        await self._change(methods.ADD_PIN, pb.PinQuestion(item=contents.pin_item(pin)))

    async def remove_pin(self, path: str, author: str, at: float) -> PinnedPath | None:
        """Removes this region's pin of this very path; None where there is none. Raises NamespaceAway."""
        self._check_taken()
        done = await self._change(methods.REMOVE_PIN, pb.NameQuestion(name=path, author=author, at=at))
        return contents.pin_of(done.item) if done.item else None

    async def publish(self, node: PublishedNode) -> None:
        """Tells all regions of a node of this one; to be told again every `PUBLISH_SECONDS`. Raises NamespaceAway."""
        await self._ask(methods.PUBLISH, pb.NodeQuestion(item=contents.node_item(node)), again=True)

    async def close(self) -> None:
        """Ends what runs for it, and its connections. Safe to call twice."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(OSError):
            await asyncio.to_thread(self._holding.save_now)
        for remote in self._remotes:
            await remote.close()

    async def _watch(self) -> None:
        while True:
            remote = self._remotes[self._first]
            try:
                await self._listen(remote)
                trouble = "" if self._holding.refused else f"{remote.address} ended the watch"
            except RpcFault as fault:
                trouble = str(from_call(fault)) if fault.fields else str(fault)
            except Garbled as wrong:
                trouble = f"{remote.address} sent what cannot be read: {wrong}"
            if trouble and trouble != self._trouble:
                self._warn(f"the namespace service: {trouble}; what is known goes on, and the next address is asked")
            self._trouble = trouble
            self._first = (self._first + 1) % len(self._remotes)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _listen(self, remote: Remote) -> None:
        held = self._holding.snapshot
        question = pb.WatchQuestion()
        if held.cluster and not self._holding.whole_wanted:
            trust = held.items.get(contents.TRUST, "")
            question = pb.WatchQuestion(cluster=held.cluster, serial=held.serial, trust=trust)
        packet, packets = bytearray(), list[bytes]()
        async with remote.feed(methods.WATCH, question) as answers:
            while (news := await answers.receive(SILENT_SECONDS)) is not None:
                self._heard_at = max(self._heard_at, self._clock() - news.age_seconds)
                if self._trouble:
                    self._warn(f"the namespace service answers again: {remote.address}")
                self._trouble = ""
                packet += news.content
                if news.packet_end:
                    packets.append(bytes(packet))
                    packet.clear()
                if news.last:
                    await self._take(news, packets)
                    packets = []
                    if self._holding.refused:
                        # What follows would be differences of what is not held.
                        self._answered.set()
                        await asyncio.sleep(REFUSED_SECONDS)
                        return
                if not packet and not packets:
                    self._answered.set()

    async def _take(self, news: pb.News, packets: list[bytes]) -> None:
        held = self._holding.snapshot
        try:
            if not news.base:
                items: dict[str, str] = {}
                for packet in packets:
                    items |= await asyncio.to_thread(unpacked, packet)
                await self._holding.offer(Snapshot(news.cluster, news.serial, items))
                return
            if (held.cluster, held.serial) != (news.cluster, news.base):
                raise Garbled(f"a difference of serial {news.base} came to one who has {held.serial}")
            changed = Difference()
            for packet in packets:
                changed = changed.then(unpacked_difference(packet))
            await self._holding.offer(held.changed(news.serial, changed), held, changed)
        except Garbled:
            raise
        except (ValueError, NamespaceError) as wrong:
            self._holding.unreadable(wrong)

    async def _fed(self, question: pb.FilesQuestion) -> AsyncIterator[pb.FilesPiece]:
        async with self._remotes[self._first].feed(methods.FILES, question) as answers:
            while (piece := await answers.receive(CALL_SECONDS)) is not None:
                yield piece

    async def _change(self, method: Unary[Q, pb.Done], question: Q) -> pb.Done:
        done = await self._ask(method, question, again=False)
        await self._reach(done.serial)
        return done

    async def _ask(self, method: Unary[Q, A], question: Q, *, again: bool) -> A:
        """Asks the address that is watched; where that does no harm (`again`) the others after it."""
        addresses = [*self._remotes[self._first :], *self._remotes[: self._first]]
        for left, remote in zip(reversed(range(len(addresses))), addresses, strict=True):
            try:
                return await remote.ask(method, question, CALL_SECONDS)
            except RpcFault as fault:
                refused = from_call(fault)
                if not (left and again and isinstance(refused, NamespaceAway)):
                    raise refused from fault
        raise AssertionError("unreachable")

    async def _reach(self, serial: int) -> None:
        """Waits, for seconds, until what is held is no older than `serial`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(REACH_SECONDS):
                while self._holding.snapshot.serial < serial:
                    await self._holding.newer(self._holding.snapshot.serial)

    async def _wait_for_another(self, made_from: int) -> None:
        """Who is told that another revision came between shall see it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(REACH_SECONDS / 5):
                while (known := self.newest()).revision is None or known.revision.number == made_from:
                    await self.newer(known.serial)

    def _check_taken(self) -> None:
        if self._holding.refused:
            raise NamespaceAway(f"nothing was changed: {self._holding.concern()}")


def _pieces(draft: Draft) -> list[pb.ApplyPiece]:
    pieces = []
    for packet in (packed(draft.files), packed(draft.items)):
        for start in range(0, len(packet), methods.PIECE_BYTES):
            content = packet[start : start + methods.PIECE_BYTES]
            piece = pb.ApplyPiece(content=content, packet_end=start + methods.PIECE_BYTES >= len(packet))
            pieces.append(piece)
    pieces[-1].last = True
    for piece in pieces:
        piece.author, piece.at, piece.made_from = draft.author, draft.at, draft.made_from
    return pieces
