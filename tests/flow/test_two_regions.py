"""A region reads another region's bucket: once, right, by the way that is there."""

import asyncio
import math

import pytest

from regioncache.asked import Asked
from regioncache.errors import OriginUnavailable
from regioncache.opened import Terms
from regioncache.origins.base import Payer
from regioncache.pages import WHOLE
from regioncache.peers.wire import MOST_HOPS
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.flow.journeys import get, kinds, landed, read
from tests.flow.world import FAR, LINE, MIB, NEAR, topology, two_regions, world

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("size", [0, 1, 100_000, 256 * 1024 + 1, 3 * MIB + 17, 70 * MIB + 5])
async def test_an_object_crosses_the_line_once_and_is_read_from_the_bucket_once(s3: FakeS3, size: int) -> None:
    s3.bucket("bucket1").put("k", size)
    async with two_regions(s3.url) as regions:
        for _ in range(2):
            got = await get(regions, "k")
            assert (got.status, got.cut) == (200, False)
            assert got.body == ramp(0, size)
            await landed(regions)

        assert s3.sent["k"] == size
        assert kinds(regions).get("unique", 0) == size
        assert set(kinds(regions)) <= {"unique", "meta"}


async def test_fifty_readers_of_random_ranges_move_the_pages_they_touch_once(s3: FakeS3) -> None:
    size = 33 * MIB + 99
    s3.bucket("bucket1").put("k", size)
    async with two_regions(s3.url) as regions:
        spans = [(at * 7_654_321 % size, min(size, at * 7_654_321 % size + 1 + at * 99_991 % MIB)) for at in range(50)]

        got = await asyncio.gather(*(read(regions, "k", start, end) for start, end in spans))
        await landed(regions)

        assert all(body == ramp(*span) for body, span in zip(got, spans, strict=True))
        pages = {page for start, end in spans for page in range(start // MIB, (end - 1) // MIB + 1)}
        touched = sum(min((page + 1) * MIB, size) - page * MIB for page in pages)
        assert s3.sent["k"] == touched
        assert kinds(regions) == {"unique": touched}


async def test_five_kib_out_of_a_hundred_gigabytes_are_one_page_on_the_line_and_at_the_bucket(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", 100 * 10**9)
    at = 87_654_321_000
    async with two_regions(s3.url) as regions:
        got = await get(regions, "k", (at, at + 5120))

        assert got.status == 206
        assert got.body == ramp(at, at + 5120)
        await landed(regions)
        assert s3.sent["k"] == MIB
        assert kinds(regions) == {"unique": MIB}


async def test_the_reply_says_where_the_first_page_came_from(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", 3 * MIB)
    async with two_regions(s3.url) as regions:
        sources = []
        for _ in range(2):
            got = await get(regions, "k")
            assert got.headers is not None
            sources.append(got.headers["x-causeway-source"])
            await landed(regions)

        assert sources == ["line", "page"]


async def test_a_read_that_waits_for_the_line_says_so(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", 2 * MIB)
    s3.bucket("bucket1").put("l", 2 * MIB)
    async with two_regions(s3.url, policy={"lines": {LINE: {"quota": "40Mbps"}}}) as regions:
        await asyncio.gather(get(regions, "k"), get(regions, "l"))
        s3.bucket("bucket1").put("m", 2 * MIB)

        got = await get(regions, "m")

        assert got.headers is not None
        assert got.headers["x-causeway-wait"].startswith(f"line={LINE};class=training;seconds=")


async def test_another_version_is_seen_by_a_region_that_validates_through_its_home(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", 1000)
    async with two_regions(s3.url, mount={"consistency": "validate"}) as regions:
        assert await read(regions, "k") == ramp(0, 1000)
        s3.bucket("bucket1").put("k", 900, shift=4)

        assert await read(regions, "k") == ramp(0, 900, 4)


async def test_if_none_match_goes_through_to_the_bucket_though_both_regions_hold_a_fresh_answer(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", 1000)
    async with two_regions(s3.url, mount={"consistency": {"max_age": "1h"}}) as regions:
        etag = (await get(regions, "k")).headers["etag"]
        assert (await get(regions, "k", none_match=etag)).status == 304
        s3.bucket("bucket1").put("k", 900, shift=4)
        assert (await get(regions, "k")).body == ramp(0, 1000)

        got = await get(regions, "k", none_match=etag)

        assert (got.status, got.body) == (200, ramp(0, 900, 4))
        assert (await get(regions, "k")).body == ramp(0, 900, 4)


async def test_if_none_match_asks_nobody_where_objects_never_change(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", 1000)
    async with two_regions(s3.url) as regions:
        etag = (await get(regions, "k")).headers["etag"]
        asked = len(s3.heard)

        assert (await get(regions, "k", none_match=etag)).status == 304

        assert len(s3.heard) == asked


async def test_a_refresh_goes_through_to_the_bucket(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", 1000)
    async with two_regions(s3.url) as regions:
        assert await read(regions, "k") == ramp(0, 1000)
        s3.bucket("bucket1").put("k", 900, shift=4)
        assert await read(regions, "k") == ramp(0, 1000)

        await regions.nodes[NEAR].operations.refresh("/ns/train/k")

        assert await read(regions, "k") == ramp(0, 900, 4)


async def test_a_cold_read_of_what_the_home_region_knows_asks_the_bucket_nothing(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", 3 * MIB)
    async with two_regions(s3.url, mount={"consistency": {"max_age": "1h"}}) as regions:
        await read(regions, "k", region=FAR)
        await landed(regions)
        asked = len(s3.heard)

        assert await read(regions, "k") == ramp(0, 3 * MIB)

        assert len(s3.heard) == asked


async def test_an_object_overwritten_between_two_reads_never_comes_mixed(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", 3 * MIB)
    async with two_regions(s3.url) as regions:
        assert await read(regions, "k", 0, MIB) == ramp(0, MIB)
        s3.bucket("bucket1").put("k", 3 * MIB, shift=9)

        got = await get(regions, "k")

        if got.cut:
            assert got.body == ramp(0, len(got.body))
            got = await get(regions, "k")
        assert got.body == ramp(0, 3 * MIB, 9)


async def test_keys_that_look_like_paths_are_exactly_those_keys(s3: FakeS3) -> None:
    odd = ["a//b", "a/../b", "./c", "dir/", "sp ace", "pl+us", "per%2fcent", "ü/ñ", "q?x=1&y#z", "x" * 1000]
    for number, key in enumerate(odd):
        s3.bucket("bucket1").put(key, 10, shift=number)
    async with two_regions(s3.url) as regions:
        for number, key in enumerate(odd):
            assert await read(regions, key) == ramp(0, 10, number), key


async def test_a_list_crosses_the_line_and_names_every_key_in_order(s3: FakeS3) -> None:
    keys = sorted([f"d{n % 3}/k{n:03}" for n in range(150)] + ["top"], key=str.encode)
    for key in keys:
        s3.bucket("bucket1").put(key, 1)
    async with two_regions(s3.url) as regions:
        found, after = [], ""
        while True:
            page = await regions.nodes[NEAR].operations.list("/ns/train", after, 40, True)
            found += [name.path.removeprefix("/ns/train/") for name in page.names]
            if page.next_after is None:
                break
            after = page.next_after

        assert found == keys
        assert kinds(regions)["meta"] > 0


# When the home region's node is away.


async def test_without_a_node_at_home_the_endpoint_is_read_over_the_line(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", 3 * MIB)
    async with world() as regions:
        await regions.start(NEAR)
        await regions.apply(NEAR, topology(s3.url, None))
        await regions.admit(NEAR)

        assert (await get(regions, "k")).body == ramp(0, 3 * MIB)

        assert kinds(regions) == {"unique": 3 * MIB}


async def test_a_node_at_home_that_goes_away_is_passed_by_and_found_again(s3: FakeS3) -> None:
    async with two_regions(s3.url) as regions:
        far_peer = regions.peer(FAR)
        for number in range(3):
            s3.bucket("bucket1").put(f"k{number}", 2 * MIB, shift=number)
        assert await read(regions, "k0") == ramp(0, 2 * MIB, 0)

        await regions.stop(FAR)
        assert await read(regions, "k1") == ramp(0, 2 * MIB, 1)
        assert kinds(regions)["unique"] == 4 * MIB

        app = regions.nodes[NEAR].running.app
        assert [name[1] for name in app.health.away_since()] == ["region"]
        await regions.start(FAR, peer=far_peer)
        app.prober.look()
        while app.health.away_since():
            await asyncio.sleep(0.05)

        assert await read(regions, "k2") == ramp(0, 2 * MIB, 2)
        assert regions.nodes[FAR].running.app.tally.brought == 2 * MIB


async def test_everything_away_serves_what_is_cached_and_refuses_the_rest_at_once(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", 3 * MIB)
    s3.bucket("bucket1").put("l", 3 * MIB)
    async with two_regions(s3.url, mount={"consistency": {"max_age": "60s"}}) as regions:
        await read(regions, "k")
        await landed(regions)
        await regions.stop(FAR)
        await s3.away()
        regions.ahead = 100.0

        assert await read(regions, "k") == ramp(0, 3 * MIB)
        got = await get(regions, "l")

        assert (got.status, got.code) == (503, "ServiceUnavailable")
        assert got.headers is not None
        assert int(got.headers["retry-after"]) >= 1


async def test_the_bucket_away_behind_a_living_home_is_stale_there_and_here(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", 1000)
    async with two_regions(s3.url, mount={"consistency": {"max_age": "60s"}}) as regions:
        await read(regions, "k")
        await s3.away()
        regions.ahead = 100.0

        opened = await regions.nodes[NEAR].operations.open("/ns/train/k", WHOLE)

        assert opened.stale_seconds is not None
        assert opened.stale_seconds >= 100
        opened.close()


async def test_the_external_endpoint_is_the_last_way_and_only_where_the_mount_allows_it(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", 1000)
    endpoints = {"internal": "http://127.0.0.1:1", "external": {"url": s3.url, "line": "none"}}
    for allowed in (True, False):
        async with world() as regions:
            await regions.start(NEAR)
            await regions.apply(
                NEAR,
                topology("http://127.0.0.1:1", None, bucket={"endpoints": endpoints}, mount={"external": allowed}),
            )
            if allowed:
                assert await read(regions, "k") == ramp(0, 1000)
            else:
                with pytest.raises(Exception, match=r"away|reached"):
                    await read(regions, "k")


# Loops.


async def test_two_regions_that_take_each_other_for_the_home_run_in_no_loop(s3: FakeS3) -> None:
    """Each was given a topology in which the other is the bucket's home: the bucket's id differs, so both refuse."""
    s3.bucket("bucket1").put("k", 1000)
    async with world() as regions:
        await regions.start(FAR)
        await regions.start(NEAR)
        here = topology(s3.url, regions.peer(FAR), endpoint_line=False)
        there = topology(s3.url, None, endpoint_line=False)
        there["regions"][NEAR]["nodes"] = [regions.peer(NEAR)]  # type: ignore[index]
        there["buckets"]["train-bj"]["region"] = NEAR  # type: ignore[index]
        await regions.apply(NEAR, here)
        await regions.apply(FAR, there)

        with pytest.raises(Exception, match="another topology"):
            await read(regions, "k")
        assert len(s3.heard) == 0


async def test_a_request_over_too_many_nodes_is_refused(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", 1000)
    async with two_regions(s3.url, endpoint_line=False) as regions:
        app = regions.nodes[NEAR].running.app
        place = app.resolver.find("/ns/train/k")
        assert place is not None

        def asked(hops: int) -> Asked:
            return Asked(place, WHOLE, Payer("rec"), Terms(math.inf), ("gpu-7",) * hops)

        assert (await app.cache.refresh(asked(MOST_HOPS - 1))).size == 1000
        with pytest.raises(OriginUnavailable, match="loop"):
            await app.cache.refresh(asked(MOST_HOPS))
