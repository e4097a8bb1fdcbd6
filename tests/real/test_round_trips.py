"""Round trips: 200 Mbit/s by policy over 40 ms each way, by packet. Right bytes always, figures with `-m soak`."""

import statistics
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest

from tests.bench.stage import put_many
from tests.real.conftest import Note
from tests.real.lab.load import Loaded, get
from tests.real.lab.longregions import WITHOUT_NET_ADMIN, LongRegions, long_regions
from tests.real.lab.reads import crossed, ledger
from tests.real.lab.regions import BUCKET, LINE
from tests.real.lab.sign import Keys

pytestmark = [pytest.mark.real, pytest.mark.root]
KIB, MIB = 1 << 10, 1 << 20
QUOTA = 200e6 / 8
OVERHEAD = 1.06
ROUND_TRIP = 0.080
SMALL_RMEM = 212992
"""net.core.rmem_max as most distributions leave it."""


@pytest.fixture(scope="module", params=["any buffer", "small buffers"])
def regions(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LongRegions]:
    """Two regions far apart; with small buffers, the near node may have 212992 bytes for each connection at most."""
    small = request.param == "small buffers"
    before = WITHOUT_NET_ADMIN if small else ()
    with (
        rmem_max(SMALL_RMEM) if small else nullcontext(),
        long_regions(tmp_path_factory.mktemp("long"), "200 Mbit/s", before=before) as running,
    ):
        key = running.away.key("warmer", "rec", "/ns/data")
        read_cold(running, key, "warm-up/", 4, MIB, 1)
        yield running


any_buffer = pytest.mark.parametrize("regions", ["any buffer"], indirect=True)


@contextmanager
def rmem_max(nbytes: int) -> Iterator[None]:
    """Sets net.core.rmem_max, for the whole machine, and puts it back."""
    was = subprocess.check_output(["sysctl", "-n", "net.core.rmem_max"], text=True).strip()
    subprocess.run(["sysctl", "-qw", f"net.core.rmem_max={nbytes}"], check=True)
    try:
        yield
    finally:
        subprocess.run(["sysctl", "-qw", f"net.core.rmem_max={was}"], check=True)


def read_cold(regions: LongRegions, key: Keys, prefix: str, count: int, size: int, connections: int) -> Loaded:
    """Puts `count` objects that no cache has seen and reads each once; every byte is compared."""
    made = put_many(regions.store, prefix, count, size, different=min(count, 16))
    gets = [get(regions.away.address, BUCKET, name, key, size=size, shift=shift) for name, shift in made]
    before, cpu = ledger(regions.away, line=LINE), cpu_seconds(regions)
    seen = regions.load(gets, connections)
    kinds, cpu = ledger(regions.away, line=LINE) - before, cpu_seconds(regions) - cpu
    told = f"{seen.seconds:.2f} s ({cpu:.2f} s of CPU in both nodes), {100 * share(seen):.1f} % of the quota"
    print(f"{prefix} {count} x {size} B: {told}, {told_first(seen)}, {dict(kinds)}")
    assert seen.faults == ()
    assert seen.count == count
    assert crossed(kinds) == kinds["unique"] == count * size
    return seen


def cpu_seconds(regions: LongRegions) -> float:
    return regions.home.process.cpu_seconds() + regions.away.process.cpu_seconds()


def share(seen: Loaded) -> float:
    """The part of the quota that was debited."""
    return seen.bytes * OVERHEAD / seen.seconds / QUOTA


def told_first(seen: Loaded) -> str:
    return f"{1000 * statistics.median(seen.first):.0f} ms (most {1000 * max(seen.first):.0f} ms)"


@any_buffer
def test_what_comes_over_a_long_line_is_right_and_comes_once(regions: LongRegions):
    key = regions.away.key("short", "rec", "/ns/data")

    read_cold(regions, key, "large/", 1, 20 * MIB + 7, 1)
    read_cold(regions, key, "small/", 200, 100 * KIB, 32)


@pytest.mark.soak
def test_one_sequential_reader_gets_80_percent_of_the_quota(regions: LongRegions, note: Note):
    key = regions.away.key("one", "rec", "/ns/data")

    seen = read_cold(regions, key, "sequential/", 1, 512 * MIB, 1)

    note("one sequential reader, 512 MiB", f"{100 * share(seen):.1f} % of the quota", ">= 80 %")
    assert share(seen) >= 0.80


@pytest.mark.soak
@pytest.mark.parametrize("size", [100 * KIB, MIB, 5 * MIB])
def test_the_first_byte_of_a_cold_object_takes_one_round_trip(regions: LongRegions, size: int, note: Note):
    key = regions.away.key(f"first{size}", "rec", "/ns/data")

    seen = read_cold(regions, key, f"first{size}/", 40, size, 1)

    note(f"first byte of cold objects of {size // KIB} KiB", told_first(seen), "<= 100 ms")
    assert statistics.median(seen.first) <= ROUND_TRIP + 0.020


@pytest.mark.soak
def test_small_objects_at_32_connections_get_85_percent_of_what_is_possible(regions: LongRegions, note: Note):
    key = regions.away.key("many", "rec", "/ns/data")
    possible = min(QUOTA, 32 * 100 * KIB * OVERHEAD / ROUND_TRIP)

    seen = read_cold(regions, key, "many/", 10_000, 100 * KIB, 32)

    rate = seen.bytes * OVERHEAD / seen.seconds
    note("10,000 objects of 100 KiB at 32 connections", f"{100 * rate / possible:.1f} % of what is possible", ">= 85 %")
    assert rate >= 0.85 * possible
