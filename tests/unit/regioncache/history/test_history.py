"""The history beside its ledger: every counted byte in one slot, over kills, clocks that are set, losses of power."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import pytest

from regioncache.history import file as files
from regioncache.history import keeping
from regioncache.history.file import HistoryFile
from regioncache.history.keeping import History
from regioncache.history.slots import BEFORE, Batch, Cell
from regioncache.ledger import Ledger
from tests.fakes.ledger_disk import DAY, EVER, NOON, Disk, by_slot, entry, sums

pytestmark = pytest.mark.anyio


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


async def test_the_sum_of_all_slots_is_what_the_counters_say(disk: Disk) -> None:
    async with disk.node() as (ledger, history):
        for at in range(40):
            disk.now += 97
            ledger.raise_(entry("rec"), 1000 + at)
            ledger.raise_(entry("search", "retry"), 7)
            ledger.lower(entry("rec"), 400)
            ledger.move(entry("rec"), "over_read", 90)
            await history.look()

        assert await sums(history) == ledger.totals()
        assert len(await by_slot(history)) >= 40 * 97 // 300


async def test_what_is_asked_for_is_there_to_the_byte_and_now(disk: Disk) -> None:
    async with disk.node() as (ledger, history):
        ledger.raise_(entry("rec"), 300)
        disk.now += 300
        await history.look()
        ledger.raise_(entry("search"), 45)

        assert await by_slot(history) == {NOON: 300, NOON + 300: 45}
        assert await by_slot(history, since=NOON + 300) == {NOON + 300: 45}
        assert await by_slot(history, until=NOON + 300) == {NOON: 300}


async def test_rows_have_the_names_that_were_asked_for_in_that_order(disk: Disk) -> None:
    async with disk.node() as (ledger, history):
        ledger.raise_(entry("rec", bucket="a"), 1)
        ledger.raise_(entry("rec", bucket="b"), 2)
        ledger.raise_(entry("rec", "retry", bucket="b"), 4)
        await history.look()
        ledger.raise_(entry("rec", bucket="b"), 8)

        rows = await history.rows(0, EVER, ("slot", "kind", "bucket"), 10)

        assert {(row.names, row.nbytes) for row in rows} == {
            ((NOON, "unique", "a"), 1),
            ((NOON, "unique", "b"), 10),
            ((NOON, "retry", "b"), 4),
        }
        assert [(row.names, row.nbytes) for row in await history.rows(0, EVER, (), 10)] == [((), 15)]


async def test_a_credit_is_taken_from_the_slot_that_was_debited(disk: Disk) -> None:
    async with disk.node() as (ledger, history):
        ledger.raise_(entry(), 1000)
        disk.now += 300
        await history.look()
        ledger.lower(entry(), 400)
        disk.now += 300
        await history.look()

        assert await by_slot(history) == {NOON: 600}


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from regioncache.history.keeping import History
from regioncache.ledger import Entry, Ledger

NOW = [float(sys.argv[2])]
async def main():
    folder = Path(sys.argv[1])
    ledger = Ledger.open(folder / "ledger")
    history = History(ledger, folder / "history.db", 400, lambda: NOW[0])
    await history.look()
    counted = Entry("bj-use1", "idc-bj>aws-use1", "rec", "training", "train-bj", "unique")
    ledger.raise_(counted, 1000)
    await history.look()
    NOW[0] += 300
    await history.look()
    ledger.raise_(counted, 234)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


async def test_a_kill_loses_no_byte_and_puts_it_where_it_was_counted(disk: Disk) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, str(disk.folder), str(disk.now)], check=False)
    assert ended.returncode == -signal.SIGKILL

    disk.now += 5 * DAY
    async with disk.node() as (ledger, history):
        assert ledger.totals() == {entry(): 1234}
        assert await by_slot(history) == {NOON: 1000, NOON + 300: 234}


@pytest.mark.parametrize("days", [2, -2])
async def test_a_clock_that_is_set_by_two_days_loses_and_doubles_nothing(disk: Disk, days: int) -> None:
    async with disk.node() as (ledger, history):
        for jump in (0, days * DAY, 0, -days * DAY, 0):
            disk.now += jump + 5
            ledger.raise_(entry(), 100)
            await history.look()

        assert sum((await by_slot(history)).values()) == 500
        assert sum((await by_slot(history, since=NOON, until=NOON + 300)).values()) == 300


async def test_a_clock_that_was_set_says_the_same_after_a_restart(disk: Disk) -> None:
    async with disk.node() as (ledger, _):
        ledger.raise_(entry(), 100)
    disk.now -= 2 * DAY
    async with disk.node() as (ledger, _):
        ledger.raise_(entry(), 100)
    disk.now += 4 * DAY
    async with disk.node() as (ledger, history):
        ledger.raise_(entry(), 100)

        assert await by_slot(history) == {NOON - 2 * DAY: 100, NOON: 100, NOON + 2 * DAY: 100}


async def test_a_ledger_older_than_its_history_is_in_no_slot_of_time(disk: Disk) -> None:
    with_past = Ledger.open(disk.folder / "ledger")
    with_past.raise_(entry(), 10**12)
    with_past.close()

    async with disk.node() as (ledger, history):
        ledger.raise_(entry(), 5)

        assert await by_slot(history) == {BEFORE: 10**12, NOON: 5}


async def test_a_ledger_that_begins_anew_takes_nothing_from_what_was(disk: Disk) -> None:
    async with disk.node() as (ledger, _):
        ledger.raise_(entry(), 1000)
    (disk.folder / "ledger").rename(disk.folder / "ledger.old")
    disk.now += 300

    async with disk.node() as (ledger, history):
        ledger.raise_(entry(), 10)

        assert await by_slot(history) == {NOON: 1000, NOON + 300: 10}
    async with disk.node() as (_, history):
        assert await by_slot(history) == {NOON: 1000, NOON + 300: 10}


async def test_what_a_loss_of_power_took_from_the_counters_is_put_back(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with disk.node() as (ledger, _):
        ledger.raise_(entry(), 1000)
    with_less = Ledger.open(disk.folder / "ledger")
    with_less.lower(entry(), 300)
    with_less.close()
    monkeypatch.setattr(keeping, "_boot", lambda: "another")

    async with disk.node() as (ledger, history):
        assert ledger.totals() == {entry(): 1000}
        assert await sums(history) == ledger.totals()
    assert any("lost power: 300 bytes" in told for told in disk.heard.warnings)


async def test_a_credit_before_a_kill_is_no_loss_of_power(disk: Disk) -> None:
    async with disk.node() as (ledger, _):
        ledger.raise_(entry(), 1000)
    with_less = Ledger.open(disk.folder / "ledger")
    with_less.lower(entry(), 300)
    with_less.close()

    async with disk.node() as (ledger, history):
        assert ledger.totals() == {entry(): 700}
        assert await by_slot(history) == {NOON: 700}


async def test_who_is_cancelled_leaves_nobody_at_the_file(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, within = HistoryFile.write, list[int]()
    entered: asyncio.Event = asyncio.Event()
    loop = asyncio.get_running_loop()

    def one_at_a_time(file: HistoryFile, batch: Batch) -> None:
        within.append(1)
        loop.call_soon_threadsafe(entered.set)
        assert len(within) == 1
        whole(file, batch)
        within.pop()

    async with disk.node() as (ledger, history):
        monkeypatch.setattr(HistoryFile, "write", one_at_a_time)
        for _ in range(20):
            ledger.raise_(entry(), 1)
            entered.clear()
            asked = asyncio.create_task(history.look())
            await entered.wait()
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)

        assert await by_slot(history) == {NOON: 20}


async def test_a_running_history_looks_by_itself_and_at_its_end(disk: Disk) -> None:
    ledger = Ledger.open(disk.folder / "ledger")
    history = History(ledger, disk.path, 400, lambda: disk.now)
    await history.start()
    ledger.raise_(entry(), 77)
    await history.stop()
    await history.stop()
    ledger.close()

    async with disk.node() as (_, after):
        assert await by_slot(after) == {NOON: 77}


async def test_looks_come_every_few_seconds_and_at_the_end_of_each_slot(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    real: Callable[[float], object] = asyncio.sleep

    async def asleep(seconds: float) -> None:
        slept.append(seconds)
        disk.now += seconds
        if len(slept) == 63:
            raise asyncio.CancelledError
        await real(0)  # type: ignore[misc]

    ledger = Ledger.open(disk.folder / "ledger")
    disk.now += 2
    history = History(ledger, disk.path, 400, lambda: disk.now)
    monkeypatch.setattr(keeping.asyncio, "sleep", asleep)
    await history.start()
    assert history._task is not None
    await asyncio.gather(history._task, return_exceptions=True)
    await history.stop()
    ledger.close()

    assert slept[0] == 5
    assert slept[59] == 3
    assert slept[60] == 5


def test_an_entry_is_found_again_by_its_names(disk: Disk) -> None:
    file = HistoryFile(disk.path, 400)
    file.write(Batch(1, {Cell(NOON, entry()): 5}))
    file.close()

    again = HistoryFile(disk.path, 400)
    try:
        assert dict(again.known().seen) == {entry(): 5}
        assert len(astuple(entry())) == len(files.COLUMNS)
    finally:
        again.close()


def test_the_file_is_readable_by_its_owner_only(disk: Disk) -> None:
    HistoryFile(disk.path, 400).close()

    assert os.stat(disk.path).st_mode & 0o077 == 0
