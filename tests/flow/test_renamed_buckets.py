"""A bucket that is renamed, or moves to another endpoint, while it is read: what is under way, and what comes after."""

import asyncio
import json
from collections.abc import Callable

import pytest

from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3, S3Fault, reset, stall
from tests.flow.journeys import Got, get, landed
from tests.flow.world import FAR, MIB, NEAR, World, topology, two_regions

pytestmark = pytest.mark.anyio
SIZE = 5 * MIB + 77
REGIONS = [FAR, NEAR]
Document = dict[str, object]


def renamed(document: Document) -> Document:
    """The logical bucket under another name, mounted where it was."""
    found: Document = json.loads(json.dumps(document).replace('"train-bj"', '"train-beijing"'))
    return found


async def apply(regions: World, origin: str, change: Callable[[Document], Document], *where: str) -> None:
    document = change(topology(origin, regions.peer(FAR)))
    for region in where:
        await regions.apply(region, document)


def same(document: Document) -> Document:
    return document


def is_right(got: Got, size: int = SIZE, shift: int = 0) -> None:
    assert (got.status, got.cut) == (200, False)
    assert got.body == ramp(0, size, shift)


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("order", [(FAR, NEAR), (NEAR, FAR)], ids=["home first", "home last"])
async def test_a_bucket_that_is_renamed_in_mid_read_costs_no_reader_a_byte(
    s3: FakeS3, region: str, order: tuple[str, str]
) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with two_regions(s3.url) as regions:
        held = stall(MIB // 2)
        s3.next(held)
        under_way = [asyncio.create_task(get(regions, "k", region=region)) for _ in range(4)]
        await held.reached.wait()

        for each in order:
            await apply(regions, s3.url, renamed, each)
            is_right(await get(regions, "k", region=region))

        held.released.set()
        for got in await asyncio.gather(*under_way):
            is_right(got)
        await landed(regions)
        is_right(await get(regions, "k", region=region))


@pytest.mark.parametrize("region", REGIONS)
async def test_a_read_whose_connection_breaks_after_a_rename_goes_on_as_it_began(s3: FakeS3, region: str) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with two_regions(s3.url) as regions:
        held = S3Fault(stall=MIB // 2, reset=2 * MIB)
        s3.next(held)
        under_way = asyncio.create_task(get(regions, "k", region=region))
        await held.reached.wait()

        await apply(regions, s3.url, renamed, FAR, NEAR)
        held.released.set()

        is_right(await under_way)


@pytest.mark.parametrize("region", REGIONS)
async def test_a_bucket_that_moves_to_another_endpoint_is_read_there_at_once(s3: FakeS3, region: str) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with FakeS3() as moved, two_regions(s3.url) as regions:
        moved.bucket("bucket1").put("k", SIZE)
        moved.bucket("bucket1").put("l", SIZE, shift=3)
        held = stall(MIB // 2)
        s3.next(held)
        under_way = asyncio.create_task(get(regions, "k", region=region))
        await held.reached.wait()

        await apply(regions, moved.url, same, FAR, NEAR)

        is_right(await get(regions, "l", region=region), shift=3)
        held.released.set()
        is_right(await under_way)
        assert s3.count("GET", "l") == 0


@pytest.mark.parametrize("region", REGIONS)
async def test_where_the_old_endpoint_dies_in_mid_read_the_reply_is_right_or_cut_short_and_the_next_is_right(
    s3: FakeS3, region: str
) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with FakeS3() as moved, two_regions(s3.url) as regions:
        moved.bucket("bucket1").objects.update(s3.bucket("bucket1").objects)
        held = S3Fault(stall=MIB // 2, reset=2 * MIB)
        s3.next(held)
        s3.always = reset()
        under_way = asyncio.create_task(get(regions, "k", region=region))
        await held.reached.wait()
        await apply(regions, moved.url, same, FAR, NEAR)
        held.released.set()

        got = await under_way

        assert got.status in {200, 503}
        assert got.body == ramp(0, len(got.body))
        assert got.cut == (got.status == 200 and len(got.body) < SIZE)
        is_right(await get(regions, "k", region=region))
