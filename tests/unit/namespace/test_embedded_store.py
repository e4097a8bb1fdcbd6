"""The embedded store: whole revisions, by one owner, through crashes."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from namespace.errors import KeyExists, StoreBroken, UnknownKey
from namespace.keys import AccessKey
from namespace.store.base import KeyChange, Revision, digest
from namespace.store.embedded import EmbeddedStore

_FILES = {"topology": "regions: {a: {}}\n", "policy": "lines: {}\n"}
_KEY = AccessKey("CWID", "0123456789abcdef", "reader", "rec", "backfill", ("training",), ("/ns/a",), ("/ns/b",), 9.5)
_APPLIES = """
import sys
from pathlib import Path
from namespace.store.embedded import EmbeddedStore
store = EmbeddedStore(Path(sys.argv[1]))
while True:
    text = str(store.revision() + 1)
    print(store.apply({"topology": text * 20_000, "policy": text}, "writer", 1.0), flush=True)
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    opened = EmbeddedStore(tmp_path / "namespace.sqlite")
    yield opened
    opened.close()


def _again(store: EmbeddedStore) -> EmbeddedStore:
    store.close()
    return EmbeddedStore(store.path)


def test_a_new_store_has_nothing(store: EmbeddedStore) -> None:
    assert (store.revision(), store.current(), store.history(), store.keys()) == (0, None, (), ())


def test_one_apply_is_one_revision_with_author_time_and_digest(store: EmbeddedStore) -> None:
    number = store.apply(_FILES, "ann", 12.5)

    current = store.current()
    assert number == store.revision() == 1
    assert current is not None
    assert current.revision == Revision(1, "ann", 12.5, digest(_FILES))
    assert current.files == _FILES


def test_history_is_kept_newest_first_with_its_files(store: EmbeddedStore) -> None:
    store.apply(_FILES, "ann", 1.0)
    store.apply({"topology": "other"}, "bob", 2.0)

    assert [(each.number, each.author) for each in store.history()] == [(2, "bob"), (1, "ann")]
    assert store.files(1) == _FILES
    assert store.files(2) == {"topology": "other"}
    assert store.files(3) is None


def test_everything_is_there_after_a_restart(store: EmbeddedStore) -> None:
    store.apply(_FILES, "ann", 1.0)
    store.add_key(_KEY, "ann", 2.0)

    again = _again(store)

    current = again.current()
    assert current is not None
    assert current.files == _FILES
    assert again.keys() == (_KEY,)
    again.close()


def test_an_apply_that_fails_in_the_middle_leaves_nothing(store: EmbeddedStore) -> None:
    store.apply(_FILES, "ann", 1.0)

    with pytest.raises(StoreBroken, match="cannot be used"):
        store.apply({"a": "fine", "b": "\ud800"}, "bob", 2.0)

    assert [each.author for each in store.history()] == ["ann"]
    assert store.apply(_FILES, "ann", 3.0) == 2


def test_a_digest_tells_sets_of_files_apart_whatever_their_order() -> None:
    assert digest({"a": "1", "b": "2"}) == digest({"b": "2", "a": "1"})
    assert digest({"a": "1b"}) != digest({"a1": "b"})
    assert len({digest({}), digest({"a": ""}), digest({"": "a"}), digest({"a": "1"})}) == 4


def test_keys_come_by_name_and_are_removed_by_name_or_id(store: EmbeddedStore) -> None:
    other = AccessKey("CWOTHER", "0123456789abcdef", "another", "rec", read=("/ns",))
    store.add_key(_KEY, "ann", 1.0)
    store.add_key(other, "ann", 2.0)
    assert store.keys() == (other, _KEY)

    assert store.remove_key("reader", "bob", 3.0) == _KEY
    assert store.remove_key("CWOTHER", "bob", 4.0) == other
    assert store.keys() == ()


def test_who_changed_keys_is_kept_without_the_secret(store: EmbeddedStore) -> None:
    store.add_key(_KEY, "ann", 1.0)
    store.remove_key("reader", "bob", 2.0)

    changes = store.key_changes()

    assert changes == (
        KeyChange(2.0, "bob", "removed", "CWID", "reader"),
        KeyChange(1.0, "ann", "added", "CWID", "reader"),
    )


@pytest.mark.parametrize(
    ("key_id", "name"), [("CWID", "new"), ("CWNEW", "reader"), ("CWNEW", "CWID"), ("reader", "new")]
)
def test_a_name_or_id_that_is_taken_is_refused(store: EmbeddedStore, key_id: str, name: str) -> None:
    store.add_key(_KEY, "ann", 1.0)

    with pytest.raises(KeyExists, match="'reader'"):
        store.add_key(AccessKey(key_id, "0123456789abcdef", name, "rec", read=("/ns",)), "ann", 2.0)
    assert store.keys() == (_KEY,)
    assert len(store.key_changes()) == 1


def test_removing_a_key_that_is_not_there_names_those_that_are(store: EmbeddedStore) -> None:
    store.add_key(_KEY, "ann", 1.0)

    with pytest.raises(UnknownKey, match="known: reader"):
        store.remove_key("writer", "ann", 2.0)


def test_a_removed_secret_is_overwritten_on_disk(store: EmbeddedStore) -> None:
    store.add_key(_KEY, "ann", 1.0)
    store.remove_key("reader", "ann", 2.0)

    _again(store).close()

    assert _KEY.secret.encode() not in store.path.read_bytes()


def test_only_the_owner_may_open_any_of_its_files(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = EmbeddedStore(tmp_path / "namespace.sqlite")
        store.add_key(_KEY, "ann", 1.0)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        store.close()
    finally:
        os.umask(before)

    assert modes == {f"namespace.sqlite{suffix}": 0o600 for suffix in ("", "-wal", "-shm")}


def test_a_file_that_others_could_open_is_closed_to_them(store: EmbeddedStore) -> None:
    store.path.chmod(0o644)

    _again(store).close()

    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_a_newer_layout_is_refused(store: EmbeddedStore) -> None:
    store.close()
    database = sqlite3.connect(store.path)
    database.execute("PRAGMA user_version = 99")
    database.close()

    with pytest.raises(StoreBroken, match="layout 99"):
        EmbeddedStore(store.path)


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "namespace.sqlite"
    path.write_bytes(bytes(index % 251 for index in range(10_000)))

    with pytest.raises(StoreBroken, match=r"namespace\.sqlite cannot be used"):
        EmbeddedStore(path)


def test_a_key_that_no_version_could_have_written_is_refused_by_name(store: EmbeddedStore) -> None:
    store.add_key(_KEY, "ann", 1.0)
    database = sqlite3.connect(store.path)
    database.execute("UPDATE keys SET class = 'urgent'")
    database.commit()
    database.close()

    with pytest.raises(StoreBroken, match="class 'urgent' is not known"):
        store.keys()


def test_applies_from_many_threads_and_processes_are_numbered_one_by_one(store: EmbeddedStore) -> None:
    second = EmbeddedStore(store.path)  # as another process would open it
    numbers: list[int] = []
    threads = [
        threading.Thread(target=lambda one=one: numbers.extend(one.apply(_FILES, "t", 1.0) for _ in range(10)))
        for one in (store, store, second, second)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    second.close()
    assert sorted(numbers) == list(range(1, 41))


@pytest.mark.real
@pytest.mark.parametrize("answers", [1, 7, 15])
def test_an_answered_apply_survives_kill_9_and_none_is_halved(tmp_path: Path, answers: int) -> None:
    path = tmp_path / "namespace.sqlite"
    writer = subprocess.Popen([sys.executable, "-c", _APPLIES, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    last = [int(writer.stdout.readline()) for _ in range(answers)][-1]

    writer.send_signal(signal.SIGKILL)

    unread = writer.communicate()[0].split()
    store = EmbeddedStore(path)
    revisions = store.history()
    texts = [store.files(each.number) for each in revisions]
    store.close()
    assert revisions[0].number >= max([last, *(int(number) for number in unread)])
    assert [each.number for each in revisions] == list(range(len(revisions), 0, -1))
    for each, files in zip(revisions, texts, strict=True):
        assert files == {"topology": str(each.number) * 20_000, "policy": str(each.number)}
        assert each.digest == digest(files)
