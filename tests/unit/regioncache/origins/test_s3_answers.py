"""Answers that no store should give: none of them is used."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from regioncache.errors import BadAnswer, CacheError, KeyRefused, OriginNeedsMending, RangeOutside
from regioncache.http.client import Base, Client
from regioncache.http.messages import Reply
from regioncache.http.server import Server
from regioncache.lines.crossing import NoLine
from regioncache.origins.credentials import unsigned
from regioncache.origins.s3 import S3Origin
from tests.fakes.asking import body, read, want
from tests.fakes.ramp import ramp

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def answering(reply: Reply) -> AsyncIterator[S3Origin]:
    server, client = Server(lambda _: reply), Client()
    host, port = await server.listen(("127.0.0.1", 0))
    try:
        yield S3Origin("the bucket", Base("http", host, port), "data", unsigned, client)
    finally:
        client.close()
        await server.stop(0.0)


GOOD: dict[str, str] = {
    "etag": '"v"',
    "last-modified": "Sun, 13 Sep 2020 12:26:40 GMT",
    "content-range": "bytes 0-9/10",
}


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        ("KeyTooLongError", KeyRefused),
        ("InvalidURI", KeyRefused),
        ("XMinioInvalidObjectName", KeyRefused),
        ("400", KeyRefused),
        ("ExpiredToken", OriginNeedsMending),
        ("AuthorizationHeaderMalformed", BadAnswer),
        ("", BadAnswer),
    ],
)
async def test_a_400_tells_whether_the_key_or_something_else_is_refused(code: str, raised: type[CacheError]) -> None:
    async with answering(Reply(400, body=f"<Error><Code>{code}</Code></Error>".encode())) as origin:
        with pytest.raises(raised) as told:
            await read(origin, want())

    assert told.type is raised


@pytest.mark.parametrize(
    ("code", "body", "changed"),
    [
        (206, ramp(0, 10), {"etag": None}),
        (206, ramp(0, 10), {"last-modified": None}),
        (206, ramp(0, 10), {"last-modified": "yesterday"}),
        (206, ramp(0, 10), {"last-modified": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}),
        (206, ramp(0, 10), {"content-range": "bytes 0-9/" + "9" * 5000}),
        (206, ramp(0, 10), {"content-range": None}),
        (206, ramp(0, 10), {"content-range": "bytes */10"}),
        (206, ramp(0, 10), {"content-range": "bytes 0-9/*"}),
        (206, ramp(0, 10), {"content-range": "bytes 0-9/9"}),
        (206, ramp(0, 10), {"content-range": "bytes 9-0/10"}),
        (206, ramp(0, 10), {"content-range": "bytes 1-10/11"}),
        (206, ramp(0, 10), {"content-range": "pages 0-9/10"}),
        (206, ramp(0, 11), {}),
        (206, ramp(0, 9), {}),
        (200, ramp(0, 2000), {}),
        (200, ramp(0, 10), {"content-encoding": "gzip"}),
        (204, b"", {}),
        (304, b"", {}),
    ],
)
async def test_an_answer_that_the_protocol_does_not_allow_is_not_used(
    code: int, body: bytes, changed: dict[str, Any]
) -> None:
    headers = [(n.encode(), v.encode()) for n, v in {**GOOD, **changed}.items() if v is not None]
    async with answering(Reply(code, headers, body)) as origin:
        with pytest.raises(BadAnswer):
            await read(origin, want(end=1000))


@pytest.mark.parametrize(
    ("date", "at"),
    [("Fri, 31 Dec 9999 23:59:59 -2300", 253_402_300_799.0), ("Mon, 01 Jan 0001 00:00:00 GMT", 0.0)],
)
async def test_a_date_that_cannot_be_said_is_the_nearest_that_can(date: str, at: float) -> None:
    headers = [(n.encode(), v.encode()) for n, v in {**GOOD, "last-modified": date}.items()]
    async with answering(Reply(206, headers, ramp(0, 10))) as origin:
        reading = await origin.read(want(end=1000), NoLine())

        assert reading.meta.last_modified == at
        assert await body(reading) == ramp(0, 10)


async def test_a_size_of_thousands_of_digits_beside_a_416_is_not_read() -> None:
    async with answering(Reply(416, [(b"content-range", b"bytes */" + b"9" * 5000)], b"")) as origin:
        with pytest.raises(RangeOutside) as told:
            await read(origin, want())

    assert told.value.size == 0


async def test_a_chunked_reply_is_exactly_as_long_as_its_range() -> None:
    async def pieces(size: int) -> AsyncIterator[bytes]:
        yield ramp(0, size)

    headers = [(n.encode(), v.encode()) for n, v in GOOD.items()]
    for size, right in ((10, True), (9, False)):
        async with answering(Reply(206, headers, stream=pieces(size))) as origin:
            reading = await origin.read(want(end=1000), NoLine())
            assert (await body(reading) == ramp(0, 10)) == right


async def test_a_chunked_reply_that_goes_on_behind_its_range_is_not_used() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield ramp(0, 10)
        yield b"x"

    headers = [(n.encode(), v.encode()) for n, v in GOOD.items()]
    async with answering(Reply(206, headers, stream=pieces())) as origin:
        reading = await origin.read(want(end=1000), NoLine())
        with pytest.raises(BadAnswer, match="more bytes than the 10"):
            await body(reading)


async def test_a_chunked_reply_that_is_compressed_is_not_used() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield ramp(0, 10)

    headers = [(n.encode(), v.encode()) for n, v in {**GOOD, "content-encoding": "gzip"}.items()]
    async with answering(Reply(206, headers, stream=pieces())) as origin:
        with pytest.raises(BadAnswer, match="compressed"):
            await origin.read(want(end=1000), NoLine())
