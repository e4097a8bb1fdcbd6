"""Strange requests at the S3 door of a running node: one clear answer or an end, no fault of ours, and health after."""

import asyncio
import re
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
import structlog

from regioncache.http.sigv4 import Credentials, Signer
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.flow.journeys import get
from tests.flow.world import FAR, World, topology, world

pytestmark = pytest.mark.anyio
SIZE = 5000
KEY = "/ns/train/k"


@pytest.fixture
async def home(s3: FakeS3) -> AsyncIterator[World]:
    """A node whose S3 door has a domain, with one object in its cache; well at the end, without a fault of ours."""
    s3.bucket("bucket1").put("k", SIZE)
    with structlog.testing.capture_logs() as logs:
        async with world() as regions:
            await regions.start(FAR, domain="s3.localhost")
            await regions.apply(FAR, topology(s3.url, None))
            await regions.admit(FAR)
            assert (await get(regions, "k", region=FAR)).body == ramp(0, SIZE)
            yield regions
            assert (await get(regions, "k", region=FAR)).body == ramp(0, SIZE)
    assert not [log for log in logs if log["log_level"] == "error"]


def host(regions: World) -> str:
    return str(regions.nodes[FAR].running.addresses["s3"])


def presigned(regions: World, at: str = "", method: bytes = b"GET", target: str = KEY) -> bytes:
    """A presigned target, for the Host `at`."""
    assert regions.key is not None
    signer = Signer(Credentials(regions.key.id, regions.key.secret), "us-east-1")
    return signer.presign(method, quote(target).encode(), (at or host(regions)).encode(), regions.wall(), 60)


def request(line: bytes, at: str, *more: bytes) -> bytes:
    return b"\r\n".join([line, b"Host: " + at.encode(), *more, b"", b""])


class Told:
    """What came back on a connection, to its end."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", raw)]
        self.codes = [code.decode() for code in re.findall(rb"<Code>(\w+)</Code>", raw)]


async def talk(regions: World, data: bytes, *, half_close: bool = False) -> Told:
    """Sends bytes and reads until the door ends the connection."""
    at = regions.nodes[FAR].running.addresses["s3"]
    reader, writer = await asyncio.open_connection(at.host, at.port)
    writer.write(data)
    if half_close:
        writer.write_eof()
    try:
        async with asyncio.timeout(30):
            return Told(await reader.read())
    finally:
        writer.close()


CLOSE = b"Connection: close"


@pytest.mark.parametrize("expect", [(), (b"Expect: 100-continue",)], ids=["told", "asked first"])
async def test_an_upload_whose_body_never_comes_is_refused_and_not_asked_for(
    home: World, expect: tuple[bytes, ...]
) -> None:
    line = b"PUT " + presigned(home, method=b"PUT") + b" HTTP/1.1"

    told = await talk(home, request(line, host(home), b"Content-Length: 1000000", *expect))

    assert (told.statuses, told.codes) == ([501], ["NotImplemented"])


async def test_a_read_that_promises_a_body_and_sends_none_is_answered_and_its_connection_ends(home: World) -> None:
    line = b"GET " + presigned(home) + b" HTTP/1.1"

    told = await talk(home, request(line, host(home), b"Content-Length: 100"))

    assert told.statuses == [200]
    assert told.raw.endswith(ramp(0, SIZE))


async def test_a_half_closed_socket_gets_its_hit_whole(home: World) -> None:
    line = b"GET " + presigned(home) + b" HTTP/1.1"

    told = await talk(home, request(line, host(home)), half_close=True)

    assert told.statuses == [200]
    assert told.raw.endswith(ramp(0, SIZE))


async def test_garbage_behind_a_read_is_refused_behind_its_reply(home: World) -> None:
    line = b"GET " + presigned(home) + b" HTTP/1.1"

    told = await talk(home, request(line, host(home)) + b"\0\1\2 garbage\r\n\r\n" + request(line, host(home)))

    assert told.statuses == [200, 400]
    assert ramp(0, SIZE) in told.raw


@pytest.mark.parametrize("keep", [(), (b"Connection: keep-alive",)], ids=["plain", "keep-alive"])
async def test_http_1_0_is_served_once_and_told_that_it_ends(home: World, keep: tuple[bytes, ...]) -> None:
    line = b"GET " + presigned(home) + b" HTTP/1.0"
    twice = request(line, host(home), *keep) * 2

    told = await talk(home, twice)

    assert told.statuses == [200]
    assert b"Connection: close\r\n" in told.raw
    assert told.raw.endswith(ramp(0, SIZE))


async def test_http_1_0_without_a_host_cannot_have_signed_it(home: World) -> None:
    told = await talk(home, b"GET " + presigned(home) + b" HTTP/1.0\r\n\r\n")

    assert (told.statuses, told.codes) == ([403], ["SignatureDoesNotMatch"])


async def test_an_absolute_target_is_read_by_its_own_host_whatever_the_header_says(home: World) -> None:
    line = b"GET http://" + host(home).encode() + presigned(home) + b" HTTP/1.1"
    virtual = b"GET http://ns.s3.localhost" + presigned(home, "ns.s3.localhost", target="/train/k") + b" HTTP/1.1"

    path = await talk(home, request(line, "elsewhere", CLOSE))
    bucket = await talk(home, request(virtual, host(home), CLOSE))

    assert (path.statuses, bucket.statuses) == ([200], [200])
    assert path.raw.endswith(ramp(0, SIZE))
    assert bucket.raw.endswith(ramp(0, SIZE))


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ((b"X-A: b", b" folded"), 400),
        ((b"X-A: b", b"\tfolded"), 400),
        (tuple(b"X-%d: y" % number for number in range(10_000)), 431),
        ((b"X-A: " + b"b" * 100_000,), 431),
        ((b"Host: another",), 400),
        ((b"Content-Length: 5", b"Content-Length: 6"), 400),
        ((b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400),
        ((b"Transfer-Encoding: gzip, chunked",), 501),
        ((b"X-A b",), 400),
        ((b"X-A : b",), 400),
        ((b"X-A: \0",), 400),
    ],
    ids=[
        "folded by a blank", "folded by a tab", "10,000 headers", "a long header", "two hosts", "two lengths",
        "chunks and a length", "a coding in front of chunks", "no colon", "a blank before the colon", "NUL",
    ],
)  # fmt: skip
async def test_a_head_that_is_not_plain_is_refused_once(home: World, more: tuple[bytes, ...], status: int) -> None:
    line = b"GET " + presigned(home) + b" HTTP/1.1"

    told = await talk(home, request(line, host(home), *more) + request(line, host(home)))

    assert told.statuses == [status]


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        bytes(range(256)) * 40,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: h\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
    ],
    ids=["a TLS hello", "noise", "no target", "HTTP/9.9", "HTTP/2", "empty lines"],
)
async def test_what_is_no_request_is_refused_or_ends(home: World, data: bytes) -> None:
    told = await talk(home, data, half_close=True)

    assert len(told.statuses) <= 1
    assert all(400 <= status <= 505 for status in told.statuses)
