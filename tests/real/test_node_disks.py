"""Disks under a running node that turn read-only, vanish, or were written by others: reads go on, and say nothing."""

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from regioncache.store.layout import encode_prefix
from tests.real.lab.nodes import Node, node
from tests.real.lab.reads import Stage, Thing, stage
from tests.real.lab.regions import HOME, credentials, policy
from tests.real.test_node_faults import LARGE, MIB, SMALL, read, tmpfs

pytestmark = pytest.mark.real


@contextlib.contextmanager
def two_disks(tmp_path: Path) -> Iterator[tuple[Stage, Path]]:
    """A node with two cache paths; the second is a mount of a file system that stays, whatever becomes of the mount."""
    disk, two = tmp_path / "disk", tmp_path / "two"
    two.mkdir()
    with tmpfs(disk, 1024 * MIB):
        bind(disk, two, "rw")
        try:
            cache = {"cache": {"paths": [str(tmp_path / "one"), str(two / "cache")], "size": "512MiB"}}
            with stage(tmp_path, policy("10Gbps"), settings=cache) as pair:
                yield pair, two
        finally:
            subprocess.run(["umount", "-l", str(two)], check=False)


def bind(disk: Path, at: Path, how: str) -> None:
    """Mounts what lies at `disk` there too, read-only (`ro`) or not (`rw`)."""
    subprocess.run(["mount", "--bind", str(disk), str(at)], check=True)
    subprocess.run(["mount", "-o", f"remount,bind,{how}", str(at)], check=True)


def in_use(at: Node, path: Path) -> bool:
    return bool(at.metric("causeway_cache_path_in_use", path=str(path)))


def until(pair: Stage, state: Callable[[Node], bool], things: list[Thing]) -> None:
    """Reads until the node away from the bucket is in a state; each read must be right."""
    for number in range(1000):
        if state(pair.regions.away):
            return
        read(pair.regions.away, things[number % len(things)], pair.key, pair.directory)
    pytest.fail("the node does not come into the state")


@pytest.mark.root
@pytest.mark.parametrize("how", ["ro", "unmounted"])
def test_a_disk_that_turns_read_only_or_goes_is_out_and_back_by_itself_and_no_read_fails(
    tmp_path: Path, how: str
) -> None:
    with two_disks(tmp_path) as (pair, two):
        away, path = pair.regions.away, two / "cache"
        things = [Thing(f"disks/{number}", 2 * MIB, number) for number in range(12)]
        more = [Thing(f"disks/more {number}", 2 * MIB, 50 + number) for number in range(12)]
        pair.put([*things, *more])
        for thing in things:
            read(away, thing, pair.key, tmp_path)
        pair.settle()
        held = away.metric("causeway_cache_path_bytes", path=str(path))
        assert held >= 2 * MIB

        subprocess.run(["umount", "-l", str(two)], check=True)
        if how == "ro":
            bind(tmp_path / "disk", two, "ro")
        until(pair, lambda at: not in_use(at, path), more)
        assert away.metric("causeway_cache_path_bytes", path=str(path)) == 0
        assert how == "ro" or not list(two.iterdir())
        if how == "ro":
            subprocess.run(["umount", "-l", str(two)], check=True)
        bind(tmp_path / "disk", two, "rw")
        until(pair, lambda at: in_use(at, path), more)

        assert away.metric("causeway_cache_path_bytes", path=str(path)) >= held
        pair.settle()
        before = pair.regions.line.settled().payload
        for thing in things:
            read(away, thing, pair.key, tmp_path)
        pair.settle()
        assert pair.regions.line.settled().payload == before


def test_a_cache_folder_that_vanishes_is_made_anew_and_no_read_fails(tmp_path: Path) -> None:
    folder = tmp_path / "second"
    cache = {"cache": {"paths": [str(tmp_path / "first"), str(folder)], "size": "1GiB"}}
    with stage(tmp_path, policy("10Gbps"), settings=cache) as pair:
        pair.put([SMALL, LARGE, *(Thing(f"v/{number}", 2 * MIB, number) for number in range(8))])
        things = [SMALL, LARGE, *(Thing(f"v/{number}", 2 * MIB, number) for number in range(8))]
        for thing in things:
            read(pair.regions.away, thing, pair.key, tmp_path)
        pair.settle()
        shutil.rmtree(folder)

        for _ in range(2):
            for thing in things:
                read(pair.regions.away, thing, pair.key, tmp_path)
        more = [Thing(f"w/{number}", 2 * MIB, 30 + number) for number in range(12)]
        pair.put(more)
        until(pair, lambda at: bool(list(folder.glob("extents/*/*"))), more)

        assert in_use(pair.regions.away, folder)


def test_a_cache_folder_of_a_newer_layout_is_refused_in_one_line_and_left_alone(tmp_path: Path) -> None:
    with stage(tmp_path, policy("10Gbps")) as pair:
        pair.put([LARGE])
        read(pair.regions.away, LARGE, pair.key, tmp_path)
        pair.settle()
        place = pair.regions.away.place
        pair.regions.away.process.stop()
        extent = next((place.directory / "cache").glob("extents/*/*"))
        with extent.open("r+b") as file:
            file.write(encode_prefix(b"CWEXTENT", 2))
        log = place.directory / f"node-{place.region}.log"
        before = len(log.read_text().splitlines()) if log.exists() else 0

        with pytest.raises(ChildProcessError, match="exited with 1"):
            node(place, far=[HOME], env=credentials()).__enter__()

        told = log.read_text().splitlines()[before:] if before else log.read_text().splitlines()
        assert len(told) == 1, told
        assert "layout 2" in told[0]
        assert "start the later version again, or empty the path" in told[0]
        assert extent.exists()


def test_unknown_and_truncated_files_in_a_cache_folder_cost_at_most_a_miss(tmp_path: Path) -> None:
    with stage(tmp_path, policy("10Gbps")) as pair:
        pair.put([LARGE, SMALL])
        for thing in (LARGE, SMALL):
            read(pair.regions.away, thing, pair.key, tmp_path)
        pair.settle()
        place = pair.regions.away.place
        pair.regions.away.process.stop()
        cache = place.directory / "cache"
        extent = next(cache.glob("extents/*/*"))
        with extent.open("r+b") as file:
            file.truncate(16 * 1024 + 2 * MIB + 5)
        (cache / "extents" / "notes.txt").write_text("mine")
        (cache / "packs" / "core.1234").write_bytes(bytes(4096))
        (extent.parent / "zz").mkdir()

        with node(place, far=[HOME], env=credentials()) as again:
            for thing in (LARGE, SMALL):
                read(again, thing, pair.key, tmp_path)
            assert again.metric("causeway_cache_dropped_files_total") == 0

        assert (cache / "extents" / "notes.txt").read_text() == "mine"
        assert (cache / "packs" / "core.1234").stat().st_size == 4096
