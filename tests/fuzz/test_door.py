"""A real node under fuzzed requests: no crash, no hang, no 5xx that is not S3's, no growth in memory."""

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.bench.stage import own_region
from tests.fuzz.grammar import request
from tests.fuzz.sender import Seen, send
from tests.real.conftest import Note
from tests.real.lab.nodes import Place, node
from tests.real.lab.regions import BUCKET, HOME, credentials
from tests.real.lab.s3 import versitygw, write_ramp

pytestmark = pytest.mark.real
MIB = 1 << 20
THREADS = 8
GROWTH = 24 * MIB
"""Beyond what it had after the first part: tables with bounds fill, allocators settle."""


def fuzz(directory: Path, count: int, seed: str, note: Note) -> None:
    """Sends so many requests, an eighth of them first to warm up, and sees what the node is afterwards."""
    with versitygw(directory) as store, node(Place(HOME, directory / HOME), env=credentials()) as on:
        assert store.root is not None
        (store.root / BUCKET).mkdir()
        for key, size in (("small", 1000), ("large", 3 * MIB)):
            store.put_file(BUCKET, key, write_ramp(directory / key, size, 0))
        on.apply(own_region(store.url))
        keys = on.key("reader", "rec", "/ns/data")
        host, _, port = on.address.partition(":")
        seen = Seen()

        def part(number: int, requests: int) -> None:
            draw = random.Random(f"{seed}-{number}")
            for _ in range(requests):
                send((host, int(port)), request(draw, keys, on.address).data, seen)

        def all_parts(first: int, requests: int) -> None:
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(part, range(first, first + THREADS), [requests] * THREADS))

        all_parts(0, count // 8 // THREADS)
        warm = on.process.resident_bytes()
        all_parts(THREADS, (count - count // 8) // THREADS)
        grown = on.process.resident_bytes() - warm

        on.process.check()
        body = on.client(keys).get_object(Bucket=BUCKET, Key="large")["Body"].read()
        told = ", ".join(f"{status} {times}" for status, times in sorted(seen.statuses.items()))
        note(f"{count} fuzzed requests (seed {seed})", f"{told}, {seen.silent} without an answer", "no other 5xx")
        note("memory after them", f"{grown / MIB:.1f} MiB more", f"<= {GROWTH // MIB} MiB")
        assert not seen.wrong, f"seed {seed}: {len(seen.wrong)} wrong, the first: " + "\n".join(seen.wrong[:5])
        assert len(body) == 3 * MIB
        assert grown <= GROWTH


def test_a_door_bears_whatever_is_sent(tmp_path: Path, note: Note) -> None:
    fuzz(tmp_path, 2_400, "first", note)


@pytest.mark.soak
def test_a_door_bears_a_hundred_thousand_requests(tmp_path: Path, note: Note) -> None:
    fuzz(tmp_path, 100_000, "soak", note)
