"""Reads from a far region's node: one signed request, a reply in frames, each checked before it is handed on."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from regioncache.errors import (
    BadAnswer,
    CacheError,
    KeyRefused,
    NodeStopping,
    NoSuchObject,
    NotGranted,
    NotHeld,
    NotOwner,
    NotSupported,
    OriginBusy,
    OriginForbids,
    OriginNeedsMending,
    OriginTried,
    OriginUnavailable,
    RangeOutside,
    VersionChanged,
)
from regioncache.http.canonical import SigningKeys
from regioncache.http.client import Answer, Ask, Base, Client
from regioncache.http.faults import HttpFault
from regioncache.http.sigv4 import Credentials, Signer
from regioncache.lines.base import Crossing
from regioncache.origins.asking import mapped, meta_body, send
from regioncache.origins.base import ListAsk, ListPage, Part, Question, Reading, Want
from regioncache.pages import Meta, Span, Version
from regioncache.peers.digests import HEADER, Digests, other_files
from regioncache.peers.proto import (
    FRAME_BYTES,
    HEADER_BYTES,
    MOST_FRAME_BYTES,
    SILENCE_SECONDS,
    Head,
    Kind,
    check,
    parse,
)
from regioncache.peers.wire import (
    EPOCH,
    FACTS,
    MOST_HOPS,
    PART,
    SUM,
    PeerRequest,
    check_told,
    parse_facts,
    parse_list_body,
    parse_part_line,
)
from regioncache.standing import Standing

SERVICE = "causeway"
ANSWER_SECONDS = 28.0
"""A far node answers when the first page is there; its own reader gives up after 25 s."""
QUESTION_SECONDS = 4.0
"""For stat: the far node asks its origin, which has 2 s."""
LIST_SECONDS = 12.0
"""For a list: the far node gives its origin 10 s."""
HOP_SECONDS = 0.5
"""A node waits so much longer than the one that it asks, and half of it where that is a member of its own region: who
asks must hear what became of it. A read needs none of it: each hop's reader gives up after 25 s."""
LIST_BYTES = 16 * 1024 * 1024
ERROR_BYTES = 4096
MOST_DIGITS = 18
"""Of an epoch."""
_FORBIDS = {b"origin": OriginForbids, b"grant": NotGranted}


@dataclass(frozen=True, slots=True)
class PeerSource:
    """A bucket as another node serves it: a far region's, or a member of our own region, asked by its `standing`.

    `epoch` tells, for a member, which view this node goes by.
    """

    name: str
    base: Base
    bucket: str
    bucket_id: bytes
    region: str
    far_region: str
    secret: Callable[[], str]
    client: Client
    digests: Digests
    on_warning: Callable[[str], None]
    wall: Callable[[], float] = time.time
    keys: SigningKeys = field(default_factory=SigningKeys, repr=False)
    standing: Standing = Standing.READER
    epoch: Callable[[], int] | None = None
    heard: Callable[[int], None] | None = None
    """Told of the epoch of a far region's view where a reply tells one."""

    async def read(self, want: Want, crossing: Crossing) -> Reading:
        """Asks for a span; see `Source.read`."""
        asked_at = 0.0
        request = self._request(
            "read", Question(want.key, want.payer, want.hops, want.fresh_seconds), version=want.version, span=want.span
        )

        async def ask() -> Ask:
            nonlocal asked_at
            asked_at = self.wall()
            return self._ask(request, ANSWER_SECONDS)

        known = want.version is not None
        answer = await self._send(await ask(), crossing, len(want.span), known=known, anew=ask)
        try:
            if answer.status != 200:
                raise await self._fault(answer, crossing, want.key)
            meta, span = parse_facts(self._told(answer, FACTS), asked_at)
            if span != want.span.within(Span(0, meta.size)):
                raise BadAnswer(f"{self.name} sends bytes {span.start}-{span.end} instead of those asked")
            return FramedReading(answer, crossing, meta, span, self.name)
        except BaseException:
            answer.close()
            raise

    async def head(self, question: Question, crossing: Crossing) -> Meta:
        """Asks for the newest version; see `Source.head`."""
        asked_at = self.wall()
        request = self._request("stat", question)
        answer = await self._send(self._ask(request, self._patience(QUESTION_SECONDS, question)), crossing, 0)
        try:
            if answer.status != 200:
                raise await self._fault(answer, crossing, question.key)
            await meta_body(answer, crossing, ERROR_BYTES, self.name)
            return parse_facts(self._told(answer, FACTS), asked_at)[0]
        finally:
            answer.close()

    async def part(self, question: Question, number: int, version: Version, crossing: Crossing) -> Part:
        """Asks for a part; see `PartSource.part`."""
        request = self._request("stat", question, version=version, part=number)
        answer = await self._send(self._ask(request, self._patience(QUESTION_SECONDS, question)), crossing, 0)
        try:
            if answer.status != 200:
                raise await self._fault(answer, crossing, question.key)
            await meta_body(answer, crossing, ERROR_BYTES, self.name)
            if answer.header(PART) is None:
                raise NotSupported(f"{self.name} tells no parts; its node is of an earlier version")
            return parse_part_line(self._told(answer, PART))
        finally:
            answer.close()

    async def list(self, ask: ListAsk, question: Question, crossing: Crossing) -> ListPage:
        """Asks for a page of a list; see `Source.list`."""
        request = self._request("list", replace(question, key=ask.prefix), ask=ask)
        answer = await self._send(self._ask(request, self._patience(LIST_SECONDS, question)), crossing, 0)
        try:
            if answer.status != 200:
                raise await self._fault(answer, crossing, ask.prefix)
            body = await meta_body(answer, crossing, LIST_BYTES, self.name)
            check_told(body, answer.header(SUM), self.name)
            return parse_list_body(body)
        finally:
            answer.close()

    def _patience(self, least: float, question: Question) -> float:
        """How long to wait for an answer: the farther the reader is from here, the less."""
        left = max(0, MOST_HOPS - len(question.hops)) * HOP_SECONDS
        return least + left + (HOP_SECONDS / 2 if self.epoch is not None else 0.0)

    def _told(self, answer: Answer, name: bytes) -> bytes:
        told = answer.header(name) or b""
        check_told(told, answer.header(SUM), self.name)
        return told

    async def _send(
        self,
        ask: Ask,
        crossing: Crossing,
        length: int,
        *,
        known: bool = True,
        anew: Callable[[], Awaitable[Ask]] | None = None,
    ) -> Answer:
        answer = await send(self.client, ask, crossing, length, known=known, anew=anew)
        if self.digests.hear(self.far_region, answer.header(HEADER)):
            self.on_warning(other_files(self.far_region))
        epoch = answer.header(EPOCH)
        if self.heard is not None and epoch is not None and epoch.isdigit() and len(epoch) <= MOST_DIGITS:
            self.heard(int(epoch))
        return answer

    def _request(
        self,
        operation: str,
        question: Question,
        *,
        version: Version | None = None,
        span: Span | None = None,
        ask: ListAsk | None = None,
        part: int = 0,
    ) -> PeerRequest:
        return PeerRequest(
            operation,
            self.bucket,
            self.bucket_id,
            question.key,
            self.region,
            question.payer,
            # From region to region: within one, the standing keeps it from running in a loop.
            question.hops if self.epoch is not None else (*question.hops, self.region),
            question.fresh_seconds,
            version,
            span,
            ask,
            question.checksums,
            part,
            self.standing,
            0 if self.epoch is None else self.epoch(),
            FRAME_BYTES if self.standing is Standing.READER else MOST_FRAME_BYTES,
        )

    def _ask(self, request: PeerRequest, answer_seconds: float) -> Ask:
        target = request.target()
        signer = Signer(Credentials(self.region, self.secret()), self.far_region, SERVICE, self.keys)
        headers = signer.sign(
            b"GET",
            target,
            [(b"host", self.base.authority), (HEADER, self.digests.own.encode()), *request.headers()],
            self.wall(),
        )
        return Ask(self.base, b"GET", target, headers, answer_seconds=answer_seconds, stall_seconds=SILENCE_SECONDS)

    async def _fault(self, answer: Answer, crossing: Crossing, key: str) -> CacheError:
        text = (await meta_body(answer, crossing, ERROR_BYTES, self.name)).decode("utf-8", "replace")
        where = f"{self.name}: {key!r}: {text}" if text else f"{self.name}: {key!r}"
        retry_after = answer.header(b"retry-after") or b"1"
        seconds = min(float(retry_after), 60.0) if retry_after.isdigit() else 1.0
        match answer.status:
            case 404:
                return NoSuchObject(where)
            case 400 if answer.header(b"x-causeway-fault") == b"key":
                return KeyRefused(where)
            case 403:
                return _refused(answer.header(b"x-causeway-fault") or b"", where, seconds)
            case 412:
                return VersionChanged(where)
            case 410:
                return NotHeld(where)
            case 421:
                epoch = answer.header(EPOCH) or b"0"
                return NotOwner(where, int(epoch) if epoch.isdigit() else 0)
            case 416:
                size = answer.header(b"x-causeway-size") or b"0"
                return RangeOutside(int(size) if size.isdigit() else 0)
            case 501:
                return NotSupported(where)
            case 503 if answer.header(b"x-causeway-fault") == b"slow":
                return OriginBusy(where, seconds)
            case 503 if answer.header(b"x-causeway-fault") == b"stopping":
                return NodeStopping(where, seconds)
            case 503 if answer.header(b"x-causeway-fault") == b"mend":
                return OriginNeedsMending(where)
            case status:
                return OriginTried(f"{where} (status {status})", seconds)


def _refused(fault: bytes, where: str, seconds: float) -> CacheError:
    """Of a 403: what the far side was refused, or that it takes this node for a stranger, to whom it says no more."""
    if forbids := _FORBIDS.get(fault):
        return forbids(where)
    return OriginTried(
        f"{where}: it refuses us as a stranger; both must have the same secret and the same time of day", seconds
    )


@dataclass(slots=True)
class FramedReading:
    """A reply in frames. Whole frames are handed on, checked; a receiver's buffer holds at least one."""

    answer: Answer
    crossing: Crossing
    meta: Meta
    span: Span
    where: str
    _at: int = -1
    _in_hand: int = 0
    """Bytes of a frame that is not whole yet, or not checked."""
    _header: memoryview = field(default_factory=lambda: memoryview(bytearray(HEADER_BYTES)))
    _payload: bytearray = field(default_factory=bytearray)
    _ready: memoryview = field(default=memoryview(b""))

    def __post_init__(self) -> None:
        self._at = self.span.start
        self.crossing.learned(len(self.span))

    async def receive(self, into: memoryview) -> int:
        """Reads the next bytes; see `Reading.receive`."""
        while not len(self._ready):
            if self._at == self.span.end:
                return 0
            head = await self._next_head()
            if head.kind == Kind.FAULT:
                text = bytearray(head.length)
                await self._unpaid(memoryview(text))
                raise OriginTried(f"{self.where}: {text.decode('utf-8', 'replace')}")
            if head.kind == Kind.END:
                raise OriginUnavailable(f"{self.where} ended {self.span.end - self._at} bytes short")
            if head.kind == Kind.BYTES:
                await self._frame(head, into)
                if len(into) >= head.length:
                    return head.length
        got = min(len(into), len(self._ready))
        into[:got] = self._ready[:got]
        self._ready = self._ready[got:]
        return got

    def close(self) -> None:
        self.answer.close()

    async def _frame(self, head: Head, into: memoryview) -> None:
        """Receives one frame's payload, straight into the reader's buffer where it fits."""
        if head.offset != self._at or not 0 < head.length <= self.span.end - self._at:
            raise BadAnswer(f"{self.where} sent {head.length} bytes at {head.offset}, expected at {self._at}")
        direct = len(into) >= head.length
        if not direct and len(self._payload) < head.length:
            self._payload = bytearray(head.length)
        payload = into[: head.length] if direct else memoryview(self._payload)[: head.length]
        try:
            await self._paid(payload)
            check(head, payload)
        except BaseException as fault:
            # Nothing of it is handed on: it comes again, unless nobody wants it any more.
            self.crossing.spoil(self._in_hand, "retry" if isinstance(fault, CacheError) else "over_read")
            raise
        finally:
            self._in_hand = 0
        self._at += head.length
        if not direct:
            self._ready = payload
        if self._at == self.span.end:
            await self._finish()

    async def _finish(self) -> None:
        """Reads the end frame and the body's end, so that the connection can be kept."""
        while (head := await self._next_head()).kind == Kind.BEAT:
            continue
        if head.kind != Kind.END:
            raise BadAnswer(f"{self.where} sent more than was asked")
        if await self._receive(self._header):
            raise BadAnswer(f"{self.where} sent bytes behind its end")

    async def _next_head(self) -> Head:
        await self._unpaid(self._header)
        return parse(self._header)

    async def _unpaid(self, into: memoryview) -> None:
        """Fills `into` with what frames are made of beside their payload."""
        got = 0
        while got < len(into):
            got += self._some(await self._receive(into[got:]))

    async def _paid(self, into: memoryview) -> None:
        """Fills `into` with payload, no faster than the line has room."""
        got, crossing = 0, self.crossing
        while got < len(into):
            room = crossing.ready(len(into) - got) or await crossing.room(len(into) - got)
            received = self._some(await self._receive(into[got : got + room]))
            crossing.read(received)
            self._in_hand += received
            got += received

    def _some(self, received: int) -> int:
        if not received:
            raise OriginUnavailable(f"{self.where} broke off at byte {self._at} of {self.span.end}")
        return received

    async def _receive(self, into: memoryview) -> int:
        try:
            return self.answer.take(into) or await self.answer.receive(into)
        except HttpFault as fault:
            raise mapped(fault, self.where) from fault
