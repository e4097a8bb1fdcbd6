"""Who moved what over lines in a time: exact, over restarts and clocks that are set, all members of a region summed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import yaml

from gateway.admin.operations import BadOperation
from gateway.app import Node
from gateway.operating.running import Neighbour
from gateway.pairs import File
from regioncache.http.client import Base
from tests.fakes.s3server import FakeS3
from tests.flow.journeys import get, kinds, landed
from tests.flow.world import FAR, LINE, MIB, NEAR, World, settings, topology, two_regions

pytestmark = pytest.mark.anyio
DAY = 86_400


@asynccontextmanager
async def second(world: World, origin: str, secret: str | None = None) -> AsyncIterator[Node]:
    """A second node in `aws-use1`, with a ledger of its own, which the first one knows as a member."""
    (world.folder / "second").mkdir()
    wanted = settings(world.folder / "second", NEAR).model_copy(update={"node": "aws-use1-1"})
    if secret is not None:
        (world.folder / "second" / "pair.secret").write_text(secret)
    node = await Node.start(wanted, access_every=0, wall=world.wall)
    try:
        files = (
            File("topology.yaml", yaml.safe_dump(topology(origin, world.peer(FAR)))),
            File("policy.yaml", yaml.safe_dump({"lines": {}})),
        )
        await node.operations.apply(files, "test", False)
        key = world.key
        assert key is not None
        base = Base.parse(f"http://{node.running.addresses['peer']}")
        world.nodes[NEAR].running.neighbours = lambda: (Neighbour("aws-use1-1", base),)
        world.nodes["second"] = node
        await world.admit("second")
        yield node
    finally:
        await world.stop("second")


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
    s3.bucket("bucket1").put("k", 2 * MIB)
    s3.bucket("bucket1").put("l", MIB)
    async with two_regions(s3.url) as regions, second(regions, s3.url):
        await get(regions, "k")
        await get(regions, "l", region="second")
        await landed(regions)
        operations = regions.nodes[NEAR].operations

        whole, each = await operations.moved("1h", "", "line"), await operations.moved("1h", "", "node,kind")

        assert [(row.names["line"], row.kinds["unique"]) for row in whole.rows] == [(LINE, 3 * MIB)]
        unique = {row.names["node"]: row.nbytes for row in each.rows if row.names["kind"] == "unique"}
        assert unique == {"aws-use1-0": 2 * MIB, "aws-use1-1": MIB}
        assert each.unasked == ()


async def test_a_member_that_cannot_be_asked_is_named(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", MIB)
    async with two_regions(s3.url) as regions, second(regions, s3.url):
        await get(regions, "k")
        await landed(regions)
        await regions.stop("second")

        whole = await regions.nodes[NEAR].operations.moved("1h", "", "kind")

        assert whole.nodes == ("aws-use1-0",)
        assert [name for name, _ in whole.unasked] == ["aws-use1-1"]
        assert "cannot be reached" in whole.unasked[0][1]
        assert whole.whole.kinds["unique"] == MIB


async def test_a_member_with_another_clusters_secret_is_named_and_told_nothing(s3: FakeS3) -> None:
    async with two_regions(s3.url) as regions, second(regions, s3.url, secret="the-secret-of-another-cluster"):
        whole = await regions.nodes[NEAR].operations.moved("1h", "", "kind")

        assert [name for name, _ in whole.unasked] == ["aws-use1-1"]
        assert "both must have the same secret" in whole.unasked[0][1]


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
