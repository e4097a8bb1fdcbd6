"""A start with a hundred thousand extents or a million packed objects: how long, and how many bytes each."""

import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from regioncache.pages import EXTENT_BYTES, MIB
from regioncache.store.base import HEADER_BYTES, StoreSettings
from regioncache.store.disk import Disk, SystemCalls
from regioncache.store.extentfile import ExtentFile
from regioncache.store.header import Identity
from regioncache.store.identity import object_digest, squeeze
from regioncache.store.record import Entry, What, encode_record
from regioncache.store.segment import Segment
from regioncache.store.store import Store
from tests.fakes.storing import meta, oid

pytestmark = [pytest.mark.real, pytest.mark.soak, pytest.mark.timeout(1200)]
SEGMENT_BYTES = 200 * MIB
PACKED_BYTES = 100


def make_packed(disk: Disk, count: int) -> None:
    """Writes segments as the store does, without going through it a million times."""
    segment, entries = Segment(disk, 1), []
    segment.create()
    for number in range(count):
        whose, about = oid(f"train/imagenet/{number:08d}.jpg"), meta(PACKED_BYTES, number)
        head, length = encode_record(whose, about, bytes(PACKED_BYTES))
        at = segment.append([head, bytes(PACKED_BYTES)])
        entries.append(Entry(object_digest(whose), at, length, 1.0, What.KEPT, squeeze(about.version)))
        if segment.end > SEGMENT_BYTES or number == count - 1:
            segment.enter(entries)
            segment, entries = Segment(disk, segment.number + 1), []
            segment.create()


def make_extents(disk: Disk, count: int) -> None:
    """Writes sparse extent files, every second one with holes in its presence."""
    for number in range(count):
        whose, about = oid(f"train/imagenet/{number:08d}.bin"), meta(EXTENT_BYTES, number)
        name = f"{object_digest(whose):032x}"
        path = f"{disk.path}/extents/{name[:2]}/{name}-{number:08x}"
        file = ExtentFile.create(disk, path, Identity(whose, about, 0, MIB))
        os.ftruncate(file.file.fd, HEADER_BYTES + EXTENT_BYTES)
        file.keep(0, [], (1 << 64) - 1 if number % 2 else 0x5555_5555_5555)


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def start(path: Path) -> None:
    """What is measured, in a process of its own: prints entries, seconds and bytes of each."""
    before, begun = resident_bytes(), time.perf_counter()
    store = await Store.open(StoreSettings((path,), size=1 << 60))
    seconds = time.perf_counter() - begun
    statistics = store.statistics()
    count = statistics.packed + statistics.extents
    print(count, round(seconds, 2), round((resident_bytes() - before) / count))
    await store.close()


@pytest.mark.parametrize(("what", "count"), [("packed", 1_000_000), ("extents", 100_000)])
def test_an_entry_takes_at_most_400_bytes(tmp_path: Path, what: str, count: int) -> None:
    disk = Disk(tmp_path, 1, SystemCalls())
    disk.prepare()
    (make_packed if what == "packed" else make_extents)(disk, count)
    disk.close()

    command = [sys.executable, "-m", "tests.real.test_store_scale", str(tmp_path)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found, seconds, bytes_each = told.split()

    print(f"\n{found} {what}: ready in {seconds} s, {bytes_each} bytes each")
    assert int(found) == count
    assert int(bytes_each) <= 400


if __name__ == "__main__":
    anyio.run(start, Path(sys.argv[1]))
