"""Buckets with pages of different sizes, and a bucket whose page size changes: never a wrong byte."""

import asyncio

import pytest

from gateway.admin.answers import Explanation
from tests.fakes.clock import settle
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3, S3Fault, stall
from tests.flow.journeys import ask, get, landed, read
from tests.flow.world import FAR, MIB, NEAR, World, topology, two_regions, world

pytestmark = pytest.mark.anyio
KIB = 1024
SIZES = (1, 64 * KIB, 200 * KIB, 256 * KIB, 257 * KIB, MIB + 1, 3 * MIB, 17 * MIB + 5)


def two_buckets(origin: str, far: str | None, first: str, second: str) -> dict[str, object]:
    """/ns/train of one page size and /ns/other of another, of two buckets behind one origin."""
    made = topology(origin, far, bucket={"page": first})
    buckets, mounts = made["buckets"], made["mounts"]
    assert isinstance(buckets, dict)
    assert isinstance(mounts, dict)
    buckets["other-bj"] = {**buckets["train-bj"], "bucket": "bucket2", "page": second}
    mounts["/ns/other"] = {"bucket": "other-bj", "consistency": "immutable"}
    return made


async def explained(regions: World, path: str) -> Explanation:
    return await regions.nodes[NEAR].operations.explain(path)


@pytest.mark.parametrize(("first", "second"), [("64KiB", "16MiB"), ("256KiB", "4MiB")])
async def test_two_buckets_with_pages_of_their_own_sizes_are_read_over_two_regions(
    s3: FakeS3, first: str, second: str
) -> None:
    s3.bucket("bucket2")
    for size in SIZES:
        s3.bucket("bucket1").put(f"k{size}", size)
        s3.bucket("bucket2").put(f"k{size}", size)
    async with two_regions(s3.url) as regions:
        far = regions.peer(FAR)
        for region in (FAR, NEAR):
            await regions.apply(region, two_buckets(s3.url, far, first, second))

        for _ in range(2):
            for size in SIZES:
                middle = (size // 3, max(size // 3 + 1, size // 2))
                for mount in ("train", "other"):
                    target, wanted = f"/ns/{mount}/k{size}", b"bytes=%d-%d" % (middle[0], middle[1] - 1)
                    assert (await ask(regions, target, [(b"range", wanted)])).body == ramp(*middle), target
                    assert (await ask(regions, target)).body == ramp(0, size), target
        await landed(regions)

        asked = [await explained(regions, f"/ns/{mount}/k{3 * MIB}") for mount in ("train", "other")]
        assert [(found.pages_held == found.pages, found.page_bytes) for found in asked] == [
            (True, {"64KiB": 64 * KIB, "256KiB": 256 * KIB}[first]),
            (True, {"16MiB": 16 * MIB, "4MiB": 4 * MIB}[second]),
        ]


@pytest.mark.parametrize(
    ("before", "after"), [("1MiB", "64KiB"), ("64KiB", "1MiB"), ("64KiB", "16MiB"), ("4MiB", "1MiB")]
)
async def test_a_bucket_whose_page_size_changes_is_read_right_from_the_next_read_on(
    s3: FakeS3, before: str, after: str
) -> None:
    for size in SIZES:
        s3.bucket("bucket1").put(f"k{size}", size)
    async with world() as regions:
        await regions.start(NEAR)
        await regions.admit(NEAR)
        for page in (before, after, before):
            await regions.apply(NEAR, topology(s3.url, None, bucket={"page": page}))
            for size in SIZES:
                assert await read(regions, f"k{size}", size // 2) == ramp(size // 2, size)
                assert await read(regions, f"k{size}") == ramp(0, size)
            await landed(regions)
            brought = regions.nodes[NEAR].running.app.tally.brought
            for size in SIZES:
                assert await read(regions, f"k{size}") == ramp(0, size)
            assert regions.nodes[NEAR].running.app.tally.brought == brought, "what was read is held"


@pytest.mark.parametrize(
    ("before", "after"), [("1MiB", "64KiB"), ("64KiB", "1MiB"), ("64KiB", "4MiB"), ("4MiB", "256KiB")]
)
async def test_a_page_size_that_changes_under_readers_gives_all_of_them_the_right_bytes(
    s3: FakeS3, before: str, after: str
) -> None:
    size, first = 12 * MIB, 6 * MIB + 64 * KIB
    s3.bucket("bucket1").put("k", size)
    async with world() as regions:
        await regions.start(NEAR)
        await regions.admit(NEAR)
        await regions.apply(NEAR, topology(s3.url, None, bucket={"page": before}))
        held_up = stall(after=2 * MIB)
        s3.next(S3Fault(), held_up)
        early = [asyncio.create_task(get(regions, "k", (0, first)))]
        await held_up.reached.wait()
        early += [asyncio.create_task(get(regions, "k", (at, size))) for at in (3 * MIB, 5 * MIB)]

        await regions.apply(NEAR, topology(s3.url, None, bucket={"page": after}))
        late = [asyncio.create_task(get(regions, "k", (at * MIB + 7, size))) for at in (0, 4, 6, 11)]
        await settle(500)
        held_up.released.set()

        assert [(await task).body for task in early] == [ramp(0, first), ramp(3 * MIB, size), ramp(5 * MIB, size)]
        assert [(await task).body for task in late] == [ramp(at * MIB + 7, size) for at in (0, 4, 6, 11)]
        await landed(regions)
        assert await read(regions, "k") == ramp(0, size)
