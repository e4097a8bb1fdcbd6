"""An object's bytes through the admin port: what was asked, whole, or visibly cut."""

import aiohttp
import pytest

from regioncache.errors import OriginUnavailable
from tests.fakes.ramp import ramp
from tests.unit.gateway.admin.conftest import Port

pytestmark = pytest.mark.anyio

SIZE = 1_000_000
OBJECT = "/api/v1/object?path=/ns/train/a"


async def read(port: Port, asked: str | None = None) -> tuple[int, bytes, str | None]:
    headers = {} if asked is None else {"Range": asked}
    async with port.session.get(port.url + OBJECT, headers=headers) as reply:
        return reply.status, await reply.read(), reply.headers.get("Content-Range")


async def test_the_whole_object_is_sent(port: Port) -> None:
    assert await read(port) == (200, ramp(0, SIZE), None)


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=300000-", 300_000, SIZE),
        ("bytes=-7", SIZE - 7, SIZE),
        ("bytes=5-99999999", 5, SIZE),
    ],
)
async def test_a_range_is_sent(port: Port, asked: str, start: int, end: int) -> None:
    assert await read(port, asked) == (206, ramp(start, end), f"bytes {start}-{end - 1}/{SIZE}")


async def test_a_range_outside_the_object_is_416(port: Port) -> None:
    status, _, _ = await read(port, f"bytes={SIZE}-")

    assert status == 416


@pytest.mark.parametrize("asked", ["bytes=a-b", "bytes=5-1", "pages=1-2", "bytes=1-2,4-5"])
async def test_what_is_no_range_is_refused(port: Port, asked: str) -> None:
    status, _, _ = await read(port, asked)

    assert status == 400
    assert port.operations.asked == []


async def test_an_empty_object_is_sent(port: Port) -> None:
    port.operations.sizes = {"/ns/train/a": 0}

    assert await read(port) == (200, b"", None)


@pytest.mark.parametrize("fault", [None, OriginUnavailable("the origin is away")])
async def test_a_reply_that_cannot_be_finished_is_cut(port: Port, fault: Exception | None) -> None:
    port.operations.ends_at, port.operations.stream_fault = 500_000, fault

    with pytest.raises(aiohttp.ClientError):
        await read(port)

    assert [opening.closed for opening in port.operations.openings] == [1]


async def test_every_opening_is_closed(port: Port) -> None:
    await read(port)
    await read(port, "bytes=1-5")

    assert [opening.closed for opening in port.operations.openings] == [1, 1]
