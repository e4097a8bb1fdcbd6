"""What a running node says of itself to its administrators, and what it refuses to put in force."""

import asyncio
import errno
import sqlite3

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin.exposition import Exposition
from gateway.keeper import NAMESPACE_FILE
from policy.errors import Faults
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.fakes.storing import FaultyCalls
from tests.flow.journeys import landed, read
from tests.flow.world import DIRECTION, FAR, LINE, MIB, NEAR, World, topology, two_regions, world

pytestmark = pytest.mark.anyio
Labels = frozenset[tuple[str, str]]


def told(regions: World, region: str) -> dict[tuple[str, Labels], float]:
    """What `/metrics` of a region's node says, by name and labels."""
    text = Exposition(regions.nodes[region].operations.metrics).text().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_topology_without_the_nodes_region_is_refused_and_the_node_starts_again(s3: FakeS3) -> None:
    async with world() as regions:
        await regions.start(NEAR)
        elsewhere = topology(s3.url, None)
        elsewhere["regions"] = {FAR: {}, "gpu-7": {}}
        elsewhere["lines"] = {LINE: {"between": [FAR, "gpu-7"], "capacity": "1Gbps"}}

        with pytest.raises(Faults, match="region 'aws-use1' of this node is not among them"):
            await regions.apply(NEAR, elsewhere)

        assert await regions.nodes[NEAR].operations.history() == ()
        await regions.stop(NEAR)
        await regions.start(NEAR)
        await regions.apply(NEAR, topology(s3.url, None))
        assert regions.nodes[NEAR].operations.status().ready


async def test_what_was_read_over_the_line_is_in_the_metrics(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", 3 * MIB)
    async with two_regions(s3.url) as regions:
        await read(regions, "k")
        await landed(regions)

        near = told(regions, NEAR)

        ledger = {("line", LINE), ("direction", DIRECTION)}
        unique = frozenset({*ledger, ("tenant", "admin"), ("class", "interactive"), ("kind", "unique")})
        assert near["causeway_line_bytes_total", unique] == 3 * MIB
        assert near["causeway_line_once_ratio", frozenset(ledger)] == 1.0
        assert near["causeway_read_bytes_total", frozenset({("source", "line")})] == 3 * MIB
        assert near["causeway_brought_bytes_total", frozenset()] == 3 * MIB
        assert near["causeway_cache_bytes", frozenset({("state", "clean")})] >= 3 * MIB
        assert near["causeway_namespace_revision", frozenset()] == 1
        assert near["causeway_members", frozenset({("state", "active")})] == 1
        assert told(regions, FAR)["causeway_read_bytes_total", frozenset({("source", "origin")})] == 3 * MIB


async def test_a_peer_is_shown_with_its_files_and_its_round_trip_once_it_was_asked(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", 1000)
    async with two_regions(s3.url) as regions:
        near = regions.nodes[NEAR].operations
        (before,) = near.status().peers
        await read(regions, "k")

        (after,) = near.status().peers

        assert (before.region, before.answers, before.digest, before.round_trip_seconds) == (FAR, True, "", None)
        assert after.digest == regions.nodes[FAR].operations.status().digest
        assert after.round_trip_seconds is not None
        assert after.round_trip_seconds > 0


async def test_a_namespace_that_a_node_keeps_by_itself_is_never_of_yesterday(s3: FakeS3) -> None:
    async with world() as regions:
        await regions.start(NEAR)
        await regions.apply(NEAR, topology(s3.url, None))
        regions.ahead = 5000.0

        assert told(regions, NEAR)[("causeway_namespace_snapshot_age_seconds", frozenset[tuple[str, str]]())] == 0


async def test_a_node_that_lost_its_disk_stays_ready_and_says_so(s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.bucket("bucket1").put("k", MIB)
    disk = FaultyCalls()
    monkeypatch.setattr("regioncache.store.store.SystemCalls", disk.calls)
    async with world() as regions:
        node = await regions.start(NEAR)
        await regions.apply(NEAR, topology(s3.url, None))
        disk.writes = errno.EIO

        body = await read(regions, "k")
        await landed(regions)

        now = node.operations.status()
        assert body == ramp(0, MIB)
        assert now.ready, "what it cannot keep it still serves"
        assert any("Input/output error" in fault for fault in now.faults)


async def test_a_namespace_that_another_process_holds_keeps_an_apply_waiting_and_nobody_else(s3: FakeS3) -> None:
    async with world() as regions:
        node = await regions.start(NEAR)
        file = node.running.settings.namespace_directory / NAMESPACE_FILE
        backup = sqlite3.connect(file, isolation_level=None)
        backup.execute("BEGIN IMMEDIATE")
        applied = asyncio.ensure_future(regions.apply(NEAR, topology(s3.url, None)))
        made = asyncio.ensure_future(regions.admit(NEAR))
        await asyncio.sleep(0)

        # The loop comes here at once: else nobody would let go, and both would fail as locked after their 5 s.
        backup.execute("ROLLBACK")
        backup.close()

        await applied
        assert node.operations.status().revision == 1
        assert node.running.keys.find((await made).id) is not None


async def test_files_applied_at_once_are_one_revision_each_and_the_last_is_in_force(s3: FakeS3) -> None:
    async with world() as regions:
        node = await regions.start(NEAR)
        quotas = [f"{100 + n}Mbps" for n in range(8)]

        await asyncio.gather(
            *(regions.apply(NEAR, topology(s3.url, None), {"lines": {LINE: {"quota": each}}}) for each in quotas)
        )

        assert [each.number for each in await node.operations.history()] == [8, 7, 6, 5, 4, 3, 2, 1]
        kept = node.running.namespace.newest()
        assert kept.revision is not None
        assert node.running.in_force.pair is not None
        assert kept.revision.digest == node.running.in_force.pair.digest
        assert node.operations.status().revision == 8
