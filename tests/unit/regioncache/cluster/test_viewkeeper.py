"""The view in force is on the disk when its keeper has closed, whatever was under way, unless the disk hangs."""

import asyncio
import threading
from pathlib import Path

import pytest

from regioncache.cluster import viewfile
from regioncache.cluster.view import View
from regioncache.cluster.viewkeeper import ViewKeeper
from regioncache.tidings import Tidings

pytestmark = pytest.mark.anyio

MANY = 100
"""Rounds of the loop in which a close that waits for nothing would have ended."""


class Slow:
    """`viewfile.keep` on a disk that begins to write and goes on when it is let."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._keep = viewfile.keep
        self.begun, self.let = threading.Event(), threading.Event()
        monkeypatch.setattr(viewfile, "keep", self.keep)

    def keep(self, path: Path, view: View) -> None:
        self.begun.set()
        assert self.let.wait(60.0)  # who fails before lets nobody, and its loop waits for this thread
        self._keep(path, view)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    return Slow(monkeypatch)


def view(epoch: int) -> View:
    return View("c1", epoch, ())


def keeper(directory: Path, said: list[str], last_seconds: float = 60.0) -> ViewKeeper:
    return ViewKeeper(directory / "view", Tidings(said.append, said.append), last_seconds)


async def begun(kept: ViewKeeper, slow: Slow) -> None:
    """Ends `run` while its thread writes."""
    running = asyncio.create_task(kept.run())
    await asyncio.to_thread(slow.begun.wait)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_close_waits_for_the_view_that_is_being_written(tmp_path: Path, slow: Slow) -> None:
    said: list[str] = []
    kept = keeper(tmp_path, said)
    kept.keep(view(5))
    await begun(kept, slow)

    closing = asyncio.create_task(kept.close())
    for _ in range(MANY):
        await asyncio.sleep(0)

    assert not closing.done()
    slow.let.set()
    await closing
    assert viewfile.kept(tmp_path / "view") == view(5)
    assert not said


async def test_a_view_that_came_while_another_was_written_is_the_one_on_the_disk(tmp_path: Path, slow: Slow) -> None:
    kept = keeper(tmp_path, [])
    kept.keep(view(5))
    await begun(kept, slow)
    kept.keep(view(6))

    closing = asyncio.create_task(kept.close())
    slow.let.set()
    await closing

    assert viewfile.kept(tmp_path / "view") == view(6)


async def test_a_view_whose_writing_had_not_begun_is_written_at_the_close(tmp_path: Path) -> None:
    kept = keeper(tmp_path, [])
    kept.keep(view(5))

    await kept.close()

    assert viewfile.kept(tmp_path / "view") == view(5)


async def test_a_view_that_is_on_the_disk_is_not_written_again_at_the_close(tmp_path: Path) -> None:
    kept = keeper(tmp_path, [])
    kept.keep(view(5))
    await kept.close()
    (tmp_path / "view").unlink()

    await kept.close()

    assert viewfile.kept(tmp_path / "view") is None


async def test_a_close_does_not_wait_for_a_disk_that_hangs_and_says_so(tmp_path: Path, slow: Slow) -> None:
    said: list[str] = []
    kept = keeper(tmp_path, said, last_seconds=0.01)
    kept.keep(view(5))

    await kept.close()

    slow.let.set()
    assert ["the disk has not answered for 0.01 s" in one for one in said] == [True]


async def test_a_disk_that_is_full_is_told_once_until_it_takes_a_view_again(tmp_path: Path) -> None:
    said: list[str] = []
    kept = keeper(tmp_path / "away", said)
    for epoch in (5, 6):
        kept.keep(view(epoch))
        await kept.close()
    (tmp_path / "away").mkdir()
    await kept.close()
    (tmp_path / "away" / "view").unlink()
    (tmp_path / "away").rmdir()
    kept.keep(view(7))

    await kept.close()

    assert ["No such file or directory" in one for one in said] == [True, True]
