"""Requests between nodes as HTTP carries them: targets, headers and the object's facts as JSON.

`GET /causeway/1/read|stat|list` with the bucket's logical name and id, the exact key and what is asked in the query;
who asks, for whom, over how many nodes and how fresh in headers, and the trace that it belongs to, if any. All of it is
under the signature.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote

from xxhash import xxh3_64_intdigest

from regioncache.errors import BadAnswer
from regioncache.http.messages import Buffer, Header
from regioncache.origins.base import MOST_PARTS, Hops, ListAsk, Listed, ListPage, Part, Payer
from regioncache.pages import Meta, Span, Version
from regioncache.peers.proto import FRAME_BYTES, MOST_FRAME_BYTES, PROTOCOL
from regioncache.standing import Standing

ROOT = "/causeway/"
MOST_HOPS = 4
"""Reader, parent, grandparent, home: a request that came over more regions runs in a loop."""
VIA = b"x-causeway-via"
"""The regions that a request came over, the reader's first. Nodes of the former version tell only how many."""
NAME_BYTES = 128
MOST_TOLD = 16
"""Regions that a request names; one over so many is refused for its loop."""
FACTS = b"x-causeway-object"
PART = b"x-causeway-part"
SUM = b"x-causeway-sum"
"""Of what a reply's head tells, or of its body where that is no frames: what a frame's checksum is to its bytes. Nodes
of the former version send none."""
STANDING = b"x-causeway-as"
"""As what a member asks another one; absent between regions."""
FRAMES = b"x-causeway-frames"
"""The most bytes of a frame that who asks wants; nodes that know no other send `FRAME_BYTES`, and pass it over."""
EPOCH = b"x-causeway-epoch"
"""Of the view that who asks goes by; in an answer 421 that of who was asked."""


class BadPeerRequest(Exception):
    """A request that no node of this or the former version sends (400)."""


@dataclass(frozen=True, slots=True)
class PeerRequest:
    """What one node asks of another. `span`: the bytes wanted (read); `ask`: the list wanted (list).

    Of a stat: `checksums` shall be told; `part`, from 1, is asked for instead of the object, 0 = the object.
    Between members of a region: as what it is asked, and the epoch of the view that who asks goes by.
    """

    operation: str
    bucket: str
    bucket_id: bytes
    key: str
    region: str
    payer: Payer
    hops: Hops
    fresh_seconds: float
    version: Version | None = None
    span: Span | None = None
    ask: ListAsk | None = None
    checksums: bool = False
    part: int = 0
    standing: Standing = Standing.READER
    epoch: int = 0
    frame_bytes: int = FRAME_BYTES

    def target(self) -> bytes:
        """The request line's target."""
        query = {"bucket": self.bucket, "id": self.bucket_id.hex(), "key": self.key}
        if self.span is not None:
            query |= {"start": str(self.span.start), "end": str(self.span.end)}
        if self.version is not None:
            query["version"] = self.version
        if self.checksums:
            query["checksums"] = "1"
        if self.part:
            query["part"] = str(self.part)
        if self.ask is not None:
            query |= {"after": self.ask.after, "delimiter": self.ask.delimiter, "limit": str(self.ask.limit)}
        text = "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(query.items()))
        return f"{ROOT}{PROTOCOL}/{self.operation}?{text}".encode()

    def headers(self) -> list[Header]:
        """The headers that go with it; all are signed."""
        return [
            (b"x-causeway-region", self.region.encode()),
            (b"x-causeway-tenant", quote(self.payer.tenant).encode()),
            (b"x-causeway-class", quote(self.payer.cls).encode()),
            (b"x-causeway-hops", str(len(self.hops)).encode()),
            *([(VIA, ",".join(map(quote, self.hops)).encode())] if self.hops else []),
            (b"x-causeway-fresh", repr(self.fresh_seconds).encode()),
            *self._among_members(),
            *(() if self.payer.trail is None else self.payer.trail.headers()),
        ]

    def _among_members(self) -> list[Header]:
        if self.standing is Standing.READER:
            return []
        among = [(STANDING, self.standing.value.encode()), (EPOCH, b"%d" % self.epoch)]
        return among if self.frame_bytes == FRAME_BYTES else [*among, (FRAMES, b"%d" % self.frame_bytes)]


def parse_request(target: bytes, headers: Mapping[bytes, bytes]) -> PeerRequest:
    """Returns what a target and headers ask; raises BadPeerRequest."""
    try:
        path, _, query = target.decode("ascii").partition("?")
        root, version, operation = path.rsplit("/", 2)
        if root + "/" != ROOT or operation not in {"read", "stat", "list"}:
            raise BadPeerRequest(f"{path} is nothing that a node asks")
        if not PROTOCOL - 1 <= int(version) <= PROTOCOL:
            raise BadPeerRequest(f"protocol {version} is not spoken here; this node speaks {PROTOCOL}")
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=16)
        return _request(operation, dict(pairs), headers)
    except (ValueError, KeyError, UnicodeError) as fault:
        raise BadPeerRequest(f"the request is malformed: {fault}") from fault


def _request(operation: str, values: Mapping[str, str], headers: Mapping[bytes, bytes]) -> PeerRequest:
    fresh = float(headers[b"x-causeway-fresh"])
    hops = _hops(headers)
    if math.isnan(fresh) or fresh < 0:
        raise ValueError("freshness out of bounds")
    span = Span(int(values["start"]), int(values["end"])) if operation == "read" else None
    ask = None
    if operation == "list":
        limit = int(values["limit"])
        if not 1 <= limit <= 1000:
            raise ValueError("a list has 1 to 1,000 keys a page")
        ask = ListAsk(values["key"], values["after"], values["delimiter"], limit)
    return PeerRequest(
        operation,
        values["bucket"],
        bytes.fromhex(values["id"]),
        values["key"],
        headers[b"x-causeway-region"].decode("ascii"),
        Payer(_name(headers[b"x-causeway-tenant"]), _name(headers[b"x-causeway-class"])),
        hops,
        fresh,
        Version(values["version"]) if "version" in values else None,
        span,
        ask,
        values.get("checksums") == "1",
        _part_number(values),
        Standing(headers.get(STANDING, b"").decode("ascii")),
        _epoch(headers.get(EPOCH, b"0")),
        _frame_bytes(headers),
    )


def _hops(headers: Mapping[bytes, bytes]) -> Hops:
    """The regions that a request came over; those that are not told, by a node of the former version, have no name."""
    count = int(headers[b"x-causeway-hops"])
    if not 0 <= count <= 1000:
        raise ValueError("hops out of bounds")
    told = headers.get(VIA)
    if not told:
        return ("",) * count
    hops = tuple(_name(one) for one in told.split(b",", MOST_TOLD))
    if len(hops) != count:
        raise ValueError(f"it came over {count} regions and names {len(hops)}")
    return hops


def _epoch(text: bytes) -> int:
    epoch = int(text)
    if not 0 <= epoch < 1 << 63:
        raise ValueError("an epoch is a revision of etcd")
    return epoch


def _frame_bytes(headers: Mapping[bytes, bytes]) -> int:
    """The largest frames that are wanted, of those that this node makes; a later one may want larger ones."""
    wanted = int(headers.get(FRAMES, b"0")) or FRAME_BYTES
    if wanted < FRAME_BYTES:
        raise ValueError(f"a frame carries up to {FRAME_BYTES} bytes at least")
    return min(wanted, MOST_FRAME_BYTES)


def _part_number(values: Mapping[str, str]) -> int:
    """The part that a stat asks for. A node of the former version passes it over, and is understood by its answer."""
    part = int(values.get("part", "0"))
    if not 0 <= part <= MOST_PARTS or (part and "version" not in values):
        raise ValueError(f"a part is one of 1 to {MOST_PARTS}, of a version")
    return part


def _name(value: bytes) -> str:
    name = unquote(value.decode("ascii"), errors="strict")
    if not name or len(name) > NAME_BYTES:
        raise ValueError("a tenant or class has 1 to 128 characters")
    return name


def facts(meta: Meta, span: Span, age: float) -> bytes:
    """Returns the object's facts for the reply's head: what is sent, of what, how old the knowledge is (seconds)."""
    return json.dumps(
        {
            "version": meta.version,
            "size": meta.size,
            "etag": meta.etag,
            "last_modified": meta.last_modified,
            "content_type": meta.content_type,
            "headers": meta.headers,
            "start": span.start,
            "end": span.end,
            "age": age,
            "settled": meta.settled,
        },
        separators=(",", ":"),
    ).encode("ascii")


def parse_facts(text: bytes, asked_at: float) -> tuple[Meta, Span]:
    """Returns the metadata and the span that a reply's head tells; raises BadAnswer."""
    try:
        value = json.loads(text)
        meta = Meta(
            Version(str(value["version"])),
            int(value["size"]),
            str(value["etag"]),
            float(value["last_modified"]),
            str(value["content_type"]),
            tuple((str(name), str(content)) for name, content in value["headers"]),
            asked_at - max(0.0, float(value["age"])),
            value.get("settled", True) is not False,  # nodes of before know no other
        )
        return meta, Span(int(value["start"]), int(value["end"]))
    except (ValueError, KeyError, TypeError, OverflowError) as fault:
        raise BadAnswer(f"a peer's facts are malformed: {fault}") from fault


def part_line(part: Part) -> bytes:
    """Returns what a reply's head tells of a part: its bytes, half-open, and how many parts there are."""
    return b"%d %d %d" % (part.span.start, part.span.end, part.count)


def parse_part_line(text: bytes) -> Part:
    """Returns the part that a reply's head tells; raises BadAnswer."""
    try:
        start, end, count = map(int, text.split(b" "))
        return Part(Span(start, end), count)
    except ValueError as fault:
        raise BadAnswer(f"what a peer tells of a part is malformed: {fault}") from fault


def sum_of(told: Buffer) -> bytes:
    """Returns the checksum that goes with what is told."""
    return b"%016x" % xxh3_64_intdigest(told)


def check_told(told: Buffer, given: bytes | None, where: str) -> None:
    """Raises BadAnswer where what came is not what was told; without a checksum nothing is known of that."""
    if given is not None and given != sum_of(told):
        raise BadAnswer(f"what {where} told arrived with a flipped bit")


def list_body(page: ListPage) -> bytes:
    """Returns a page of a list as JSON."""
    entries = [(e.key, e.size, e.etag, e.last_modified, e.storage_class) for e in page.entries]
    value = {"entries": entries, "prefixes": page.prefixes, "next_after": page.next_after, "age": page.age}
    return json.dumps(value, separators=(",", ":")).encode()


def parse_list_body(body: bytes) -> ListPage:
    """Returns the page that the JSON holds; raises BadAnswer."""
    try:
        value = json.loads(body)
        entries = tuple(Listed(str(k), int(s), str(e), float(m), str(c)) for k, s, e, m, c in value["entries"])
        after = value["next_after"]
        return ListPage(
            entries,
            tuple(map(str, value["prefixes"])),
            None if after is None else str(after),
            max(0.0, float(value["age"])),
        )
    except (ValueError, KeyError, TypeError, OverflowError) as fault:
        raise BadAnswer(f"a peer's list is malformed: {fault}") from fault
