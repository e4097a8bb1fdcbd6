"""Restarts: a node that is killed in mid-fill keeps its pages and asks for little again; a large index is soon read."""

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.pairs import UNITS
from namespace import codec
from regioncache.lines.buffers import SMALL_BUFFER
from regioncache.pages import Meta, ObjectId, Version
from regioncache.store.base import HEADER_BYTES, StoreSettings
from regioncache.store.header import PRESENCE_AT, Identity, encode_identity, encode_presence
from regioncache.store.identity import object_digest
from regioncache.store.store import Store
from tests.fakes.ramp import ramp
from tests.real.conftest import Note
from tests.real.lab.load import get, loading
from tests.real.lab.nodes import Node, Place, node
from tests.real.lab.process import answers
from tests.real.lab.proxy import Report
from tests.real.lab.reads import PAGE, STEP, Stage, Thing, crossed, ledger, stage
from tests.real.lab.regions import BUCKET, HOME, LINE, credentials, policy, topology
from tests.real.lab.sockets import largest_by_itself

pytestmark = pytest.mark.real
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


# ---- killed in mid-fill --------------------------------------------------------------------------------------------


def read_whole(on: Stage, at: Node, thing: Thing) -> None:
    """Reads until the node serves the thing whole, and every byte must be right."""
    one = get(at.address, BUCKET, thing.key, on.key, size=thing.size, shift=thing.shift)
    give_up = time.monotonic() + 60
    while (seen := on.load([one])).statuses != {200: 1}:
        assert set(seen.statuses) <= {503}, seen.faults
        assert time.monotonic() < give_up, seen.faults
    assert (seen.faults, seen.bytes) == ((), thing.size)


def killed_in_mid_fill(on: Stage, thing: Thing, victim: str, note: Note) -> None:
    """Reads a cold thing, kills a node when 40 % have crossed, starts it again and reads: counts what came again."""
    on.put([thing])
    regions = on.regions
    regions.line.reset()
    regions.origin.reset()
    # However late the kill comes, it comes in mid-fill.
    regions.line.pause_after(thing.size * 3 // 5)
    fell = regions.away if victim == "away" else regions.home
    one = get(regions.away.address, BUCKET, thing.key, on.key, size=thing.size, shift=thing.shift)
    with loading(regions.away.address, [one], on.directory) as reader:
        while regions.line.report().payload < thing.size * 2 // 5:
            reader.process.check()
        fell.process.kill()
        stood_near, stood_far = regions.line.report().accepted, regions.origin.report().accepted
        regions.line.resume()
        cut = reader.result()
        with again(fell) as back:
            away = back if victim == "away" else regions.away
            read_whole(on, away, thing)
            kinds = ledger(away, line=LINE)
    assert cut.bytes < thing.size
    over_line, from_origin = regions.line.settled(), regions.origin.settled()
    # A connection holds one answer at most; even one that had come whole may not have been read.
    lost_near, lost_far = stood_near * (PAGE + over_line.buffer), stood_far * (PAGE + largest_by_itself())
    crossed_outside = over_line.payload_of("GET", "/read?")
    told = f"refetch {kinds['refetch']} B, line {crossed_outside} B, origin {from_origin.payload} B"
    note(f"killed {victim} filling {thing.size // MIB} MiB", f"{told}, {dict(kinds)}", f"refetch <= {lost_near} B")
    assert {one.status for one in from_origin.exchanges if one.whole} <= {200, 206}
    assert kinds["refetch"] <= lost_near
    assert crossed_outside <= thing.size + lost_near
    assert thing.size <= crossed_outside + over_line.unsure
    # Not the list by which a node finds out that the bucket is there again.
    read = from_origin.payload_of("GET", thing.key)
    assert read <= thing.size + lost_far
    assert thing.size <= read + from_origin.unsure_of("GET", thing.key)
    assert_counted(kinds, over_line)


def assert_counted(kinds: Counter[str], over_line: Report) -> None:
    """The ledger is never below what passed outside, and above it by what connections cut short may have held."""
    outside = over_line.payload_of("GET", "/read?")
    # Room is kept for a small buffer before it is known what the kernel has made of a smaller one.
    held = max(over_line.buffer, 2 * SMALL_BUFFER) + STEP
    spare = sum(not one.whole for one in over_line.exchanges) * held
    assert outside <= crossed(kinds) <= outside + over_line.unsure + spare


@contextlib.contextmanager
def again(fell: Node) -> Iterator[Node]:
    """Starts a node where it was."""
    other = "aws-use1" if fell.place.region == HOME else HOME
    with node(fell.place, far=[other], env=credentials()) as back:
        back.process.wait_until(answers(f"{back.admin}/readyz"))
        yield back


@pytest.mark.parametrize("victim", ["away", "home"])
def test_a_node_killed_in_mid_fill_asks_for_one_page_a_stream_again(tmp_path: Path, victim: str, note: Note) -> None:
    with stage(tmp_path, policy("10Gbps")) as on:
        killed_in_mid_fill(on, Thing("killed", 150 * MIB + 12_345, 9), victim, note)


@pytest.mark.soak
@pytest.mark.parametrize("victim", ["away", "home"])
def test_a_node_killed_while_1_gib_fills_asks_for_one_page_a_stream_again(
    tmp_path: Path, victim: str, note: Note
) -> None:
    with stage(tmp_path, policy("2Gbps")) as on:
        killed_in_mid_fill(on, Thing("killed", GIB, 9), victim, note)


# ---- a large index -------------------------------------------------------------------------------------------------


def bucket_id(document: dict[str, Any]) -> bytes:
    return codec.topology(document, UNITS).buckets["data-bj"].id


def about(number: int, size: int) -> Meta:
    version = Version(f'"{number:032x}"')
    return Meta(version, size, version, 1.7e9, "binary/octet-stream", (), time.time())


def make_extents(cache: Path, bucket: bytes, count: int) -> None:
    """Writes the files of `count` extents as a node leaves them: header, and pages that are holes."""
    size = 300 * KIB
    presence = encode_presence(1, [])
    for folder in range(256):
        (cache / f"extents/{folder:02x}").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        oid = ObjectId(bucket, f"extents/{number:07}")
        name = f"{object_digest(oid):032x}"
        first = encode_identity(Identity(oid, about(number, size), 0, MIB))
        file = os.open(cache / f"extents/{name[:2]}/{name}-{number + 1:08x}", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.pwrite(file, first.ljust(PRESENCE_AT, b"\0") + presence, 0)
        os.ftruncate(file, HEADER_BYTES + size)
        os.close(file)


async def pack_many(cache: Path, bucket: bytes, count: int) -> None:
    """Packs `count` objects of 16 bytes by the store itself."""
    store = await Store.open(StoreSettings((cache,), 100 * GIB))
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            assert await store.pack(ObjectId(bucket, f"packed/{number:07}"), about(number, 16), ramp(0, 16, number))

    try:
        await asyncio.gather(*(work() for _ in range(64)))
    finally:
        await store.close()


def some_of(count: int) -> list[int]:
    return [0, count // 2, count - 1] if count else []


def started(place: Place, extents: int, packed: int) -> tuple[float, float, int]:
    """Starts a node on so many objects; returns seconds till ready, its CPU seconds, and resident bytes above idle."""
    document = topology("http://127.0.0.1:9", "127.0.0.1:9")
    bucket, cache = bucket_id(document), place.directory / "cache"
    settings = {"cache": {"paths": [str(cache)], "size": "60GiB"}}
    with node(place, env=credentials(), settings=settings) as empty:
        empty.apply(document)
        key = empty.key("reader", "rec", "/ns/data")
        idle = empty.process.resident_bytes()
    make_extents(cache, bucket, extents)
    asyncio.run(pack_many(cache, bucket, packed))
    begun = time.monotonic()
    with node(place, env=credentials(), settings=settings) as full:
        full.process.wait_until(answers(f"{full.admin}/readyz"))
        ready = time.monotonic() - begun
        cpu, grown = full.process.cpu_seconds(), full.process.resident_bytes() - idle
        # The bucket cannot be asked: what is answered comes from the index that was read.
        for number in some_of(packed):
            name = f"packed/{number:07}"
            assert full.client(key).get_object(Bucket=BUCKET, Key=name)["Body"].read() == ramp(0, 16, number)
        for number in some_of(extents):
            head = full.client(key).head_object(Bucket=BUCKET, Key=f"extents/{number:07}")
            assert (head["ContentLength"], head["ETag"]) == (300 * KIB, f'"{number:032x}"')
    return ready, cpu, grown


@pytest.mark.parametrize(("extents", "packed"), [(500, 0), (0, 2_000)], ids=["extents", "packed objects"])
def test_a_restart_serves_what_was_kept_while_the_bucket_is_away(tmp_path: Path, extents: int, packed: int) -> None:
    started(Place(HOME, tmp_path / HOME), extents, packed)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("extents", "packed", "seconds"), [(100_000, 0, 5.0), (0, 1_000_000, 15.0)], ids=["extents", "packed objects"]
)
def test_a_large_index_is_soon_read_and_small(
    tmp_path: Path, extents: int, packed: int, seconds: float, note: Note
) -> None:
    ready, cpu, grown = started(Place(HOME, tmp_path / HOME), extents, packed)
    each = grown / (extents + packed)

    what = f"index of {extents} extents and {packed} packed objects"
    told = f"ready after {ready:.1f} s ({cpu:.1f} s of CPU), {each:.0f} B resident each ({grown / MIB:.0f} MiB)"
    note(what, told, f"< {seconds:.0f} s, <= 400 B each")
    assert each <= 400
    assert ready < seconds
