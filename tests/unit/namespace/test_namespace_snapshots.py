"""Snapshots on disk: the newest whole one is used, whatever happened to the file beside it."""

from pathlib import Path

import pytest

from namespace.items import Snapshot
from namespace.snapshots import BEFORE, NEWEST, WRITING, SnapshotFiles

FIRST = Snapshot("cluster", 7, {"mount//ns/a": '{"bucket":"b"}', "policy": '"lines: {}\\n"'})
SECOND = Snapshot("cluster", 9, {"mount//ns/b": '{"bucket":"b"}'})


class Told(list[str]):
    """What was warned of."""


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def files(tmp_path: Path, told: Told) -> SnapshotFiles:
    return SnapshotFiles(tmp_path / "ns", told.append)


def test_the_newest_is_read_again(files: SnapshotFiles, told: Told) -> None:
    files.write(FIRST)
    files.write(SECOND)

    assert files.read() == SECOND
    assert told == []


def test_there_is_none_at_first(files: SnapshotFiles, told: Told) -> None:
    assert files.read() is None
    assert told == []


@pytest.mark.parametrize("length", [0, 10, 30, -1])
def test_of_a_truncated_snapshot_the_one_before_is_used_and_that_is_said(
    files: SnapshotFiles, told: Told, tmp_path: Path, length: int
) -> None:
    files.write(FIRST)
    files.write(SECOND)
    newest = tmp_path / "ns" / NEWEST
    newest.write_bytes(newest.read_bytes()[:length])

    assert files.read() == FIRST
    assert len(told) == 1
    assert f"snapshot {newest} cannot be used" in told[0]
    assert "the one before is used" in told[0]


def test_one_changed_byte_is_as_bad(files: SnapshotFiles, told: Told, tmp_path: Path) -> None:
    files.write(FIRST)
    newest = tmp_path / "ns" / NEWEST
    content = bytearray(newest.read_bytes())
    content[-2] ^= 1
    newest.write_bytes(content)

    assert files.read() is None
    assert len(told) == 1


def test_a_process_that_died_between_the_renames_has_lost_nothing(files: SnapshotFiles, tmp_path: Path) -> None:
    files.write(FIRST)
    (tmp_path / "ns" / NEWEST).rename(tmp_path / "ns" / BEFORE)
    (tmp_path / "ns" / WRITING).write_bytes(b"half of")

    assert files.read() == FIRST

    files.write(SECOND)
    assert files.read() == SECOND


def test_only_its_owner_may_read_it(files: SnapshotFiles, tmp_path: Path) -> None:
    files.write(FIRST)

    assert (tmp_path / "ns" / NEWEST).stat().st_mode & 0o777 == 0o600
