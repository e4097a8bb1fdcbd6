"""Origins that are slow, redirect, refuse our credentials or our clock, send too much: what the reader gets.

Beside `test_origin_faults`: these are no faults of one request, and most last until somebody mends them.
"""

import asyncio

import pytest

from regioncache.pages import BLOCK_BYTES, WHOLE
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3, S3Fault, long_body, refused, slow, stall, status
from tests.flow.journeys import Got, get, landed
from tests.flow.world import FAR, MIB, NEAR, topology, two_regions, world

pytestmark = pytest.mark.anyio
SIZE = 5 * MIB + 12345
REGIONS = [FAR, NEAR]


def is_right(got: Got, size: int = SIZE, shift: int = 0) -> None:
    assert (got.status, got.cut) == (200, False)
    assert got.body == ramp(0, size, shift)


@pytest.mark.parametrize("region", REGIONS)
async def test_what_has_come_of_a_slow_body_is_served_before_the_rest_by_one_request(s3: FakeS3, region: str) -> None:
    s3.bucket("bucket1").put("k", MIB)
    async with two_regions(s3.url) as regions:
        slow = stall(2 * BLOCK_BYTES)
        s3.next(slow)
        node = regions.nodes[region]

        opened = await node.operations.open("/ns/train/k", WHOLE)
        pieces = opened.stream()
        came = bytes(await anext(pieces))

        assert not slow.released.is_set(), "the origin has not sent the rest"
        slow.released.set()
        body = came + b"".join([bytes(piece) async for piece in pieces])
        assert body == ramp(0, MIB)
        assert s3.count("GET", "k") == 1


@pytest.mark.parametrize("region", REGIONS)
async def test_an_origin_of_10_kb_a_second_is_slow_and_not_silent_and_is_asked_once_by_all(
    s3: FakeS3, region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regioncache.origins.s3.STALL_SECONDS", 2.0)  # less than the whole takes
    s3.bucket("bucket1").put("k", 25_000)
    async with two_regions(s3.url) as regions:
        s3.always = slow(10_000)

        readers = await asyncio.gather(*(get(regions, "k", region=region) for _ in range(8)))

        for got in readers:
            is_right(got, 25_000)
        assert s3.count("GET", "k") == 1
        ways = regions.nodes[region].running.app.sources.statistics()
        assert [way.away_seconds for way in ways] == [None] * len(ways)


@pytest.mark.parametrize("region", REGIONS)
async def test_an_answer_that_is_late_is_waited_for(s3: FakeS3, region: str) -> None:
    s3.bucket("bucket1").put("k", MIB)
    async with two_regions(s3.url) as regions:
        late = stall()
        s3.next(late)
        readers = [asyncio.create_task(get(regions, "k", region=region)) for _ in range(8)]
        await late.reached.wait()

        late.released.set()

        for got in await asyncio.gather(*readers):
            is_right(got, MIB)
        assert s3.count("GET", "k") == 1


@pytest.mark.parametrize("region", REGIONS)
async def test_a_body_longer_than_it_said_harms_neither_this_read_nor_the_next(s3: FakeS3, region: str) -> None:
    bucket = s3.bucket("bucket1")
    bucket.put("k", SIZE)
    bucket.put("l", SIZE, shift=5)
    async with two_regions(s3.url) as regions:
        s3.always = long_body(70_000)

        is_right(await get(regions, "k", region=region))
        is_right(await get(regions, "l", region=region), shift=5)


@pytest.mark.parametrize("region", REGIONS)
async def test_a_redirect_within_the_host_costs_the_reader_nothing(s3: FakeS3, region: str) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with two_regions(s3.url) as regions:
        s3.next(status(307, location=f"{s3.url}/bucket1/k"))

        is_right(await get(regions, "k", region=region))


LASTING = {
    "a redirect elsewhere": status(301, location="http://elsewhere.example.com/bucket1/k"),
    "expired credentials": refused(400, "ExpiredToken"),
    "an unknown key": refused(403, "InvalidAccessKeyId"),
    "clocks apart": refused(403, "RequestTimeTooSkewed"),
}


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("fault", LASTING.values(), ids=LASTING)
async def test_what_an_operator_must_mend_is_one_clear_error_and_what_is_cached_is_served(
    s3: FakeS3, fault: S3Fault, region: str
) -> None:
    bucket = s3.bucket("bucket1")
    bucket.put("cached", SIZE)
    bucket.put("k", SIZE)
    async with two_regions(s3.url, mount={"consistency": {"max_age": "60s"}}) as regions:
        is_right(await get(regions, "cached", region=region))
        await landed(regions)
        regions.ahead = 100.0
        s3.always = fault
        asked = len(s3.heard)

        refusals = await asyncio.gather(*(get(regions, "k", region=region) for _ in range(8)))

        assert {(got.status, got.code) for got in refusals} == {(403, "AccessDenied")}
        assert len(s3.heard) - asked <= 2, "one question by each way"
        for _ in range(3):
            is_right(await get(regions, "cached", region=region))
        s3.always = None


async def test_credentials_that_are_renewed_in_their_file_mend_reads_without_a_restart(
    s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regioncache.origins.s3.REFUSED_SECONDS", 0.0)
    monkeypatch.setattr("regioncache.origins.credentials.REFUSED_SECONDS", 0.0)
    s3.bucket("bucket1").put("k", SIZE)
    async with world() as made:
        secret = made.folder / "bucket.key"
        secret.write_text("OLDKEY:secret")
        await made.start(FAR)
        document = topology(s3.url, made.peer(FAR), bucket={"credentials": {"file": str(secret)}})
        await made.apply(FAR, document)
        await made.admit(FAR)
        assert (await get(made, "nowhere", region=FAR)).status == 404
        s3.next(refused(400, "ExpiredToken"))
        secret.write_text("NEWKEY:secret")

        is_right(await get(made, "k", region=FAR))

        signed = [one.headers["authorization"].partition("Credential=")[2].partition("/")[0] for one in s3.heard]
        assert signed == ["OLDKEY", "OLDKEY", "NEWKEY"]


@pytest.mark.parametrize("region", REGIONS)
async def test_a_clock_that_goes_back_two_days_leaves_reads_right_and_asks_what_is_not_sure(
    s3: FakeS3, region: str
) -> None:
    bucket = s3.bucket("bucket1")
    bucket.put("k", SIZE)
    async with two_regions(s3.url, mount={"consistency": {"max_age": "60s"}}) as regions:
        is_right(await get(regions, "k", region=region))
        await landed(regions)
        bucket.put("k", SIZE, shift=9)

        regions.ahead = -2 * 86400.0

        is_right(await get(regions, "k", region=region), shift=9)
        regions.ahead = 0.0
        is_right(await get(regions, "k", region=region), shift=9)
