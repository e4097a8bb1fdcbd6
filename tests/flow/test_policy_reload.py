"""Policies that change while reads run (Q10 of the line rules): nothing is reset, nothing is read twice or wrong."""

import asyncio
import json
from pathlib import Path

import pytest

from gateway.admin.operations import UnknownPath
from gateway.pairs import File
from policy.errors import Faults
from regioncache import unmounting
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.flow.journeys import kinds, landed, read
from tests.flow.world import LINE, MIB, NEAR, World, two_regions

pytestmark = pytest.mark.anyio
SIZE = 9 * MIB + 5
RELOADS: tuple[dict[str, object], ...] = (
    {"quota": "1Gbps", "tenants": {"rec": {"weight": 3}}},
    {"quota": "400Mbps", "classes": {"training": {"floor": "20%"}}},
    {"quota": "2Gbps", "windows": [{"when": "00:00-24:00", "ceil": {"interactive": "500Mbps"}}]},
    {"quota": "800Mbps", "burst": "2MiB", "overhead": 1.2},
)


async def reload(regions: World, of_line: dict[str, object]) -> None:
    near = regions.nodes[NEAR]
    assert near.running.in_force.pair is not None
    text = f"lines:\n  {LINE}: {of_line}\n"
    await near.operations.apply((File("policy.yaml", text),), "test", False)


async def test_q10_a_policy_reloaded_under_load_resets_no_ledger_and_no_reader(s3: FakeS3) -> None:
    for at in range(12):
        s3.bucket("bucket1").put(f"k{at}", SIZE)
    async with two_regions(s3.url, policy={"lines": {LINE: {"quota": "500Mbps"}}}) as regions:
        reads = [asyncio.create_task(read(regions, f"k{at}")) for at in range(12)]
        line, seen = regions.nodes[NEAR].running.app.lines[LINE], 0
        for of_line in RELOADS:
            before = sum(kinds(regions).values())
            await reload(regions, of_line)
            assert sum(kinds(regions).values()) >= before >= seen
            seen = before
        bodies = await asyncio.gather(*reads)
        await landed(regions)

        assert all(body == ramp(0, SIZE) for body in bodies)
        assert kinds(regions) == {"unique": 12 * SIZE}
        assert regions.nodes[NEAR].running.app.lines[LINE] is line
        assert line.statistics().quota == pytest.approx(100e6)


async def test_a_bad_policy_is_refused_whole_with_line_and_column_while_reads_go_on(s3: FakeS3) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with two_regions(s3.url, policy={"lines": {LINE: {"quota": "500Mbps"}}}) as regions:
        reading = asyncio.create_task(read(regions, "k"))

        bad = (
            f"lines:\n  {LINE}:\n    quota: 1Gbps\n    windows:\n      - {{when: 'Mon 9-10', ceil: {{bulk: 1Gbps}}}}\n"
        )
        with pytest.raises(Faults) as refused:
            await regions.nodes[NEAR].operations.apply((File("policy.yaml", bad),), "test", False)

        assert [str(fault).partition(":")[0] for fault in refused.value.faults] == [str(Path("policy.yaml"))] * 2
        assert [(fault.line, fault.column) for fault in refused.value.faults] == [(5, 16), (5, 35)]
        assert regions.nodes[NEAR].running.app.lines[LINE].statistics().quota == pytest.approx(62.5e6)
        assert await reading == ramp(0, SIZE)


async def test_a_window_in_force_is_shown_with_its_line(s3: FakeS3) -> None:
    window = {"when": "00:00-24:00", "tz": "Asia/Shanghai", "ceil": {"backfill": "8Mbps"}}
    async with two_regions(s3.url, policy={"lines": {LINE: {"quota": "500Mbps", "windows": [window]}}}) as regions:
        (shown,) = regions.nodes[NEAR].operations.lines()

        assert shown.class_ceils == {"backfill": 1_000_000}


async def test_reads_of_a_mount_that_is_taken_out_end_whole_or_refused_and_its_memory_is_given_back(
    s3: FakeS3,
) -> None:
    s3.bucket("bucket1").put("k", SIZE)
    async with two_regions(s3.url) as regions:
        near = regions.nodes[NEAR]
        assert near.running.in_force.pair is not None
        reading = asyncio.create_task(read(regions, "k"))
        await asyncio.sleep(0)
        document = near.running.in_force.pair.documents["topology"].value
        assert isinstance(document, dict)
        without = json.dumps({**document, "mounts": {}})
        await near.operations.apply((File("topology.yaml", without),), "test", False)

        (ended,) = await asyncio.gather(reading, return_exceptions=True)

        assert isinstance(ended, UnknownPath) or ended == ramp(0, SIZE)
        with pytest.raises(UnknownPath, match="no mount covers it"):
            await read(regions, "k")
        await landed(regions)
        held = near.running.app.memory.held()
        assert sum(held.values()) == 0, held


async def test_pages_of_a_mount_that_is_taken_out_leave_the_disk_of_a_node(
    s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unmounting, "GRACE_SECONDS", 0.0)
    s3.bucket("bucket1").put("k", SIZE)
    async with two_regions(s3.url) as regions:
        near = regions.nodes[NEAR]
        assert near.running.in_force.pair is not None
        assert await read(regions, "k") == ramp(0, SIZE)
        await landed(regions)
        assert near.running.app.store.statistics().clean_bytes > SIZE
        document = near.running.in_force.pair.documents["topology"].value
        assert isinstance(document, dict)
        (mount,) = document["mounts"].values()
        elsewhere = json.dumps({**document, "mounts": {"/ns/elsewhere": {**mount, "prefix": "elsewhere/"}}})

        await near.operations.apply((File("topology.yaml", elsewhere),), "test", False)
        await near.running.app.unmounting.settled()

        assert near.running.app.store.statistics().clean_bytes == 0
