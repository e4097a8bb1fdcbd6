"""What three regions say of the newest version, what `explain` says of them, and how a loop between them ends."""

import time

import pytest

from gateway.admin.operations import OperationFault
from regioncache.pages import WHOLE
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.flow.federated import POOL, SHIELD, Federation, federation
from tests.flow.journeys import get, read
from tests.flow.world import FAR, LINE, NEAR, RENTED

pytestmark = pytest.mark.anyio


async def test_validate_goes_through_all_regions_to_the_bucket(s3: FakeS3) -> None:
    async with federation(s3, mount={"consistency": "validate"}) as all_of_them:
        for size in (1000, 2000, 3000):
            s3.bucket("bucket1").put("k", size)

            assert await read(all_of_them.world, "k", region=POOL) == ramp(0, size)


async def test_ages_add_up_over_regions(s3: FakeS3) -> None:
    async with federation(s3, mount={"consistency": {"max_age": "60s"}}) as all_of_them:
        all_of_them.world.stopped = time.time()
        s3.bucket("bucket1").put("k", 1000)
        assert await read(all_of_them.world, "k", region="h1") == ramp(0, 1000)
        all_of_them.world.ahead = 25
        assert await read(all_of_them.world, "k", region="s1") == ramp(0, 1000)
        all_of_them.world.ahead = 50
        assert await read(all_of_them.world, "k", region=POOL) == ramp(0, 1000)
        s3.bucket("bucket1").put("k", 2000)

        all_of_them.world.ahead = 59
        before = await read(all_of_them.world, "k", region=POOL)
        all_of_them.world.ahead = 61
        after = await read(all_of_them.world, "k", region=POOL)

        assert (before, after) == (ramp(0, 1000), ramp(0, 2000))


async def test_a_refresh_in_the_last_region_asks_the_bucket(s3: FakeS3) -> None:
    async with federation(s3) as all_of_them:
        s3.bucket("bucket1").put("k", 1000)
        await read(all_of_them.world, "k", region=POOL)
        s3.bucket("bucket1").put("k", 2000)
        assert await read(all_of_them.world, "k", region=POOL) == ramp(0, 1000)

        await all_of_them.world.nodes[POOL].operations.refresh("/ns/train/k")

        assert await read(all_of_them.world, "k", region=POOL) == ramp(0, 2000)


async def test_if_none_match_is_answered_by_what_the_bucket_has(s3: FakeS3) -> None:
    async with federation(s3, mount={"consistency": "validate"}) as all_of_them:
        s3.bucket("bucket1").put("k", 1000)
        first = await get(all_of_them.world, "k", region=POOL)
        same = await get(all_of_them.world, "k", region=POOL, none_match=first.headers["etag"])
        s3.bucket("bucket1").put("k", 2000)

        changed = await get(all_of_them.world, "k", region=POOL, none_match=first.headers["etag"])

        assert (first.status, same.status, changed.status) == (200, 304, 200)
        assert changed.body == ramp(0, 2000)


async def test_explain_names_the_far_nodes_their_owner_and_who_would_be_asked(s3: FakeS3) -> None:
    async with federation(s3) as all_of_them:
        key = all_of_them.owned_by("s2")
        s3.bucket("bucket1").put(key, 1000)
        await read(all_of_them.world, key, region=POOL)
        await all_of_them.settled()
        explain = all_of_them.world.nodes[POOL].operations.explain

        before = (await explain(f"/ns/train/{key}")).ways[0]
        s2 = next(one for one in all_of_them.far(POOL, NEAR).nodes.everyone() if one.name == "s2")
        all_of_them.far(POOL, NEAR).nodes.failed(s2, all_of_them.world.nodes[POOL].running.app.settings.clock())
        after = (await explain(f"/ns/train/{key}")).ways[0]

        assert (before.region, before.chosen, before.epoch) == (NEAR, True, 2)
        assert [(one.name, one.state, one.owner, one.asked) for one in before.nodes] == [
            ("s1", "up", False, False),
            ("s2", "up", True, True),
        ]
        assert [(one.name, one.state, one.owner, one.asked) for one in after.nodes] == [
            ("s1", "up", False, True),
            ("s2", "away", True, False),
        ]
        assert after.chosen


async def test_a_request_that_comes_back_to_a_region_is_refused_and_goes_on_by_another_way(s3: FakeS3) -> None:
    async with federation(s3) as all_of_them:
        await _loop(all_of_them)
        s3.bucket("bucket1").put("k", 1000)

        assert await read(all_of_them.world, "k", region=POOL) == ramp(0, 1000)

        assert s3.sent["k"] == 1000


async def test_a_loop_without_another_way_is_one_clear_error(s3: FakeS3) -> None:
    async with federation(s3) as all_of_them:
        await _loop(all_of_them, home=False)
        s3.bucket("bucket1").put("k", 1000)

        with pytest.raises(OperationFault, match=f"come over {RENTED} before .{RENTED} > {NEAR} > {RENTED}"):
            await all_of_them.world.nodes[POOL].operations.open("/ns/train/k", WHOLE)


async def _loop(all_of_them: Federation, *, home: bool = True) -> None:
    """By hand: in the files of the shield its parent is the pool, whose parent it is; or it has no way home at all."""
    all_of_them.trust = {}
    await all_of_them.apply()
    for name in SHIELD:
        files = all_of_them.files()
        regions, lines = files["regions"], files["lines"]
        assert isinstance(regions, dict)
        assert isinstance(lines, dict)
        if not home:
            regions[FAR]["nodes"], lines[LINE]["carries"] = [], "public"
        del regions[RENTED]["parent"]
        regions[RENTED]["nodes"] = [all_of_them.world.peer(POOL)]
        regions[NEAR]["parent"] = RENTED
        await all_of_them.world.apply(name, files)
