"""What the log is told of a disk that fills, turns read-only or dies: once, not for each write that fails."""

import errno
from pathlib import Path

import pytest

from regioncache.pages import MIB, Span
from regioncache.store.base import PageGone, StoreSettings
from regioncache.store.store import Store
from tests.fakes.hearing import Heard
from tests.fakes.storing import FaultyCalls, meta, oid, put, read

pytestmark = pytest.mark.anyio


async def opened(heard: Heard, faulty: FaultyCalls, *paths: Path) -> Store:
    return await Store.open(StoreSettings(paths, size=1 << 34), faulty.calls(), heard.tidings())


async def test_a_disk_that_takes_no_more_is_told_once(tmp_path: Path) -> None:
    heard, faulty = Heard(), FaultyCalls()
    store = await opened(heard, faulty, tmp_path)
    faulty.writes = errno.ENOSPC

    for number in range(5):
        assert not await store.pack(oid(f"{number}"), meta(3), b"123")
        assert await store.land(oid(f"l{number}"), meta(MIB), MIB, 0, Span(0, 1)) is None

    (told,) = heard.warnings
    assert told.startswith(f"cache path {tmp_path} is full: [Errno 28] No space left on device; what it has is served")
    await store.close()


async def test_that_a_disk_keeps_again_is_told_when_it_has_kept_a_good_deal(tmp_path: Path) -> None:
    heard, faulty = Heard(), FaultyCalls()
    store = await opened(heard, faulty, tmp_path)
    faulty.writes = errno.ENOSPC
    assert not await store.pack(oid("a"), meta(3), b"123")
    faulty.writes = 0

    assert await put(store, "b", meta(10 * MIB), Span(0, 10))
    assert heard.news == []
    assert await put(store, "c", meta(10 * MIB), Span(0, 10))

    assert heard.news == [f"cache path {tmp_path} has room again: what is read is kept"]
    await store.close()


async def test_a_disk_on_which_some_writes_fail_does_not_fill_the_log(tmp_path: Path) -> None:
    heard, faulty = Heard(), FaultyCalls()
    store = await opened(heard, faulty, tmp_path)

    for number in range(10):
        faulty.writes = errno.EDQUOT
        assert not await store.pack(oid(f"{number}"), meta(3), b"123")
        faulty.writes = 0
        assert await put(store, f"l{number}", meta(2 * MIB), Span(0, 2))

    assert len(heard.warnings) == 1
    assert heard.news == []
    await store.close()


@pytest.mark.parametrize(("number", "why"), [(errno.EIO, "Input/output error"), (errno.EROFS, "Read-only file system")])
async def test_a_disk_that_dies_or_turns_read_only_is_told_once(tmp_path: Path, number: int, why: str) -> None:
    heard, faulty = Heard(), FaultyCalls()
    store = await opened(heard, faulty, tmp_path / "a", tmp_path / "b")
    keys = [f"key {number}" for number in range(10)]
    for key in keys:
        assert await put(store, key, meta(MIB), Span(0, 1))
    faulty.writes = number

    for again in range(3):
        assert not await put_or_fail(store, f"new {again}")

    assert len(heard.warnings) == len(store.statistics().paths_out)
    assert why in heard.warnings[0]
    assert "is out: " in heard.warnings[0]
    await store.close()


async def test_a_page_that_cannot_be_read_takes_the_path_out_aloud(tmp_path: Path) -> None:
    heard, faulty = Heard(), FaultyCalls()
    store = await opened(heard, faulty, tmp_path)
    assert await put(store, "a", meta(MIB), Span(0, 1))
    faulty.reads = errno.EIO

    with pytest.raises(PageGone):
        await read(store, "a", Span(0, 10))

    (told,) = heard.warnings
    assert told.startswith(f"cache path {tmp_path} is out: [Errno 5] Input/output error; what it held is fetched again")
    await store.close()


@pytest.mark.parametrize("instead", ["nothing", "an empty directory", "a file"])
async def test_a_path_that_is_removed_under_the_node_is_out_aloud_and_nothing_lands_beneath(
    tmp_path: Path, instead: str
) -> None:
    heard, cache = Heard(), tmp_path / "cache"
    store = await opened(heard, FaultyCalls(), cache)
    assert await put(store, "a", meta(MIB), Span(0, 1))
    cache.rename(tmp_path / "elsewhere")
    if instead == "an empty directory":  # as where a file system is unmounted
        cache.mkdir()
    elif instead == "a file":
        cache.touch()

    kept = [await put_or_fail(store, f"new {number}") for number in range(100)]

    (told,) = heard.warnings
    assert told.startswith(f"cache path {cache} is out: [Errno 116] it was removed or unmounted under the running node")
    assert not kept[-1]
    assert not cache.is_dir() or not list(cache.iterdir())
    await store.close()


async def put_or_fail(store: Store, key: str) -> bool:
    """Whether a page could be kept; a disk may refuse at the beginning or in the middle."""
    landing = await store.land(oid(key), meta(MIB), MIB, 0, Span(0, 1))
    if landing is None:
        return False
    await landing.close()
    return True
