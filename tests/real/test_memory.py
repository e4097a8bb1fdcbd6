"""Memory: whatever slow readers do, a node's resident memory stays under idle + budget + 64 MiB."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.stage import own_region
from tests.real.conftest import Note
from tests.real.lab.load import Get, Loaded, get, load
from tests.real.lab.nodes import Node, Place, node
from tests.real.lab.reads import Thing, put
from tests.real.lab.regions import BUCKET, HOME, credentials
from tests.real.lab.s3 import S3Server, versitygw
from tests.real.lab.sign import Keys

pytestmark = pytest.mark.real
MIB, GIB = 1 << 20, 1 << 30
# Beyond idle and budget (the issue): allocator, index, heads of requests.
BESIDES = 64 * MIB
# A reader whose kernel holds little, so that its slowness is felt by the node.
RECEIVE_BUFFER = 64 * 1024
NOTHING_KEPT = {"lines": {}, "cache": [{"match": "/ns/data/**", "admit": "never"}]}


@dataclass(frozen=True, slots=True)
class Stage:
    """One node in its bucket's region, its budget (bytes), and what was resident before anybody read much."""

    store: S3Server
    node: Node
    key: Keys
    budget: int
    idle: int
    directory: Path

    def get(self, thing: Thing) -> Get:
        return get(self.node.address, BUCKET, thing.key, self.key, size=thing.size, shift=thing.shift)

    def load(self, gets: Sequence[Get], connections: int, rate: float) -> Loaded:
        return load(
            self.node.address,
            gets,
            self.directory,
            connections=connections,
            rate=rate,
            receive_buffer=RECEIVE_BUFFER,
        )

    @property
    def grown(self) -> int:
        """The most that was ever resident above idle, bytes."""
        return self.node.process.peak_bytes() - self.idle


@contextmanager
def stage(directory: Path, budget: int, rules: dict[str, object] | None = None) -> Iterator[Stage]:
    with versitygw(directory) as store:
        assert store.root is not None
        (store.root / BUCKET).mkdir()
        place = Place(HOME, directory / HOME)
        with node(place, memory=f"{budget // MIB}MiB", cache="20GiB", env=credentials()) as running:
            running.apply(own_region(store.url), rules or {"lines": {}})
            key = running.key("reader", "rec", "/ns/data")
            first = Thing("first", MIB, 0)
            put(store, [first], directory)
            load(running.address, [get(running.address, BUCKET, "first", key, size=MIB)], directory)
            yield Stage(store, running, key, budget, running.process.resident_bytes(), directory)


def read_slowly(on: Stage, things: list[Thing], readers: int, rate: float, note: Note) -> None:
    """Puts the things and lets `readers` read them at once, all or each its own, at `rate` bytes/s each at most."""
    put(on.store, things, on.directory)
    gets = [on.get(things[number % len(things)]) for number in range(readers)]

    seen = on.load(gets, readers, rate)

    note(
        f"{readers} readers of {sum(one.size for one in things) // MIB} MiB in {len(things)}, {seen.seconds:.0f} s",
        f"{on.grown / MIB:.0f} MiB above idle ({on.idle / MIB:.0f} MiB)",
        f"<= {(on.budget + BESIDES) // MIB} MiB",
    )
    assert seen.faults == ()
    assert seen.count == readers
    assert on.grown <= on.budget + BESIDES


def some_things(prefix: str, count: int, size: int) -> list[Thing]:
    return [Thing(f"{prefix}/{number:03}", size, number % 16) for number in range(count)]


def test_slow_readers_of_one_cold_object_hold_no_more_than_the_budget(tmp_path: Path, note: Note) -> None:
    with stage(tmp_path, 64 * MIB) as on:
        read_slowly(on, some_things("one", 1, 64 * MIB), 32, 16 * MIB, note)


def test_slow_readers_of_many_cold_objects_hold_no_more_than_the_budget(tmp_path: Path, note: Note) -> None:
    with stage(tmp_path, 64 * MIB) as on:
        read_slowly(on, some_things("many", 64, 8 * MIB), 64, 4 * MIB, note)


def test_slow_readers_of_what_is_not_kept_hold_no_more_than_the_budget(tmp_path: Path, note: Note) -> None:
    with stage(tmp_path, 64 * MIB, NOTHING_KEPT) as on:
        read_slowly(on, some_things("unkept", 32, 16 * MIB), 32, 2 * MIB, note)


@pytest.mark.soak
def test_64_slow_readers_of_1_gib_hold_no_more_than_256_mib(tmp_path: Path, note: Note) -> None:
    with stage(tmp_path, 256 * MIB) as on:
        read_slowly(on, some_things("one", 1, GIB), 64, 10 * MIB, note)


@pytest.mark.soak
@pytest.mark.parametrize("rules", [None, NOTHING_KEPT], ids=["kept", "not kept"])
def test_64_slow_readers_of_64_objects_hold_no_more_than_256_mib(
    tmp_path: Path, rules: dict[str, object] | None, note: Note
) -> None:
    with stage(tmp_path, 256 * MIB, rules) as on:
        read_slowly(on, some_things("many", 64, 64 * MIB), 64, 4 * MIB, note)
