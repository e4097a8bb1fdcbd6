"""Faults around a running node: a full disk, a flipped bit, a stop in mid-reply, two processes on one cache path."""

import contextlib
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.real.lab.load import get, load, loading
from tests.real.lab.nodes import Node, Place, node
from tests.real.lab.reads import Stage, Thing, ledger, stage
from tests.real.lab.regions import BUCKET, HOME, LINE, credentials, policy
from tests.real.lab.sign import Keys

pytestmark = pytest.mark.real
KIB, MIB = 1 << 10, 1 << 20
HEADER_BYTES = 16 * KIB  # of an extent file, before its first page
SMALL, LARGE = Thing("faults/small", 100 * KIB, 3), Thing("faults/large", 5 * MIB + 7, 4)


def read(at: Node, thing: Thing, key: Keys, directory: Path) -> None:
    """Reads a thing whole, and every byte must be right."""
    seen = load(at.address, [get(at.address, BUCKET, thing.key, key, size=thing.size, shift=thing.shift)], directory)
    assert (seen.faults, seen.bytes) == ((), thing.size)


# ---- a full disk ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def tmpfs(path: Path, nbytes: int) -> Iterator[Path]:
    """A file system of its own."""
    path.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={nbytes}", "none", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def fill(directory: Path) -> None:
    """Leaves not one block free."""
    with (directory / "filler").open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(bytes(64 * KIB))


@pytest.mark.root
def test_on_a_full_disk_reads_go_on_and_nothing_is_kept(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", 32 * MIB) as disk:
        cache = {"cache": {"paths": [str(disk)], "size": "90%"}}
        with stage(tmp_path, policy("10Gbps"), settings=cache) as pair:
            pair.put([SMALL, LARGE])
            away = pair.regions.away
            fill(disk)

            for thing in (LARGE, SMALL, LARGE, SMALL):
                read(away, thing, pair.key, tmp_path)
                pair.settle()

            assert away.metric("causeway_cache_bytes", state="clean") == 0
            assert dict(pair.kinds()) == {"unique": 2 * (SMALL.size + LARGE.size)}
            assert pair.regions.line.settled().payload == 2 * (SMALL.size + LARGE.size)
            (disk / "filler").unlink()
            for _ in range(200):
                read(away, LARGE, pair.key, tmp_path)
                if away.metric("causeway_cache_bytes", state="clean"):
                    return
            pytest.fail("with room on the disk again, nothing is kept")


# ---- a flipped bit -------------------------------------------------------------------------------------------------

EXTENT, SEGMENT = "extents/*/*", "packs/*.seg"
FLIPS = {  # name: (size of the object, file it lies in, where in what was written of it)
    "page": (5 * MIB + 7, EXTENT, HEADER_BYTES + 3 * MIB + 77),
    "last byte": (5 * MIB + 7, EXTENT, HEADER_BYTES + 5 * MIB + 6),
    "identity": (5 * MIB + 7, EXTENT, 40),
    "presence": (5 * MIB + 7, EXTENT, 4096 + 12),
    "checksums": (5 * MIB + 7, EXTENT, 8192 + 8),
    "packed object": (100 * KIB, SEGMENT, 50_000),
    "head of a packed object": (100 * KIB, SEGMENT, 20),
}
SPOILT = {
    "page": MIB,
    "last byte": 7,
    "checksums": MIB,
    "packed object": 100 * KIB,
    "head of a packed object": 100 * KIB,
}
"""Bytes that must come again for a flip."""


def spoil(pair: Stage, thing: Thing, pattern: str, offset: int) -> Callable[[], None]:
    """Reads a thing into the cache; returns what flips its bit."""
    away, cache = pair.regions.away, pair.regions.away.place.directory / "cache"
    before = {path: path.stat().st_size for path in cache.glob(pattern)}
    pair.put([thing])
    read(away, thing, pair.key, pair.directory)
    pair.settle()
    grown = [path for path in cache.glob(pattern) if path.stat().st_size > before.get(path, 0)]
    assert len(grown) == 1
    return lambda: flip(grown[0], before.get(grown[0], 0) + offset)


def flip(path: Path, offset: int) -> None:
    """Turns one bit over."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("flips"), policy("10Gbps")) as running:
        yield running


@pytest.fixture(scope="module")
def restarted(pair: Stage) -> Iterator[Node]:
    """The node away from the bucket, started again on a cache with a flipped bit in each of several files."""
    flips = [
        spoil(pair, Thing(f"stood/{where}", size, 40 + number), pattern, offset)
        for number, (where, (size, pattern, offset)) in enumerate(FLIPS.items())
    ]
    pair.regions.away.process.stop()
    for each in flips:
        each()
    with node(pair.regions.away.place, far=[HOME], env=credentials()) as again:
        yield again


def read_twice(at: Node, pair: Stage, thing: Thing) -> tuple[dict[str, int], float]:
    """Reads a thing twice; returns what crossed the line, by kind, and how many pages were found corrupt.

    A reader has its bytes before they are counted and kept.
    """
    before, corrupt = ledger(at, line=LINE), at.metric("causeway_cache_corrupt_pages_total")
    for _ in range(2):
        read(at, thing, pair.key, pair.directory)
        at.process.wait_until(lambda: not at.metric("causeway_flights"))
    return dict(ledger(at, line=LINE) - before), at.metric("causeway_cache_corrupt_pages_total") - corrupt


@pytest.mark.parametrize("where", ["page", "last byte", "packed object", "head of a packed object"])
def test_a_bit_that_flips_under_a_running_node_is_a_miss_and_is_counted(pair: Stage, where: str) -> None:
    size, pattern, offset = FLIPS[where]
    thing = Thing(f"ran/{where}", size, 20 + list(FLIPS).index(where))
    spoil(pair, thing, pattern, offset)()

    assert read_twice(pair.regions.away, pair, thing) == ({"refetch": SPOILT[where]}, 1)


@pytest.mark.parametrize("where", ["identity", "presence"])
def test_a_bit_that_flips_in_a_header_under_a_running_node_costs_nothing(pair: Stage, where: str) -> None:
    size, pattern, offset = FLIPS[where]
    thing = Thing(f"ran/{where}", size, 20 + list(FLIPS).index(where))
    spoil(pair, thing, pattern, offset)()

    assert read_twice(pair.regions.away, pair, thing) == ({}, 0)


@pytest.mark.parametrize("where", SPOILT)
def test_a_bit_that_flipped_before_the_start_is_a_miss_and_is_counted(pair: Stage, restarted: Node, where: str) -> None:
    thing = Thing(f"stood/{where}", FLIPS[where][0], 40 + list(FLIPS).index(where))

    assert read_twice(restarted, pair, thing) == ({"refetch": SPOILT[where]}, 1)


def test_a_file_whose_header_has_a_flipped_bit_is_dropped_at_the_start_and_counted(
    pair: Stage, restarted: Node
) -> None:
    # Two here, and those whose header the tests above flipped under the running node.
    assert 2 <= restarted.metric("causeway_cache_dropped_files_total") <= 4
    for where in ("identity", "presence"):
        size, _, _ = FLIPS[where]
        thing = Thing(f"stood/{where}", size, 40 + list(FLIPS).index(where))

        assert read_twice(restarted, pair, thing) == ({"unique": size}, 0)


# ---- stops and starts ----------------------------------------------------------------------------------------------


def test_a_running_reply_is_finished_when_the_node_is_told_to_stop(tmp_path: Path) -> None:
    thing = Thing("long", 40 * MIB, 5)
    with stage(tmp_path, policy("10Gbps")) as pair:
        pair.put([thing])
        away = pair.regions.away
        gets = [get(away.address, BUCKET, thing.key, pair.key, size=thing.size, shift=thing.shift)]
        with loading(away.address, gets, tmp_path, rate=15 * MIB, receive_buffer=64 * KIB) as slow:
            while away.metric("causeway_asked_bytes_total") == 0:
                slow.process.check()

            away.process.process.send_signal(signal.SIGTERM)

            seen = slow.result()
        assert (seen.faults, seen.bytes) == ((), thing.size)
        assert away.process.process.wait(60) == 0


def test_a_second_node_on_the_same_cache_path_says_so_and_leaves(tmp_path: Path) -> None:
    with stage(tmp_path, policy("10Gbps")) as pair:
        place = pair.regions.away.place
        other = Place(place.region, tmp_path / "other")
        cache = {"cache": {"paths": [str(place.directory / "cache")], "size": "1GiB"}}
        second = node(other, far=[HOME], env=credentials(), settings=cache)

        with pytest.raises(ChildProcessError, match="exited with 1"):
            second.__enter__()

        told = (tmp_path / "other" / f"node-{place.region}.log").read_text()
        assert len(told.splitlines()) == 1, told
        assert str(place.directory / "cache") in told
        pair.put([LARGE])
        read(pair.regions.away, LARGE, pair.key, tmp_path)
