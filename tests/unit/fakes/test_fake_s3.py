import asyncio
import http.client
from collections.abc import AsyncIterator

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ResponseStreamingError

from tests.fakes.ramp import is_ramp
from tests.fakes.s3server import FakeS3, meanwhile, reset, short_body, stall, status, whole_to_a_range, wrong_etag
from tests.real.lab.s3 import s3_client

pytestmark = pytest.mark.anyio


@pytest.fixture
async def s3() -> AsyncIterator[FakeS3]:
    async with FakeS3() as server:
        server.bucket("data").put("k", 300_000)
        server.bucket("data").put("big", 100 * 10**9)
        yield server


async def ask(s3: FakeS3, operation: str, **more: object) -> dict:
    def call() -> dict:
        client = s3_client(s3.url, "a", "s")
        try:
            answer = getattr(client, operation)(Bucket="data", **more)
            if "Body" in answer:
                try:
                    answer["Read"] = answer["Body"].read()
                finally:
                    answer["Body"].close()
            return answer
        finally:
            client.close()

    return await asyncio.to_thread(call)


async def test_it_serves_ranges_conditions_and_lists(s3: FakeS3):
    start = 99 * 10**9
    got = await ask(s3, "get_object", Key="big", Range=f"bytes={start}-{start + 99_999}")
    assert is_ramp(got["Read"], start)
    assert got["ContentRange"] == f"bytes {start}-{start + 99_999}/100000000000"
    assert s3.sent == {"big": 100_000}
    with pytest.raises(ClientError, match="PreconditionFailed"):
        await ask(s3, "get_object", Key="k", IfMatch='"other"')
    with pytest.raises(ClientError, match="InvalidRange"):
        await ask(s3, "get_object", Key="k", Range="bytes=300000-")
    assert (await ask(s3, "head_object", Key="k"))["ContentLength"] == 300_000
    listed = await ask(s3, "list_objects_v2", MaxKeys=1)
    assert [one["Key"] for one in listed["Contents"]] == ["big"]
    listed = await ask(s3, "list_objects_v2", ContinuationToken=listed["NextContinuationToken"])
    assert [one["Key"] for one in listed["Contents"]] == ["k"]


@pytest.mark.parametrize(
    ("fault", "raised", "words"),
    [
        (status(500), ClientError, "InternalError"),
        (status(503, retry_after="2"), ClientError, "SlowDown"),
        (status(403), ClientError, "AccessDenied"),
        (status(404), ClientError, "NoSuchKey"),
        (short_body(1000), ResponseStreamingError, "1000 bytes read"),
        (reset(70_000), ResponseStreamingError, "reset"),
        (reset(), ConnectionClosedError, "closed"),
    ],
)
async def test_a_fault_strikes_one_request_and_the_next_goes_well(s3: FakeS3, fault, raised, words: str):
    s3.next(fault)
    with pytest.raises(raised, match=words):
        await ask(s3, "get_object", Key="k")

    assert is_ramp((await ask(s3, "get_object", Key="k"))["Read"], 0)


async def test_answers_that_break_the_protocol(s3: FakeS3):
    s3.next(wrong_etag(), whole_to_a_range())

    assert "not-the-etag" in (await ask(s3, "get_object", Key="k"))["ETag"]
    got = await ask(s3, "get_object", Key="k", Range="bytes=5-9")
    assert (got["ResponseMetadata"]["HTTPStatusCode"], len(got["Read"])) == (200, 300_000)


async def test_an_overwrite_in_the_middle_leaves_the_answer_under_way_whole(s3: FakeS3):
    s3.next(meanwhile(100_000, lambda: s3.bucket("data").put("k", 300_000, shift=9)))

    assert is_ramp((await ask(s3, "get_object", Key="k"))["Read"], 0)
    assert is_ramp((await ask(s3, "get_object", Key="k"))["Read"], 0, shift=9)


async def test_a_stall_goes_on_when_released(s3: FakeS3):
    fault = stall(100_000)
    s3.next(fault)

    reading = asyncio.create_task(ask(s3, "get_object", Key="k"))
    await fault.reached.wait()
    assert s3.sent["k"] == 100_000
    fault.released.set()

    assert is_ramp((await reading)["Read"], 0)


async def test_it_goes_away_and_comes_back(s3: FakeS3):
    await s3.away()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(http.client.HTTPConnection("127.0.0.1", s3.port).connect)

    await s3.back()

    assert (await ask(s3, "head_object", Key="k"))["ContentLength"] == 300_000
