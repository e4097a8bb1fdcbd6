"""The peer port: a stranger gets 403 and no hint; the pair's secret opens what the pair may ask."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from regioncache.http.client import Answer, Ask, Base, Client
from regioncache.http.messages import Header
from regioncache.http.sigv4 import Credentials, Signer
from regioncache.origins.base import ListAsk, Payer
from regioncache.pages import Span
from regioncache.peers.client import SERVICE
from regioncache.peers.proto import HEADER_BYTES, Kind, parse
from regioncache.peers.wire import MOST_HOPS, PeerRequest
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3, stall
from tests.flow.world import FAR, MIB, NEAR, SECRET, World, topology, world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def home(s3: FakeS3) -> AsyncIterator[World]:
    """The home region's node alone, with one object in its bucket."""
    s3.bucket("bucket1").put("k", 200_000)
    async with world() as regions:
        await regions.start(FAR)
        await regions.apply(FAR, topology(s3.url, regions.peer(FAR)))
        yield regions


def asked(regions: World, **more: object) -> PeerRequest:
    bucket = regions.nodes[FAR].running.app.resolver.topology.buckets["train-bj"]
    plain = PeerRequest(
        "read", bucket.name, bucket.id, "k", NEAR, Payer("rec"), ("aws-use1",), 60.0, span=Span(0, 1000)
    )
    return replace(plain, **more)  # type: ignore[arg-type]


def signed(
    regions: World,
    request: PeerRequest,
    *,
    signer: str = NEAR,
    secret: str = SECRET,
    region: str = FAR,
    service: str = SERVICE,
    at: float = 0.0,
    without: bytes = b"",
) -> tuple[bytes, list[Header]]:
    """The target and the headers of a request as a node sends it, or not quite."""
    base = Base.parse(f"http://{regions.peer(FAR)}")
    headers = [(b"host", base.authority), *((n, v) for n, v in request.headers() if n != without)]
    made = Signer(Credentials(signer, secret), region, service).sign(
        b"GET", request.target(), headers, regions.wall() + at
    )
    return request.target(), made + [(n, v) for n, v in request.headers() if n == without]


async def send(regions: World, target: bytes, headers: list[Header]) -> tuple[int, bytes, dict[bytes, bytes]]:
    client = Client()
    try:
        base = Base.parse(f"http://{regions.peer(FAR)}")
        answer = await client.request(Ask(base, b"GET", target, headers))
        try:
            return answer.status, await answer.body(1 << 20), dict(answer.headers)
        finally:
            answer.close()
    finally:
        client.close()


def is_a_strangers(found: tuple[int, bytes, dict[bytes, bytes]]) -> None:
    status, body, headers = found
    assert (status, body) == (403, b"")
    assert not any(name.startswith(b"x-causeway") for name in headers)


async def test_a_pair_reads_with_its_secret(home: World) -> None:
    status, body, _ = await send(home, *signed(home, asked(home)))

    assert status == 200
    head = parse(body[:HEADER_BYTES])
    assert (head.kind, head.offset, head.length) == (Kind.BYTES, 0, 1000)
    assert body[HEADER_BYTES : HEADER_BYTES + 1000] == ramp(0, 1000)
    assert parse(body[-HEADER_BYTES:]).kind == Kind.END


async def test_without_a_signature_nothing_is_told(home: World) -> None:
    is_a_strangers(await send(home, asked(home).target(), asked(home).headers()))
    is_a_strangers(await send(home, b"/", []))
    is_a_strangers(await send(home, b"/causeway/1/read", []))


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "another-secret-of-the-same-length"},
        {"signer": "gpu-rental-7"},
        {"signer": "no such region"},
        {"region": NEAR},
        {"service": "s3"},
        {"at": -20 * 60},
        {"at": 20 * 60},
        *({"without": name} for name, _ in PeerRequest("stat", "b", b"", "k", "r", Payer("t"), ("r",), 0.0).headers()),
    ],
    ids=str,
)
async def test_a_wrong_signature_is_a_strangers(home: World, wrong: dict[str, object]) -> None:
    is_a_strangers(await send(home, *signed(home, asked(home), **wrong)))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [b"x-causeway-tenant", b"x-causeway-class", b"x-causeway-hops", b"x-causeway-region"])
async def test_a_header_changed_on_the_way_is_a_strangers(home: World, name: bytes) -> None:
    target, headers = signed(home, asked(home))
    changed = [(n, b"2" if n == name else value) for n, value in headers]

    is_a_strangers(await send(home, target, changed))


async def test_a_target_changed_on_the_way_is_a_strangers(home: World) -> None:
    target, headers = signed(home, asked(home))

    is_a_strangers(await send(home, target.replace(b"key=k", b"key=l"), headers))


async def test_a_request_in_another_regions_name_is_a_strangers_though_it_is_well_signed(home: World) -> None:
    is_a_strangers(await send(home, *signed(home, asked(home, region=FAR), signer=NEAR)))


async def test_a_stranger_is_told_the_same_whether_the_object_is_there_or_not(home: World) -> None:
    there = await send(home, *signed(home, asked(home), secret="x" * 32))
    nowhere = await send(home, *signed(home, asked(home, key="nowhere"), secret="x" * 32))

    del there[2][b"date"], nowhere[2][b"date"]
    assert there == nowhere


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"hops": ("gpu-7",) * MOST_HOPS}, 200),
        ({"hops": ("gpu-7",) * (MOST_HOPS + 1)}, 503),
        ({"bucket": "unknown"}, 503),
        ({"bucket_id": bytes(16)}, 503),
        ({"key": "nowhere"}, 404),
        ({"span": Span(500_000, 500_001)}, 416),
        ({"version": '"another"'}, 412),
        ({"operation": "stat", "span": None}, 200),
        ({"operation": "list", "span": None, "ask": ListAsk("k")}, 200),
    ],
    ids=str,
)
async def test_what_a_pair_asks_is_answered_or_refused_by_its_reason(
    home: World, more: dict[str, object], status: int
) -> None:
    found = await send(home, *signed(home, asked(home, **more)))

    assert found[0] == status


async def test_a_request_that_no_node_sends_is_told_so_to_a_pair(home: World) -> None:
    base = Base.parse(f"http://{home.peer(FAR)}")
    headers = [(b"host", base.authority), *asked(home).headers()]
    target = b"/causeway/9/read?bucket=train-bj"
    made = Signer(Credentials(NEAR, SECRET), FAR, SERVICE).sign(b"GET", target, headers, home.wall())

    status, body, _ = await send(home, target, made)

    assert status == 400
    assert b"protocol 9" in body


async def test_a_reader_hears_a_beat_while_nothing_lands(
    home: World, s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without beats it would take a far node whose bucket stalls for one that is gone."""
    monkeypatch.setattr("regioncache.peers.framing.BEAT_SECONDS", 0.01)
    s3.bucket("bucket1").put("slow", 2 * MIB)
    slow = stall(MIB)
    s3.next(slow)
    target, headers = signed(home, asked(home, key="slow", span=Span(0, 2 * MIB)))
    client = Client()
    answer = await client.request(Ask(Base.parse(f"http://{home.peer(FAR)}"), b"GET", target, headers))

    body, beats = bytearray(), 0
    while (head := parse(await exactly(answer, HEADER_BYTES))).kind != Kind.END:
        body += await exactly(answer, head.length)
        beats += head.kind == Kind.BEAT
        if beats == 2:
            slow.released.set()
    answer.close()
    client.close()

    assert beats >= 2
    assert body == ramp(0, 2 * MIB)


async def exactly(answer: Answer, nbytes: int) -> bytes:
    """The next so many bytes of an answer."""
    into, got = memoryview(bytearray(nbytes)), 0
    while got < nbytes:
        got += await answer.receive(into[got:])
    return bytes(into)


async def test_a_reader_that_hangs_up_before_its_reply_begins_leaves_no_flight_behind(home: World, s3: FakeS3) -> None:
    s3.bucket("bucket1").put("big", 60 * MIB)
    slow = stall(30 * MIB)
    s3.next(slow)
    request = asked(home, key="big", span=Span(0, 60 * MIB))
    target, headers = signed(home, request)
    client = Client()
    answer = await client.request(Ask(Base.parse(f"http://{home.peer(FAR)}"), b"GET", target, headers))

    answer.close()
    client.close()
    (flight,) = home.nodes[FAR].running.app.flights
    while flight.waiting():
        await asyncio.sleep(0.01)

    assert flight.abandoned
    slow.released.set()
