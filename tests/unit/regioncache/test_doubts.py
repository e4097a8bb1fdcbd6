"""A refresh outlives the node: what it doubted is looked at again, however the file of doubts was left."""

import errno
import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache.catalog import Catalog, Doubted
from regioncache.doubts import SPARE_RECORDS, Doubts
from regioncache.opened import Terms
from regioncache.pages import MIB, Meta, ObjectId, Version
from tests.fakes.hearing import Heard
from tests.fakes.ramp import ramp
from tests.fakes.region import ended, region

pytestmark = pytest.mark.anyio
BUCKET = b"b" * 16
IMMUTABLE = Terms(fresh_seconds=float("inf"))
HELD = Meta(Version("1"), 1, "1", 0.0, "", (), 10.0)
"""What a disk has: it was learned at 10."""


def started(path: Path, now: float = 100.0, heard: Heard | None = None) -> tuple[Catalog, Doubts]:
    """The catalog of a node that starts now."""
    doubts = Doubts(path, (heard or Heard()).tidings())
    catalog = Catalog(limit=2000, doubts=64, on_doubt=doubts.note)
    doubts.restore(catalog, now)
    return catalog, doubts


def believed(catalog: Catalog, keys: Iterable[str]) -> list[str]:
    return [key for key in keys if catalog.age(ObjectId(BUCKET, key), HELD, 200.0) is not None]


@pytest.mark.parametrize("refreshed", [True, False])
async def test_a_refresh_is_not_forgotten_when_the_node_starts_again_before_the_next_read(
    tmp_path: Path, refreshed: bool
) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 2 * MIB)
        await cache.read("k", terms=IMMUTABLE)
        await ended(cache)
        origin, clock = cache.origin, cache.clock
        cache.put("k", 2 * MIB, shift=9)
        if refreshed:
            cache.app.catalog.doubt(cache.asked("k").oid.bucket, "", clock.time())

    async with region(tmp_path, clock=clock, origin=origin) as cache:
        assert await cache.read("k", terms=IMMUTABLE) == ramp(0, 2 * MIB, 9 if refreshed else 0)


async def test_doubts_of_keys_and_of_what_lies_below_a_prefix_come_back_as_they_were(tmp_path: Path) -> None:
    catalog, doubts = started(tmp_path / "doubts")
    catalog.distrust(ObjectId(BUCKET, "a"), 50.0)
    catalog.doubt(BUCKET, "dir/", 50.0)
    catalog.distrust(ObjectId(BUCKET, "\udcff"), 50.0)
    await doubts.kept()

    again, _ = started(tmp_path / "doubts")

    assert [*again.doubts()] == [*catalog.doubts()]
    assert believed(again, ["a", "aa", "dir/x", "dir", "\udcff"]) == ["aa", "dir"]


@given(kept_bytes=st.integers(0, 200), flipped=st.integers(0, 199))
async def test_what_cannot_be_read_doubts_everything(
    tmp_path_factory: pytest.TempPathFactory, kept_bytes: int, flipped: int
) -> None:
    """Cut between two records it lacks what was not on the disk yet, and of that no refresh had said it was."""
    path = tmp_path_factory.mktemp("doubts") / "doubts"
    catalog, doubts = started(path)
    for number in range(4):
        catalog.distrust(ObjectId(BUCKET, f"k{number}"), 50.0)
    await doubts.kept()
    raw = bytearray(path.read_bytes()[:kept_bytes])
    if flipped < len(raw):
        raw[flipped] ^= 1
    records = (len(path.read_bytes()) - 12) // 4
    between = len(raw) >= 12 and (len(raw) - 12) % records == 0 and flipped >= len(raw)
    path.write_bytes(raw)

    again, _ = started(path)

    keys = ["k0", "k1", "k2", "k3"]
    assert believed(again, keys) == (keys[(len(raw) - 12) // records :] if between else [])


async def test_a_doubt_cast_after_a_torn_one_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "doubts"
    catalog, doubts = started(path)
    catalog.distrust(ObjectId(BUCKET, "a"), 50.0)
    await doubts.kept()
    path.write_bytes(path.read_bytes()[:-1])
    catalog, doubts = started(path, now=60.0)

    catalog.distrust(ObjectId(BUCKET, "b"), 70.0)
    await doubts.kept()

    again, _ = started(path)
    assert Doubted(BUCKET, "b", True, 70.0) in [*again.doubts()]
    assert Doubted(b"", "", False, 60.0) in [*again.doubts()]


async def test_the_file_does_not_grow_with_the_number_of_refreshes(tmp_path: Path) -> None:
    path = tmp_path / "doubts"
    catalog, doubts = started(path)
    for number in range(3 * SPARE_RECORDS):
        catalog.distrust(ObjectId(BUCKET, "k"), float(number))
        if number % 256 == 0:
            await doubts.kept()
    await doubts.kept()

    assert path.stat().st_size < (SPARE_RECORDS + 600) * 40
    again, _ = started(path)
    assert [*again.doubts()] == [Doubted(BUCKET, "k", True, 3.0 * SPARE_RECORDS - 1)]


async def test_a_disk_that_takes_no_doubts_is_told_once_and_they_hold_until_the_end(
    tmp_path: Path,
) -> None:
    heard = Heard()
    catalog, doubts = started(tmp_path / "gone" / "doubts", heard=heard)

    for number in range(3):
        catalog.distrust(ObjectId(BUCKET, f"k{number}"), 50.0)
        await doubts.kept()

    assert believed(catalog, ["k0", "k1", "k2"]) == []
    (told,) = heard.warnings
    assert f"cannot be kept in {tmp_path / 'gone' / 'doubts'}: [Errno {errno.ENOENT}] {os.strerror(2)}" in told


async def test_what_a_disk_did_not_take_is_written_when_it_does(tmp_path: Path) -> None:
    path = tmp_path / "late" / "doubts"
    catalog, doubts = started(path)
    catalog.distrust(ObjectId(BUCKET, "a"), 50.0)
    await doubts.kept()
    path.parent.mkdir()

    catalog.distrust(ObjectId(BUCKET, "b"), 60.0)
    await doubts.kept()

    again, _ = started(path)
    assert believed(again, ["a", "b", "c"]) == ["c"]
