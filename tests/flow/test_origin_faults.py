"""The origin's faults, one by one: right bytes or one clear S3 error, never a mixture, no storm, and healthy after.

Each is tried at the bucket's home, where the node asks the bucket, and from another region, through that node.
"""

import asyncio
from collections.abc import Callable

import pytest

from tests.fakes.ramp import ramp
from tests.fakes.s3server import (
    FakeS3,
    S3Fault,
    meanwhile,
    other_range,
    reset,
    short_body,
    stall,
    status,
    whole_to_a_range,
    wrong_etag,
)
from tests.flow.journeys import Got, get, kinds, landed, read
from tests.flow.world import FAR, MIB, NEAR, World, two_regions

pytestmark = pytest.mark.anyio
SIZE = 5 * MIB + 12345
REGIONS = [FAR, NEAR]
MOST_REQUESTS = 3
"""Of one read to one way; a read from another region has two ways, the home's node and the bucket's endpoint."""


@pytest.fixture(autouse=True)
def quick_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent origin is given up soon: the figures are no matter here."""
    monkeypatch.setattr("regioncache.origins.s3.STALL_SECONDS", 0.4)
    monkeypatch.setattr("regioncache.origins.s3.ANSWER_SECONDS", 0.6)
    monkeypatch.setattr("regioncache.origins.s3.QUESTION_SECONDS", 0.6)


async def is_healthy(regions: World, s3: FakeS3, region: str) -> None:
    """Another object is read without a fault, by two requests of the bucket at most."""
    s3.always = None
    await landed(regions)
    s3.bucket("bucket1").put("other", 2 * MIB, shift=77)
    asked = len(s3.heard)

    got = await get(regions, "other", region=region)

    assert (got.status, got.cut, got.body) == (200, False, ramp(0, 2 * MIB, 77))
    assert len(s3.heard) - asked <= 2


def is_right(got: Got, size: int = SIZE, shift: int = 0) -> None:
    assert (got.status, got.cut) == (200, False)
    assert got.body == ramp(0, size, shift)


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize(
    "fault",
    [
        lambda: status(500),
        lambda: status(502),
        lambda: status(504),
        lambda: short_body(2 * MIB + 5),
        lambda: short_body(0),
        reset,
        lambda: reset(0),
        lambda: reset(2 * MIB + 70_000),
        lambda: reset(SIZE - 1),
        lambda: stall(MIB + 3),
        lambda: other_range(MIB),
        lambda: S3Fault(whole=True, moved=0),
        stall,
    ],
    ids=[
        "500",
        "502",
        "504",
        "short body",
        "no body",
        "reset before an answer",
        "reset after the head",
        "reset in the middle",
        "reset at the end",
        "stall in the middle",
        "wrong Content-Range",
        "200 to a ranged request",
        "no answer",
    ],
)
async def test_one_fault_costs_the_reader_nothing(s3: FakeS3, fault: Callable[[], S3Fault], region: str) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with two_regions(s3.url) as regions:
        s3.next(fault())

        is_right(await get(regions, "k", region=region))

        assert s3.count("GET", "k") <= 4
        await is_healthy(regions, s3, region)
        is_right(await get(regions, "k", region=region))


@pytest.mark.parametrize("region", REGIONS)
async def test_200_to_every_ranged_request_is_one_error(s3: FakeS3, region: str) -> None:
    s3.bucket("bucket1").put("k", 300 * MIB)
    async with two_regions(s3.url) as regions:
        s3.always = whole_to_a_range()

        got = await get(regions, "k", (200 * MIB, 200 * MIB + 10), region=region)

        assert (got.status, got.code) == (503, "ServiceUnavailable")
        assert s3.count("GET") <= 2 * MOST_REQUESTS
        assert s3.sent["k"] < 100 * MIB, "what nobody wants is not received"
        await is_healthy(regions, s3, region)


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize(
    "fault",
    [lambda: status(500), lambda: short_body(1000), reset, lambda: other_range(7), stall],
    ids=["500", "short body", "reset", "wrong Content-Range", "no answer"],
)
async def test_a_fault_that_stays_is_one_error_for_all_readers_and_no_storm(
    s3: FakeS3, fault: Callable[[], S3Fault], region: str
) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with two_regions(s3.url) as regions:
        s3.always = fault()

        results = await asyncio.gather(*(get(regions, "k", region=region) for _ in range(8)))

        assert {(got.status, got.code) for got in results} == {(503, "ServiceUnavailable")}
        assert all(got.headers is not None and int(got.headers["retry-after"]) >= 1 for got in results)
        assert s3.count("GET", "k") <= 2 * MOST_REQUESTS
        s3.always = None
        await found_again(regions, region)
        await is_healthy(regions, s3, region)
        is_right(await get(regions, "k", region=region))


async def found_again(regions: World, region: str) -> None:
    """Waits until no way is away any more: silence and resets have taken them."""
    for node in regions.nodes.values():
        while node.running.app.health.away_since():
            await asyncio.sleep(0.05)
    assert region in regions.nodes


@pytest.mark.parametrize("region", REGIONS)
async def test_503_with_retry_after_reaches_the_client(s3: FakeS3, region: str) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with two_regions(s3.url) as regions:
        s3.always = status(503, retry_after="7")

        results = await asyncio.gather(*(get(regions, "k", region=region) for _ in range(8)))

        assert {(got.status, got.code) for got in results} == {(503, "SlowDown")}
        assert {got.headers["retry-after"] for got in results if got.headers} == {"7"}
        assert s3.count("GET") == 1
        await is_healthy(regions, s3, region)


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize(
    ("code", "told"), [(400, (400, "InvalidURI")), (403, (403, "AccessDenied")), (404, (404, "NoSuchKey"))]
)
async def test_400_403_and_404_are_asked_for_once_and_told_as_they_are(
    s3: FakeS3, code: int, told: tuple[int, str], region: str
) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with two_regions(s3.url) as regions:
        s3.always = status(code)

        results = await asyncio.gather(*(get(regions, "k", region=region) for _ in range(8)))
        results.append(await get(regions, "k", region=region))

        assert {(got.status, got.code) for got in results} == {told}
        assert len(s3.heard) == 1
        await is_healthy(regions, s3, region)


@pytest.mark.parametrize("region", REGIONS)
async def test_a_wrong_etag_is_never_mixed_with_the_right_one(s3: FakeS3, region: str) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with two_regions(s3.url) as regions:
        s3.next(wrong_etag())

        got = await get(regions, "k", region=region)

        assert got.body == ramp(0, len(got.body))
        is_right(await get(regions, "k", region=region))
        assert s3.count("GET", "k") <= 5
        await is_healthy(regions, s3, region)


@pytest.mark.parametrize("region", REGIONS)
async def test_a_wrong_etag_for_pages_of_a_known_version_is_not_used(s3: FakeS3, region: str) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with two_regions(s3.url) as regions:
        await get(regions, "k", (0, 10), region=region)
        await landed(regions)
        s3.next(wrong_etag())

        is_right(await get(regions, "k", region=region))

        await is_healthy(regions, s3, region)


@pytest.mark.parametrize("region", REGIONS)
async def test_an_object_overwritten_in_mid_fill_comes_whole_or_short_and_then_new(s3: FakeS3, region: str) -> None:
    bucket = s3.bucket("bucket1")
    size = 70 * MIB
    bucket.put("k", size)
    async with two_regions(s3.url) as regions:
        s3.next(
            S3Fault(),
            meanwhile(MIB, lambda: bucket.put("k", size, shift=9)),
        )
        first = await get(regions, "k", region=region)

        assert first.status == 200
        assert first.body == ramp(0, len(first.body)) or first.body == ramp(0, size, 9)
        assert first.cut == (len(first.body) < size)
        if bucket.objects["k"].shift == 0:
            bucket.put("k", size, shift=9)
        await regions.nodes[region].operations.refresh("/ns/train/k")
        is_right(await get(regions, "k", region=region), size, 9)
        await is_healthy(regions, s3, region)


@pytest.mark.parametrize("region", REGIONS)
async def test_a_broken_reply_over_an_overwritten_object_is_cut_short_and_counted(s3: FakeS3, region: str) -> None:
    bucket = s3.bucket("bucket1")
    bucket.put("k", 20 * MIB)
    async with two_regions(s3.url) as regions:
        await get(regions, "k", (0, 10), region=region)
        await landed(regions)
        s3.next(S3Fault(at=5 * MIB, then=lambda: bucket.put("k", 20 * MIB, shift=9), reset=6 * MIB))

        got = await get(regions, "k", region=region)

        assert got.cut
        assert got.body == ramp(0, len(got.body))
        assert regions.nodes[region].running.app.tally.version_changed == 1
        is_right(await get(regions, "k", region=region), 20 * MIB, 9)


@pytest.mark.parametrize("region", REGIONS)
async def test_an_origin_that_is_away_leaves_what_is_cached_and_refuses_the_rest_at_once(
    s3: FakeS3, region: str
) -> None:
    bucket = s3.bucket("bucket1")
    bucket.put("k", SIZE)
    bucket.put("l", SIZE)
    async with two_regions(s3.url, mount={"consistency": {"max_age": "60s"}}) as regions:
        is_right(await get(regions, "k", region=region))
        await landed(regions)
        asked = len(s3.heard)
        await s3.away()
        regions.ahead = 100.0

        for _ in range(5):
            is_right(await get(regions, "k", region=region))
        results = await asyncio.gather(*(get(regions, "l", region=region) for _ in range(8)))

        assert {(got.status, got.code) for got in results} == {(503, "ServiceUnavailable")}
        assert len(s3.heard) == asked
        await s3.back()
        await found_again(regions, region)
        is_right(await get(regions, "l", region=region))


@pytest.mark.parametrize("region", REGIONS)
async def test_a_failing_list_is_one_error_and_the_next_is_right(s3: FakeS3, region: str) -> None:
    s3.bucket("bucket1").put("k", 1)
    async with two_regions(s3.url) as regions:
        s3.next(*(status(500) for _ in range(1 if region == FAR else 2)))
        with pytest.raises(Exception, match="answered 500"):
            await regions.nodes[region].operations.list("/ns/train", "", 10, True)

        found = await regions.nodes[region].operations.list("/ns/train", "", 10, True)

        assert [name.path for name in found.names] == ["/ns/train/k"]


async def test_with_a_fault_at_every_other_request_every_page_still_crosses_the_line_once(s3: FakeS3) -> None:
    size = 40 * MIB + 3
    s3.bucket("bucket1").put("k", size)
    async with two_regions(s3.url) as regions:
        s3.next(*(fault for n in range(1, 12) for fault in (reset(n * MIB + n * 1000), short_body(2 * MIB))))

        got = await asyncio.gather(*(read(regions, "k", n * MIB, size) for n in range(8)))

        assert all(body == ramp(n * MIB, size) for n, body in enumerate(got))
        counted = kinds(regions)
        assert counted["unique"] == size
        assert counted.get("refetch", 0) == 0
