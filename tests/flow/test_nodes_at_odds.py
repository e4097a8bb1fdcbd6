"""Nodes at odds over the time of day or their secret: seconds cost nothing, the rest is told, no byte is wrong."""

import pytest

from gateway.admin.operations import Unavailable
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.flow.journeys import get, landed, read
from tests.flow.members import NAMES, cluster
from tests.flow.world import FAR, MIB, two_regions

pytestmark = pytest.mark.anyio
SIZE = 2 * MIB + 17
TWO_DAYS = 2 * 86400.0


@pytest.mark.parametrize("seconds", [5.0, -5.0])
async def test_members_with_clocks_5_seconds_apart_read_as_one_cache(s3: FakeS3, seconds: float) -> None:
    async with cluster(s3, mount={"consistency": {"max_age": "1h"}}) as members:
        members.world.apart |= {"a": seconds, "b": -seconds}
        keys = [members.owned_by(owner, beginning=f"{owner}-") for owner in NAMES]
        for key in keys:
            s3.bucket("bucket1").put(key, SIZE)

        for key in keys:
            assert [await read(members.world, key, region=name) for name in NAMES] == [ramp(0, SIZE)] * 3
        await landed(members.world)

        assert [s3.sent[key] for key in keys] == [SIZE] * 3
        assert members.brought()["unique"] == 3 * SIZE


@pytest.mark.parametrize("seconds", [5.0, -5.0])
async def test_regions_with_clocks_5_seconds_apart_know_the_same_newest(s3: FakeS3, seconds: float) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with two_regions(s3.url, mount={"consistency": {"max_age": "60s"}}) as regions:
        regions.apart[FAR] = seconds
        assert await read(regions, "k") == ramp(0, SIZE)
        await landed(regions)
        assert await read(regions, "k") == ramp(0, SIZE)

        assert s3.sent["k"] == SIZE


@pytest.mark.parametrize("seconds", [TWO_DAYS, -TWO_DAYS])
async def test_a_region_two_days_off_is_told_which_clock_and_cached_reads_go_on(s3: FakeS3, seconds: float) -> None:
    s3.bucket("bucket1").put("known", SIZE)
    s3.bucket("bucket1").put("unknown", SIZE)
    async with two_regions(s3.url, endpoint_line=False) as regions:
        assert await read(regions, "known") == ramp(0, SIZE)
        await landed(regions)
        regions.apart[FAR] = seconds

        assert (await get(regions, "known")).body == ramp(0, SIZE)
        with pytest.raises(Unavailable) as told:
            await read(regions, "unknown")
        refused = await get(regions, "unknown")

        assert "the same secret and the same time of day" in str(told.value)
        assert refused.status == 503
        regions.apart.clear()
        assert await read(regions, "unknown") == ramp(0, SIZE)


async def test_a_member_with_another_secret_is_named_and_what_others_own_is_read(s3: FakeS3) -> None:
    async with cluster(s3, ("a", "b")) as members:
        members.secrets["c"] = "a-secret-that-nobody-else-here-has"
        await members.start("c")
        members.view(*members.known)
        keys = {name: members.owned_by(name) for name in members.known}
        for key in keys.values():
            s3.bucket("bucket1").put(key, SIZE)

        for reader, owner in (("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")):
            assert await read(members.world, keys[owner], region=reader) == ramp(0, SIZE)
        for reader, owner in (("a", "c"), ("b", "c")):
            with pytest.raises(Unavailable, match=r"member c: .*both must have the same secret"):
                await read(members.world, keys[owner], region=reader)

        members.view("a", "b")
        assert await read(members.world, keys["c"], region="a") == ramp(0, SIZE)


@pytest.mark.parametrize("seconds", [TWO_DAYS, -TWO_DAYS])
async def test_a_member_two_days_off_is_named_and_wrong_bytes_are_read_nowhere(s3: FakeS3, seconds: float) -> None:
    async with cluster(s3, ("a", "b")) as members:
        key, own = members.owned_by("b"), members.owned_by("a")
        for one in (key, own):
            s3.bucket("bucket1").put(one, SIZE)
        members.world.apart["b"] = seconds

        assert await read(members.world, own, region="a") == ramp(0, SIZE)
        with pytest.raises(Unavailable) as told:
            await read(members.world, key, region="a")

        assert "the same secret and the same time of day" in str(told.value)
        members.world.apart.clear()
        assert await read(members.world, key, region="a") == ramp(0, SIZE)
