"""Room on a cache path: what a look at its file system holds up, and whom it does not."""

import asyncio
import time
from pathlib import Path

import pytest

from regioncache.store.base import StoreSettings
from regioncache.store.cachepath import CachePath
from regioncache.store.disk import Disk
from regioncache.store.index import Index
from regioncache.store.keeping import Keeping
from regioncache.tidings import UNHEARD
from tests.fakes.faulty_disk import FaultyDisk

pytestmark = pytest.mark.anyio


async def test_who_comes_when_the_free_space_is_known_does_not_queue_behind_those_who_waited_for_it(
    tmp_path: Path,
) -> None:
    faulty, index = FaultyDisk(tmp_path), Index()
    disk = Disk(tmp_path, 2, faulty.calls())
    disk.prepare()
    settings = StoreSettings((tmp_path,), size=1 << 30)
    path = CachePath(0, disk, index, settings, Keeping(index.links, index.brought, time.time, UNHEARD))
    faulty.hang("statvfs")
    waiting = [asyncio.ensure_future(path.room(1)) for _ in range(8)]
    await faulty.hung()
    faulty.heal()
    assert await waiting[0]

    coming = path.room(1)
    with pytest.raises(StopIteration) as at_once:
        coming.send(None)

    assert at_once.value.value is True
    assert not waiting[-1].done()
    assert all(await asyncio.gather(*waiting))
    await path.close()
