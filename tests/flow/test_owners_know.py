"""What members know of objects: the key owner knows the newest version, and what it is told holds everywhere."""

import asyncio

import pytest

from regioncache.http.client import Ask, Base, Client
from regioncache.http.sigv4 import Credentials, Signer
from regioncache.peers.client import SERVICE
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.flow.journeys import ask, get, landed, read
from tests.flow.members import NAMES, Cluster, cluster
from tests.flow.world import FAR, MIB, NEAR, SECRET

pytestmark = pytest.mark.anyio
LATER = {"mount": {"consistency": {"max_age": "1h"}}}
VALIDATED = {"mount": {"consistency": "validate"}}


async def everywhere(members: Cluster, key: str) -> list[bytes]:
    return [await read(members.world, key, region=name) for name in NAMES]


async def test_a_refresh_at_any_member_is_in_force_at_all(s3: FakeS3) -> None:
    async with cluster(s3, **LATER) as members:
        for name in NAMES:
            key = members.owned_by("a", beginning=name)
            s3.bucket("bucket1").put(key, 2 * MIB)
            await everywhere(members, key)
            await landed(members.world)
            s3.bucket("bucket1").put(key, 2 * MIB, shift=3)
            assert await everywhere(members, key) == [ramp(0, 2 * MIB)] * 3

            refreshed = await members.world.nodes[name].operations.refresh(f"/ns/train/{key}")

            assert refreshed.untold == ()
            assert await everywhere(members, key) == [ramp(0, 2 * MIB, shift=3)] * 3
            await landed(members.world)


async def test_a_refresh_of_a_prefix_is_in_force_at_all(s3: FakeS3) -> None:
    async with cluster(s3, **LATER) as members:
        keys = [f"day/{n}" for n in range(6)]
        for key in keys:
            s3.bucket("bucket1").put(key, 1000)
            await everywhere(members, key)
        await landed(members.world)
        for key in keys:
            s3.bucket("bucket1").put(key, 1000, shift=1)

        await members.world.nodes["b"].operations.refresh("/ns/train/day")

        for key in keys:
            assert await everywhere(members, key) == [ramp(0, 1000, shift=1)] * 3


async def test_a_refresh_names_the_members_that_could_not_be_told(s3: FakeS3) -> None:
    async with cluster(s3, **LATER) as members:
        await members.kill("c")

        refreshed = await members.world.nodes["a"].operations.refresh("/ns/train/day/")

        assert refreshed.untold == ("c",)


async def test_a_version_is_asked_for_once_whoever_wants_to_know(s3: FakeS3) -> None:
    async with cluster(s3, **LATER) as members:
        for name in NAMES:
            key = members.owned_by(name)
            s3.bucket("bucket1").put(key, 3 * MIB)

            answers = [await ask(members.world, f"/ns/train/{key}", method=b"HEAD", region=one) for one in NAMES]

            assert [one.status for one in answers] == [200] * 3
            assert s3.count("HEAD", key) == 1


async def test_what_is_not_there_is_asked_for_once(s3: FakeS3) -> None:
    async with cluster(s3, **LATER) as members:
        for name in NAMES:
            key = members.owned_by(name)

            answers = await asyncio.gather(*(get(members.world, key, region=one) for one in NAMES))

            assert [(one.status, one.code) for one in answers] == [(404, "NoSuchKey")] * 3
            assert s3.count("GET", key) == 1


async def test_a_validated_object_is_asked_for_at_the_origin_at_each_open(s3: FakeS3) -> None:
    async with cluster(s3, **VALIDATED) as members:
        key = members.owned_by("a")
        for shift in range(3):
            s3.bucket("bucket1").put(key, 2 * MIB, shift=shift)
            assert await everywhere(members, key) == [ramp(0, 2 * MIB, shift=shift)] * 3
            await landed(members.world)


async def test_pages_of_lists_are_asked_for_once_and_refreshed_from_anywhere(s3: FakeS3) -> None:
    async with cluster(s3, **LATER) as members:
        for key in ("day/1", "day/2"):
            s3.bucket("bucket1").put(key, 10)
        for asked, shown in ((1, 2), (2, 3)):
            for name in NAMES:
                listing = await members.world.nodes[name].operations.list("/ns/train/day", "", 100, False)
                assert len(listing.names) == shown
            assert sum(not one.place[1] for one in s3.heard) == asked
            s3.bucket("bucket1").put("day/3", 10)
            for name in (FAR, "c"):
                await members.world.nodes[name].operations.refresh("/ns/train/day")


async def test_what_members_hold_is_served_when_the_origin_is_away_and_its_owner_is_new(s3: FakeS3) -> None:
    async with cluster(s3, **LATER) as members:
        members.view("a")
        keys = [f"k{n}" for n in range(6)]
        for key in keys:
            s3.bucket("bucket1").put(key, 2 * MIB)
            await read(members.world, key, region="a")
        await landed(members.world)
        await s3.away()
        members.view(*NAMES)

        for key in keys:
            assert await everywhere(members, key) == [ramp(0, 2 * MIB)] * 3


async def test_what_any_member_holds_is_served_when_the_origin_is_away(s3: FakeS3) -> None:
    names = (*NAMES, "d", "e")
    async with cluster(s3, names, **LATER) as members:
        members.view("a")
        keys = [f"k{n}" for n in range(12)]
        for key in keys:
            s3.bucket("bucket1").put(key, 2 * MIB)
            await read(members.world, key, region="a")
        await landed(members.world)
        await s3.away()
        await members.world.stop(FAR)
        members.view(*names)

        for key in keys:
            heads = await ask(members.world, f"/ns/train/{key}", method=b"HEAD", region="d")
            assert heads.status == 200
            assert await read(members.world, key, region="c") == ramp(0, 2 * MIB)


async def test_a_node_of_another_region_may_ask_any_member(s3: FakeS3) -> None:
    async with cluster(s3) as members:
        key = members.owned_by("a")
        s3.bucket("bucket1").put(key, 2 * MIB)

        status, body = await _of_far_region(members, "b", "read", {"key": key, "start": "0", "end": str(MIB)})

        assert status == 200
        assert len(body) > MIB
        await landed(members.world)
        assert s3.sent[key] == MIB
        assert members.held("a", key) == MIB


@pytest.mark.parametrize("operation", ["held", "alive", "tell"])
async def test_what_is_for_members_alone_is_not_there_for_another_region(s3: FakeS3, operation: str) -> None:
    async with cluster(s3) as members:
        assert (await _of_far_region(members, "b", operation, {}))[0] == 403


async def test_another_region_does_not_say_who_the_owner_is(s3: FakeS3) -> None:
    async with cluster(s3) as members:
        key = members.owned_by("a")
        s3.bucket("bucket1").put(key, 2 * MIB)
        values = {"key": key, "start": "0", "end": str(MIB)}

        status, _ = await _of_far_region(members, "a", "read", values, ((b"x-causeway-as", b"owner"),))

        assert status == 403
        assert not s3.heard


async def _of_far_region(
    members: Cluster, name: str, operation: str, values: dict[str, str], more: tuple[tuple[bytes, bytes], ...] = ()
) -> tuple[int, bytes]:
    """What a member answers to a node of the far region."""
    base = Base.parse(f"http://{members.world.peer(name)}")
    bucket = members.oid("").bucket.hex()
    query = "&".join(f"{one}={value}" for one, value in {"bucket": "train-bj", "id": bucket, **values}.items())
    target = f"/causeway/1/{operation}?{query}".encode()
    headers = [
        (b"host", base.authority),
        (b"x-causeway-region", FAR.encode()),
        (b"x-causeway-tenant", b"rec"),
        (b"x-causeway-class", b"training"),
        (b"x-causeway-hops", b"1"),
        (b"x-causeway-fresh", b"inf"),
        *more,
    ]
    signed = Signer(Credentials(FAR, SECRET), NEAR, SERVICE).sign(b"GET", target, headers, members.world.wall())
    client = Client()
    answer = await client.request(Ask(base, b"GET", target, signed))
    try:
        return answer.status, await answer.body(4 * MIB)
    finally:
        answer.close()
        client.close()
        await asyncio.sleep(0)


async def test_explain_says_who_owns_an_object_and_whom_it_asks(s3: FakeS3) -> None:
    async with cluster(s3) as members:
        key = members.owned_by("b")
        s3.bucket("bucket1").put(key, 200 * MIB)
        await read(members.world, key, 0, 10, region="a")

        owners = [(await members.world.nodes[name].operations.explain(f"/ns/train/{key}")).owners for name in NAMES]

        assert [one.key_owner for one in owners if one] == ["b"] * 3
        assert {one.ranks for one in owners if one} in ({("a", "c")}, {("c", "a")})
        assert next(sum(count for _, count in one.extents) for one in owners if one) == 4


async def test_a_mount_is_looked_at_anew_by_the_owners_of_its_objects_alone(s3: FakeS3) -> None:
    async with cluster(s3, **LATER) as members:
        for n in range(9):
            s3.bucket("bucket1").put(f"k{n}", 1000)
            await everywhere(members, f"k{n}")

        rounds = [await members.world.nodes[name].running.app.refresher.round("/ns/train") for name in NAMES]

        owned = [sum(members.owner(f"k{n}") == name for n in range(9)) for name in NAMES]
        assert [one.heads + one.lists <= owned[at] for at, one in enumerate(rounds)] == [True] * 3
