"""What the history bears: a file that is damaged, of a newer version, on a full disk, or that grows."""

import sqlite3
from pathlib import Path

import pytest

from regioncache.history import file as files
from regioncache.history.file import HistoryBroken, HistoryFile
from regioncache.history.slots import BEFORE, Batch, Cell
from tests.fakes.ledger_disk import DAY, EVER, NOON, Disk, by_slot, entry, sums

pytestmark = pytest.mark.anyio


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


async def test_a_damaged_file_is_set_aside_and_the_counters_make_up_for_it(disk: Disk) -> None:
    async with disk.node() as (ledger, _):
        ledger.raise_(entry(), 1000)
    disk.path.write_bytes(b"not a database at all" * 400)

    async with disk.node() as (ledger, history):
        ledger.raise_(entry(), 5)

        assert await by_slot(history) == {BEFORE: 1000, NOON: 5}
        assert history.fault == ""
    assert [path.name for path in disk.folder.glob("*damaged*")] == [f"history.db.damaged-{NOON}"]
    assert any("is kept as" in told for told in disk.heard.warnings)


async def test_a_history_of_a_newer_version_is_left_alone_and_the_node_goes_on(disk: Disk) -> None:
    with sqlite3.connect(disk.path) as newer:
        newer.execute(f"PRAGMA user_version = {files.LAYOUT + 1}")
    newer.close()

    async with disk.node() as (ledger, history):
        ledger.raise_(entry(), 5)
        await history.look()
        with pytest.raises(HistoryBroken, match="run the version that made it"):
            await history.rows(0, EVER, (), 1)

        assert "run the version that made it" in history.fault
    assert len(disk.heard.warnings) == 1


async def test_a_disk_that_takes_nothing_for_a_while_costs_no_byte_and_is_told_once(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = HistoryFile.write

    def full(_: HistoryFile, batch: Batch) -> None:
        raise HistoryBroken("database or disk is full")

    async with disk.node() as (ledger, history):
        monkeypatch.setattr(HistoryFile, "write", full)
        for _ in range(3):
            ledger.raise_(entry(), 100)
            disk.now += 300
            await history.look()
        assert history.fault == "database or disk is full"
        monkeypatch.setattr(HistoryFile, "write", whole)

        assert await by_slot(history) == {NOON: 100, NOON + 300: 100, NOON + 600: 100}
        assert history.fault == ""
    assert len(disk.heard.warnings) == 1
    assert len(disk.heard.news) == 1


async def test_a_batch_whose_answer_was_lost_is_not_counted_twice(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = HistoryFile.write
    failing = [True]

    def answerless(file: HistoryFile, batch: Batch) -> None:
        whole(file, batch)
        if failing.pop() if failing else False:
            raise HistoryBroken("disk I/O error")

    async with disk.node() as (ledger, history):
        monkeypatch.setattr(HistoryFile, "write", answerless)
        ledger.raise_(entry(), 100)
        await history.look()
        ledger.raise_(entry(), 10)

        assert await by_slot(history) == {NOON: 110}


async def test_days_beyond_those_kept_are_in_the_sum_and_in_no_slot_of_time(disk: Disk) -> None:
    disk.keep = 3
    async with disk.node() as (ledger, history):
        for _ in range(6):
            ledger.raise_(entry(), 10)
            ledger.raise_(entry("search"), 1)
            await history.look()
            disk.now += DAY
            await history.look()

        days = await by_slot(history)

        assert days == {BEFORE: 33, **{NOON + day * DAY: 11 for day in (3, 4, 5)}}
        assert await sums(history) == ledger.totals()


async def test_a_day_far_ahead_takes_no_other_day_with_it(disk: Disk) -> None:
    disk.keep = 3
    async with disk.node() as (ledger, history):
        for jump in (0, 20_000 * DAY, -20_000 * DAY + 300):
            disk.now += jump
            ledger.raise_(entry(), 10)
            await history.look()
            await history.look()

        assert BEFORE not in await by_slot(history)
        assert sum((await by_slot(history, since=NOON, until=NOON + DAY)).values()) == 20


async def test_a_file_that_grows_beyond_its_bound_lets_the_oldest_days_go(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_BYTES", 96 * 1024)
    file = HistoryFile(disk.path, 400)
    try:
        for day in range(40):
            slot = NOON + day * DAY
            cells = {Cell(slot + at * 300, entry(str(tenant))): 1 for at in range(20) for tenant in range(20)}
            file.write(Batch(day + 1, cells))
            while file.trim():
                pass

        kept = {int(row.names[0]) // DAY for row in file.rows(BEFORE + 1, EVER, ("slot",), 100_000)}

        assert 1 < len(kept) < 40
        assert max(kept) == (NOON + 39 * DAY) // DAY
        assert file.rows(0, EVER, (), 1)[0].nbytes == 40 * 400
        assert disk.path.stat().st_size < 1024 * 1024
    finally:
        file.close()
