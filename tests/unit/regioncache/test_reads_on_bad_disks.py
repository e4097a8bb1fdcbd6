"""What readers see of a disk that dies, hangs or vanishes under them: right bytes from the origin, and no error."""

import asyncio
import errno
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from regioncache.pages import MIB
from regioncache.store.handing import PATIENCE_SECONDS
from tests.fakes.faulty_disk import FaultyDisk
from tests.fakes.shelf import Bench, bench

pytestmark = pytest.mark.anyio
SIZES = {"large": 5 * MIB + 7, "small": 100_000}


@pytest.fixture
def disk(tmp_path: Path) -> FaultyDisk:
    return FaultyDisk(tmp_path / "cache")


@pytest.fixture
async def warm(disk: FaultyDisk) -> AsyncIterator[Bench]:
    """A shelf that holds both objects, on that disk alone."""
    async with bench(disk.path, calls=disk.calls()) as made:
        for key, size in SIZES.items():
            made.origin.bucket.put(key, size)
            assert await made.reads(key, 0, size)
        await made.landed()
        yield made
        disk.heal()


@pytest.mark.parametrize("key", SIZES)
@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.ENODEV])
async def test_a_disk_that_fails_costs_a_miss(warm: Bench, disk: FaultyDisk, key: str, number: int) -> None:
    disk.fails(number)

    assert await warm.reads(key, 0, SIZES[key])

    assert warm.shelf.store.statistics().paths_out
    assert warm.faults == []


@pytest.mark.parametrize("key", SIZES)
async def test_a_disk_that_hangs_costs_a_miss_after_a_bounded_time(warm: Bench, disk: FaultyDisk, key: str) -> None:
    disk.hang()
    reads = [asyncio.create_task(warm.reads(key, 0, SIZES[key])) for _ in range(3)]
    await disk.hung()

    disk.pass_seconds(PATIENCE_SECONDS)

    assert await asyncio.gather(*reads) == [True] * 3
    assert await warm.reads(key, 0, SIZES[key])
    assert warm.faults == []


async def test_a_disk_that_hangs_in_a_write_holds_up_no_reader(disk: FaultyDisk) -> None:
    async with bench(disk.path, calls=disk.calls()) as made:
        made.origin.bucket.put("large", SIZES["large"])
        made.origin.bucket.put("small", SIZES["small"])
        disk.hang("pwritev")
        reads = [asyncio.create_task(made.reads(key, 0, size)) for key, size in SIZES.items()]
        await disk.hung()

        disk.pass_seconds(PATIENCE_SECONDS)

        assert await asyncio.gather(*reads) == [True, True]
        assert made.faults == []
        disk.heal()


async def test_a_disk_that_dies_in_mid_flight_costs_a_reader_behind_the_flight_nothing(disk: FaultyDisk) -> None:
    async with bench(disk.path, calls=disk.calls()) as made:
        made.origin.bucket.put("large", SIZES["large"])
        first = made.reader("large", 0, SIZES["large"])
        at = 0
        while at < 3 * MIB:
            at += len(await first.piece(at))
        disk.fails(errno.EIO)

        assert await made.reads("large", 0, SIZES["large"])

        first.leave()
        assert made.faults == []


async def test_a_folder_that_vanishes_costs_misses_and_is_kept_in_again(warm: Bench, disk: FaultyDisk) -> None:
    shutil.rmtree(disk.path)

    for _ in range(3):
        for key, size in SIZES.items():
            assert await warm.reads(key, 0, size)
    warm.origin.bucket.put("new", SIZES["large"])
    for _ in range(3):
        assert await warm.reads("new", 0, SIZES["large"])
        await warm.landed()
    disk.probe()
    while warm.shelf.store.statistics().paths_out:
        await asyncio.sleep(0)
    assert await warm.reads("new", 0, SIZES["large"])
    await warm.landed()

    assert warm.held("new")
    assert list(disk.path.glob("extents/*/*"))
    assert warm.faults == []
