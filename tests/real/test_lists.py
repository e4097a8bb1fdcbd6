"""Lists: every key under a prefix over a line, complete and in order, cold and again from what is kept."""

from pathlib import Path

import pytest

from tests.bench.stage import put_many
from tests.real.conftest import Note
from tests.real.lab.load import list_all
from tests.real.lab.reads import Stage, stage
from tests.real.lab.regions import BUCKET, policy
from tests.real.lab.sign import Keys

pytestmark = pytest.mark.real


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
