"""Pins made by commands: durable, recorded with author and time, also in a file that knew none."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from namespace.store.base import PinChange, PinnedPath
from namespace.store.embedded import EmbeddedStore

FIRST = PinnedPath("/ns/train/val", "ann", 10.0, 5 << 30)
SECOND = PinnedPath("/ns/a", "bob", 20.0, None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    opened = EmbeddedStore(tmp_path / "namespace.db")
    yield opened
    opened.close()


def test_pins_are_there_after_a_restart_with_who_made_them(store: EmbeddedStore) -> None:
    store.add_pin(FIRST)
    store.add_pin(SECOND)
    store.close()

    again = EmbeddedStore(store.path)

    assert again.pins() == (SECOND, FIRST)
    assert again.pin_changes() == (
        PinChange(20.0, "bob", "pinned", "/ns/a"),
        PinChange(10.0, "ann", "pinned", FIRST.path),
    )
    again.close()


def test_a_path_pinned_again_has_one_pin_the_later(store: EmbeddedStore) -> None:
    later = PinnedPath(FIRST.path, "bob", 30.0, 1)
    store.add_pin(FIRST)

    store.add_pin(later)

    assert store.pins() == (later,)


def test_what_is_unpinned_is_gone_and_recorded(store: EmbeddedStore) -> None:
    store.add_pin(FIRST)

    removed = store.remove_pin(FIRST.path, "bob", 40.0)

    assert removed == FIRST
    assert store.pins() == ()
    assert store.pin_changes()[0] == PinChange(40.0, "bob", "unpinned", FIRST.path)


def test_what_is_not_pinned_by_that_very_path_is_not_unpinned(store: EmbeddedStore) -> None:
    store.add_pin(FIRST)

    assert store.remove_pin("/ns/train", "bob", 40.0) is None
    assert store.pins() == (FIRST,)
    assert len(store.pin_changes()) == 1


def test_a_file_of_the_layout_before_pins_keeps_all_it_has(store: EmbeddedStore) -> None:
    store.apply({"policy": ""}, "ann", 1.0)
    store.close()
    with sqlite3.connect(store.path) as database:
        database.execute("DROP TABLE pins")
        database.execute("DROP TABLE pin_changes")
        database.execute("ALTER TABLE keys DROP COLUMN regions")
        database.execute("PRAGMA user_version = 1")
    database.close()

    again = EmbeddedStore(store.path)

    again.add_pin(FIRST)
    assert again.revision() == 1
    assert again.pins() == (FIRST,)
    again.close()
