"""Who moved what over lines in a time: exact, over restarts and clocks that are set, all members of a region summed."""

import pytest

from gateway.admin.operations import BadOperation
from gateway.app import Node
from regioncache.cluster.members import Addresses, Member
from regioncache.cluster.ownership import Shared
from tests.fakes.s3server import FakeS3
from tests.flow.journeys import get, kinds, landed
from tests.flow.members import cluster
from tests.flow.world import LINE, MIB, NEAR, settings, two_regions

pytestmark = pytest.mark.anyio
DAY = 86_400


async def test_a_time_shows_what_the_ledger_counted_to_the_byte(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", 3 * MIB + 17)
    s3.bucket("bucket1").put("l", MIB)
    async with two_regions(s3.url) as regions:
        await get(regions, "k")
        regions.ahead += 600
        await regions.nodes[NEAR].running.app.history.look()
        await get(regions, "l")
        await landed(regions)
        operations = regions.nodes[NEAR].operations

        whole = await operations.moved("1h", "", "line,kind")
        late = await operations.moved("5m", "", "bucket,tenant,class")

        assert {row.names["kind"]: row.nbytes for row in whole.rows} == kinds(regions)
        assert whole.whole.once_ratio == 1.0
        assert [row.names for row in late.rows] == [{"bucket": "train-bj", "tenant": "rec", "class": "training"}]
        assert late.rows[0].kinds["unique"] == MIB
        assert late.nodes == ("aws-use1-0",)


@pytest.mark.parametrize("days", [2, -2])
async def test_a_clock_set_by_two_days_loses_and_doubles_nothing_over_a_restart(s3: FakeS3, days: int) -> None:
    for key in ("k", "l", "m"):
        s3.bucket("bucket1").put(key, MIB)
    async with two_regions(s3.url) as regions:
        await get(regions, "k")
        await landed(regions)
        regions.ahead += days * DAY
        await get(regions, "l")
        await landed(regions)
        await regions.stop(NEAR)
        regions.ahead -= days * DAY
        await regions.start(NEAR)
        await get(regions, "m")
        await landed(regions)

        whole = await regions.nodes[NEAR].operations.moved("7d", "2099-01-01", "kind")

        assert {row.names["kind"]: row.nbytes for row in whole.rows} == kinds(regions)


async def test_all_members_of_a_region_are_summed_and_can_be_told_apart(s3: FakeS3) -> None:
    async with cluster(s3, ("a", "b")) as members:
        keys = {name: members.owned_by(name) for name in ("a", "b")}
        for size, key in zip((2 * MIB, MIB), keys.values(), strict=True):
            s3.bucket("bucket1").put(key, size)
            await get(members.world, key, region="a")
        await landed(members.world)

        for asked in ("a", "b"):
            operations = members.world.nodes[asked].operations
            whole, each = await operations.moved("1h", "", "line"), await operations.moved("1h", "", "node,kind")

            assert [(row.names["line"], row.kinds["unique"]) for row in whole.rows] == [(LINE, 3 * MIB)]
            unique = {row.names["node"]: row.nbytes for row in each.rows if row.names["kind"] == "unique"}
            assert unique == {"a": 2 * MIB, "b": MIB}
            assert each.unasked == ()


async def test_a_member_that_cannot_be_asked_is_named(s3: FakeS3) -> None:
    async with cluster(s3, ("a", "b")) as members:
        key = members.owned_by("a")
        s3.bucket("bucket1").put(key, MIB)
        await get(members.world, key, region="a")
        await landed(members.world)
        await members.kill("b")

        whole = await members.world.nodes["a"].operations.moved("1h", "", "kind")

        assert whole.nodes == ("a",)
        assert [name for name, _ in whole.unasked] == ["b"]
        assert "cannot be reached" in whole.unasked[0][1]
        assert whole.whole.kinds["unique"] == MIB


async def test_a_member_with_another_clusters_secret_is_named_and_told_nothing(s3: FakeS3) -> None:
    async with cluster(s3, ("a",)) as members:
        made = settings(members.world.folder, NEAR, paths=["cache-b"], secret="the-secret-of-another-cluster")
        view = Shared("b")
        other = await Node.start(made.model_copy(update={"node": "b"}), access_every=0, ownership=view)
        try:
            address = f"http://{other.running.addresses['peer']}"
            both = (members.known["a"], Member("b", Addresses(address), 1 << 30))
            for name, shared in (("a", members.views["a"]), ("b", view)):
                shared.adopt(both, 5)
                running = members.world.nodes[name] if name == "a" else other
                whole = await running.operations.moved("1h", "", "kind")

                assert whole.nodes == (name,)
                assert "both must have the same secret" in whole.unasked[0][1]
        finally:
            await other.stop(0.0)


async def test_more_rows_than_an_answer_holds_are_refused_with_the_remedy(
    s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.operating.accounting.MOST_ROWS", 1)
    s3.bucket("bucket1").put("k", MIB)
    async with two_regions(s3.url) as regions:
        await get(regions, "k")
        await regions.nodes[NEAR].operations.moved("1h", "", "line")
        regions.ahead += 600
        await regions.nodes[NEAR].running.app.history.look()
        s3.bucket("bucket1").put("l", MIB)
        await get(regions, "l")

        with pytest.raises(BadOperation, match="ask for a shorter time, or by fewer names"):
            await regions.nodes[NEAR].operations.moved("1h", "", "slot")
