"""The door for other nodes: signed by the pair's secret, answered in frames. A stranger gets 403 and no hint."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from namespace.resolver import Place
from regioncache.asked import Asked
from regioncache.errors import (
    CacheError,
    KeyRefused,
    NodeStopping,
    NoSuchObject,
    NotGranted,
    NotHeld,
    NotOwner,
    NotSupported,
    OriginForbids,
    OriginNeedsMending,
    OriginUnavailable,
    RangeOutside,
    SlowDown,
    VersionChanged,
)
from regioncache.grants import Granted, Grants
from regioncache.http.claims import SignatureFault, Verifier
from regioncache.http.messages import Buffer, Header, Reply, Request
from regioncache.lists import Lists
from regioncache.opened import Opened, Terms
from regioncache.origins.base import ListAsk, ListPage
from regioncache.pages import EXTENT_BYTES, Meta, Span, Wanted
from regioncache.peers.client import SERVICE
from regioncache.peers.desks import Desk, operation_of, values_of
from regioncache.peers.digests import HEADER, Digests, other_files
from regioncache.peers.framing import Frames
from regioncache.peers.wire import (
    EPOCH,
    FACTS,
    MOST_HOPS,
    PART,
    STANDING,
    SUM,
    VIA,
    BadPeerRequest,
    PeerRequest,
    facts,
    list_body,
    parse_request,
    part_line,
    sum_of,
)
from regioncache.places import Places
from regioncache.service import RegionCache
from regioncache.standing import Standing
from regioncache.tracing import Beginning, Tracing, untraced

SIGNED = (b"x-causeway-region", b"x-causeway-tenant", b"x-causeway-class", b"x-causeway-hops", b"x-causeway-fresh")
"""A request whose signature leaves one of these out is a stranger's: nobody on the way may change who pays."""
Making = Callable[[], Awaitable[Reply]]
"""Makes the reply to a request that was looked at; one that nobody waits for any more is never begun."""


class PeerDoor:
    """Answers other nodes. `secrets` maps a far region (and our own) to the secret that signs between us."""

    def __init__(
        self,
        region: str,
        secrets: Callable[[str], str | None],
        cache: RegionCache,
        lists: Lists,
        places: Places,
        wall: Callable[[], float],
        digests: Digests,
        on_warning: Callable[[str], None],
        *,
        tracing: Tracing = untraced,
    ) -> None:
        """Args: secrets: by far region. places: this region's own, for what others ask for."""
        self._tracing = tracing
        self._digests = digests
        self._on_warning = on_warning
        self._region = region
        self._secrets = secrets
        self._cache = cache
        self._lists = lists
        self._places = places
        self._wall = wall
        self._verifier = Verifier(SERVICE.encode())
        self.desks: dict[str, Desk] = {}
        """Who answers what is no reading, by operation; filled by those who assemble the node."""
        self.epoch: Callable[[], int] = _no_cluster
        """Of the view here, told to other regions with each reply; 0: no cluster."""
        self.grants: Grants | None = None
        """What each region may be told; None: everything, before a node is assembled."""

    async def __call__(self, request: Request) -> Reply:
        """Answers one request; see `Handler`."""
        answer = self.answer(request)
        return answer if isinstance(answer, Reply) else await answer()

    def answer(self, request: Request) -> Reply | Making:
        """The reply to one request, where it is at hand, else who makes it."""
        asked = self._admitted(request)
        if asked is None:
            return Reply(403)
        if self._digests.hear(asked, request.header(HEADER)):
            self._on_warning(other_files(asked))
        try:
            making = self._making(request, asked)
        except (BadPeerRequest, CacheError) as fault:
            making = _refusal(fault)
        return self._headed(making, asked) if isinstance(making, Reply) else partial(self._made, making, asked)

    async def _made(self, making: Making, asked: str) -> Reply:
        try:
            reply = await making()
        except (BadPeerRequest, CacheError) as fault:
            reply = _refusal(fault)
        return self._headed(reply, asked)

    def _headed(self, reply: Reply, asked: str) -> Reply:
        reply.headers = [*reply.headers, (HEADER, self._digests.own.encode()), (SUM, sum_of(_summed(reply)))]
        epoch = self.epoch()
        if epoch and asked != self._region:
            reply.headers.append((EPOCH, b"%d" % epoch))  # whose nodes are others by now is asked for them anew
        return reply

    def _making(self, request: Request, region: str) -> Reply | Making:
        if desk := self.desks.get(operation_of(request.target)):
            return partial(desk, region, values_of(request.target))
        parsed, begin = parse_request(request.target, request.first), self._tracing(request)
        return self._answer(parsed) if begin is None else partial(self._traced, parsed, begin)

    def _admitted(self, request: Request) -> str | None:
        """The region that signed the request, or None."""
        try:
            claim = self._verifier.claim(request)
            if claim is None or claim.expires is not None or claim.signing.region != self._region:
                return None
            secret = self._secrets(claim.key_id)
            if secret is None or any(name not in claim.signing.names for name in SIGNED):
                return None
            if VIA in request.first and VIA not in claim.signing.names:
                return None
            among_members = STANDING in request.first
            if among_members and not {STANDING, EPOCH} <= set(claim.signing.names):
                return None
            if among_members and claim.key_id != self._region:
                return None  # it is for members to say who owns what
            if request.header(b"x-causeway-region") != claim.key_id.encode():
                return None
            self._verifier.check(claim, request, secret, self._wall())
        except SignatureFault:
            return None
        return claim.key_id

    async def _traced(self, parsed: PeerRequest, begin: Beginning) -> Reply:
        """Answers with a stretch of its own in the far reader's trace."""
        payer = parsed.payer
        who = {"causeway.far_region": parsed.region, "causeway.tenant": payer.tenant, "causeway.class": payer.cls}
        trail = begin(f"peer.{parsed.operation}", {**who, "causeway.bucket": parsed.bucket})
        try:
            answer = self._answer(replace(parsed, payer=replace(payer, trail=trail)))
            reply = answer if isinstance(answer, Reply) else await answer()
        except BaseException as fault:
            trail.end(fault)
            raise
        left = reply.done

        def done(nbytes: int) -> None:
            if left is not None:
                left(nbytes)
            trail.note({"causeway.bytes": nbytes})
            trail.end()

        reply.done = done
        return reply

    def _answer(self, parsed: PeerRequest) -> Reply | Making:
        self._check_loop(parsed)
        granted = None if self.grants is None else self.grants.of(parsed.region)
        if granted is not None:
            granted.check(parsed.bucket_id, parsed.key)
        place = self._places.of(parsed.bucket, parsed.key)
        if place is None or place.bucket.id != parsed.bucket_id:
            raise OriginUnavailable(f"region {self._region} has another topology: it knows no such bucket", 5.0)
        terms = self._places.terms(place, parsed.fresh_seconds)
        if parsed.span is None:
            return partial(self._told, parsed, place, terms, granted)
        wanted = Wanted(parsed.span.start, parsed.span.end)
        asked = Asked(place, wanted, parsed.payer, terms, parsed.hops, parsed.version, standing=parsed.standing)
        opened = self._cache.glance(asked)
        return partial(self._read, parsed, asked) if opened is None else self._frames(parsed, opened)

    async def _read(self, parsed: PeerRequest, asked: Asked) -> Reply:
        """Answers a read that is not at hand."""
        await self._admit(asked, asked.wanted.start // EXTENT_BYTES, parsed.epoch)
        return self._frames(parsed, await self._cache.open(asked))

    def _frames(self, parsed: PeerRequest, opened: Opened) -> Reply:
        # A stream that nobody begins to read is not closed by being left.
        head, left = self._head(opened.meta, opened.span), lambda _: opened.close()
        frames = Frames(opened, parsed.frame_bytes)
        return Reply(200, head, stream=frames.stream(), done=left, pull=frames.pull)

    async def _told(self, parsed: PeerRequest, place: Place, terms: Terms, granted: Granted | None) -> Reply:
        """Answers a list or a stat."""
        if parsed.ask is not None:
            page = await self._page(parsed, parsed.ask, place, terms)
            if granted is not None:
                page = granted.page(parsed.bucket_id, parsed.ask.prefix, page)
            return Reply(200, [(b"content-type", b"application/json")], list_body(page))
        asked = Asked(
            place, Wanted(), parsed.payer, terms, parsed.hops, checksums=parsed.checksums, standing=parsed.standing
        )
        await self._admit(asked, 0, parsed.epoch)
        if parsed.part and parsed.version is not None:
            part = await self._cache.parts.find(asked, parsed.version, parsed.part)
            return Reply(200, [(PART, part_line(part))])
        opened = await self._cache.stat(asked)
        return Reply(200, self._head(opened.meta, opened.span))

    def _check_loop(self, parsed: PeerRequest) -> None:
        """Refuses what has been here before: to join its own flight, it would wait for itself."""
        hops = parsed.hops
        if len(hops) > MOST_HOPS:
            raise OriginUnavailable(f"the request came over {len(hops)} regions: the topology sends it in a loop", 5.0)
        if self._region in hops and parsed.region != self._region:
            way = " > ".join((*hops, self._region))
            raise OriginUnavailable(
                f"the request has come over {self._region} before ({way}): the regions' topologies send it in a loop;"
                " apply the same to all",
                5.0,
            )

    async def _page(self, parsed: PeerRequest, ask: ListAsk, place: Place, terms: Terms) -> ListPage:
        owners, of_list = self._cache.owners, (place.bucket.id, ask.prefix, parsed.standing)
        await owners.admit(partial(owners.lists_through, *of_list), parsed.epoch)
        return await self._lists.page(place, ask, parsed.payer, terms, parsed.hops, parsed.standing)

    async def _admit(self, asked: Asked, extent: int, epoch: int) -> None:
        """Raises NotOwner to a member that asks as of the owner, where that is another one by the newer view."""
        if asked.standing is Standing.OWNER:
            owners = self._cache.owners
            await owners.admit(partial(owners.through, asked.oid, extent, asked.standing), epoch)

    def _head(self, meta: Meta, span: Span) -> list[Header]:
        age = max(0.0, self._wall() - meta.learned_at)
        return [(b"content-type", b"application/x-causeway-frames"), (FACTS, facts(meta, span, age))]


def _no_cluster() -> int:
    return 0


def _refusal(fault: BadPeerRequest | CacheError) -> Reply:
    return Reply(400, body=str(fault).encode()) if isinstance(fault, BadPeerRequest) else _fault(fault)


def _summed(reply: Reply) -> Buffer:
    """What of a reply has no frame's checksum."""
    return reply.body or next((value for name, value in reply.headers if name in {FACTS, PART}), b"")


def _fault(fault: CacheError) -> Reply:
    text = str(fault).encode()[:1024]
    match fault:
        case KeyRefused():
            return Reply(400, [(b"x-causeway-fault", b"key")], text)
        case NoSuchObject():
            return Reply(404, body=text)
        case NotGranted():
            return Reply(403, [(b"x-causeway-fault", b"grant")], text)
        case OriginForbids():
            return Reply(403, [(b"x-causeway-fault", b"origin")], text)
        case VersionChanged():
            return Reply(412, body=text)
        case RangeOutside():
            return Reply(416, [(b"x-causeway-size", str(fault.size).encode())], text)
        case NotSupported():
            return Reply(501, body=text)
        case SlowDown():
            return Reply(503, [(b"retry-after", _seconds(fault.retry_after)), (b"x-causeway-fault", b"slow")], text)
        case OriginNeedsMending():
            return Reply(503, [(b"x-causeway-fault", b"mend")], text)
        case OriginUnavailable():
            return _unavailable(fault, text)
        case _:
            return Reply(500, body=text)


def _unavailable(fault: OriginUnavailable, text: bytes) -> Reply:
    match fault:
        case NotHeld():
            return Reply(410, body=text)
        case NotOwner():
            return Reply(421, [(EPOCH, b"%d" % fault.epoch)], text)
        case NodeStopping():
            return Reply(503, [(b"retry-after", b"1"), (b"x-causeway-fault", b"stopping")], text)
        case _:
            return Reply(503, [(b"retry-after", _seconds(fault.retry_after))], text)


def _seconds(seconds: float) -> bytes:
    return str(max(1, round(seconds))).encode()
