"""Lists: every key under a prefix over a line, complete and in order, cold and again from what is kept."""

import contextlib
import sys
import time
from pathlib import Path

import pytest

from tests.bench.stage import own_region, put_many
from tests.real.conftest import Note
from tests.real.lab.keyprocess import PREFIX, key
from tests.real.lab.load import list_all
from tests.real.lab.nodes import PROGRAM, Place, node
from tests.real.lab.process import child, free_port, listens
from tests.real.lab.reads import Stage, stage
from tests.real.lab.regions import BUCKET, HOME, credentials, policy
from tests.real.lab.sign import Keys

pytestmark = pytest.mark.real
MIB = 1 << 20
KEPT = 64 * MIB
"""What kept pages of lists may take (design, section 4)."""
BESIDES = 64 * MIB


def list_twice(on: Stage, count: int, note: Note) -> float:
    """Lists `count` keys cold and again; returns the seconds of the second time."""
    put_many(on.regions.store, "list/", count, 16, different=4)
    wanted = [f"list/{number:06}".encode() for number in range(count)]
    away, origin = on.regions.away.address, on.regions.origin
    straight, origin_seconds = list_all(
        on.regions.store.address, BUCKET, "list/", Keys(on.regions.store.access, on.regions.store.secret)
    )
    origin.reset()

    cold, cold_seconds = list_all(away, BUCKET, "list/", on.key)
    asked = len(origin.report().of("GET", "list-type=2"))
    again, again_seconds = list_all(away, BUCKET, "list/", on.key)

    told = f"{cold_seconds:.2f} s, the origin itself {origin_seconds:.2f} s, again {again_seconds:.2f} s"
    note(f"list of {count} keys over a line", told, "<= 1.2x of the origin's own; again <= 1 s")
    assert straight == wanted
    assert cold == again == wanted
    assert len(origin.report().of("GET", "list-type=2")) == asked == count // 1000
    return again_seconds


def test_5000_keys_are_listed_in_order_and_again_without_asking_the_bucket(tmp_path: Path, note: Note) -> None:
    with stage(tmp_path, policy("10Gbps")) as on:
        list_twice(on, 5_000, note)


def test_a_list_through_the_whole_tree_is_the_same_list(tmp_path: Path) -> None:
    with stage(tmp_path, policy("10Gbps")) as on:
        put_many(on.regions.store, "list/", 2_500, 16, different=4)

        by_tree, _ = list_all(on.regions.away.address, "ns", f"{BUCKET}/list/", on.key)

        assert by_tree == [f"{BUCKET}/list/{number:06}".encode() for number in range(2_500)]


@pytest.mark.soak
def test_100000_keys_are_listed_in_order_and_again_within_a_second(tmp_path: Path, note: Note) -> None:
    with stage(tmp_path, policy("10Gbps")) as on:
        assert list_twice(on, 100_000, note) <= 1.0


def walk(directory: Path, count: int, note: Note) -> None:
    """Lists so many keys through a node by S3 and by `causeway ls`, and sees what that took of memory."""
    port = free_port()
    process = [sys.executable, "-m", "tests.real.lab.keyprocess", str(port), str(count)]
    place = Place(HOME, directory / HOME)
    with child("keys", process, directory) as keys, node(place, env=credentials()) as on:
        keys.wait_until(listens("127.0.0.1", port))
        on.apply(own_region(f"http://127.0.0.1:{port}"))
        reader = on.key("reader", "rec", "/ns/data")
        list_all(on.address, BUCKET, key(0)[:-1], reader)
        idle = on.process.resident_bytes()

        ls_bytes, lines = _ls(on.place.config, directory)
        found, seconds = list_all(on.address, BUCKET, PREFIX, reader)

        grown = on.process.peak_bytes() - idle
        told = f"{seconds:.1f} s, {grown / MIB:.0f} MiB above idle; `causeway ls -r` has {ls_bytes / MIB:.0f} MiB"
        note(f"list of {count} keys", told, f"<= {(KEPT + BESIDES) // MIB} MiB")
        assert found == [key(number).encode() for number in range(count)]
        assert lines == count
        assert grown <= KEPT + BESIDES
        assert ls_bytes <= 128 * MIB


def _ls(config: Path, directory: Path) -> tuple[int, int]:
    """Runs `causeway ls -r`; returns its most resident bytes, and how many names it printed."""
    args, most = [PROGRAM, "ls", "--recursive", "--json", "/ns/data"], 0
    with child("ls", args, directory, env={"CAUSEWAY_CONFIG": str(config)}) as listing:
        while listing.process.poll() is None:
            with contextlib.suppress(OSError, StopIteration):  # it has just ended
                most = max(most, listing.peak_bytes())
            time.sleep(0.01)
    assert listing.process.returncode == 0
    with listing.log.open("rb") as text:
        return most, sum(b'"path"' in line for line in text)


def test_20000_keys_are_listed_in_bounded_memory(tmp_path: Path, note: Note) -> None:
    walk(tmp_path, 20_000, note)


@pytest.mark.soak
def test_a_million_keys_are_listed_in_bounded_memory(tmp_path: Path, note: Note) -> None:
    walk(tmp_path, 1_000_000, note)
