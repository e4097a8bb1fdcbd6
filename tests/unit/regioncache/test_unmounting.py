"""What no mount shows any more leaves the disk an hour later, whatever pins it; what any mount shows stays."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from namespace import codec
from namespace.model import Topology
from policy import units
from policy.model import CacheRule
from regioncache.pages import MIB, ObjectId, Span
from regioncache.places import Shown
from regioncache.regrouping import Regrouping
from regioncache.store.base import StoreSettings
from regioncache.store.disk import SystemCalls
from regioncache.store.store import Store
from regioncache.tidings import Tidings
from regioncache.unmounting import GRACE_SECONDS, REST_SECONDS, Unmounting
from tests.fakes.storing import content, meta

pytestmark = pytest.mark.anyio

UNITS = codec.Units(rate=units.rate, size=units.size, duration=units.duration)
Mounts = Mapping[str, Mapping[str, str]]
TRAIN, PUBLIC = {"bucket": "a", "prefix": "train/"}, {"bucket": "b"}
BOTH: Mounts = {"/ns/train": TRAIN, "/ns/public": PUBLIC}
WITHOUT_PUBLIC: Mounts = {"/ns/train": TRAIN}
LARGE = 4 * MIB


def topology(mounts: Mounts) -> Topology:
    buckets = {
        name: {"bucket": f"bucket-{name}", "provider": "s3", "region": "r", "endpoints": {"internal": "http://o"}}
        for name in "ab"
    }
    return codec.topology({"regions": {"r": {}}, "buckets": buckets, "mounts": mounts}, UNITS)


IDS = {name: bucket.id for name, bucket in topology({}).buckets.items()}
OBJECTS = [("a", "train/small"), ("a", "train/large"), ("b", "small"), ("b", "large")]


class Hours:
    """Hours that end when the test says so, and rests that are counted."""

    def __init__(self) -> None:
        self._begun = asyncio.Semaphore(0)
        self._ended = asyncio.Semaphore(0)
        self.rests = 0

    async def sleep(self, seconds: float) -> None:
        assert seconds == GRACE_SECONDS
        self._begun.release()
        await self._ended.acquire()

    async def begun(self) -> None:
        await self._begun.acquire()

    def end(self) -> None:
        self._ended.release()

    async def rest(self, seconds: float) -> None:
        assert seconds == REST_SECONDS
        self.rests += 1
        await asyncio.sleep(0)


class Cache:
    """A store of two paths with four objects, two of each bucket, and what frees what no mount shows."""

    def __init__(self, store: Store, directory: Path, hours: Hours) -> None:
        self.store, self.hours, self.directory, self.news = store, hours, directory, list[str]()
        tidings = Tidings(news=self.news.append)
        self.unmounting = Unmounting(store, directory / "mounted", tidings, hours.sleep)

    def adopt(self, mounts: Mounts) -> None:
        self.unmounting.adopt(Shown(topology(mounts)))

    async def fill(self) -> None:
        for bucket, key in OBJECTS:
            oid = ObjectId(IDS[bucket], key)
            if key.endswith("small"):
                await self.store.pack(oid, meta(3000), content(Span(0, 3000)))
                continue
            landing = await self.store.land(oid, meta(LARGE), MIB, 0, Span(0, 4))
            assert landing is not None
            await landing.write(0, memoryview(content(Span(0, LARGE))))
            await landing.close()

    def held(self) -> list[tuple[str, str]]:
        return [(bucket, key) for bucket, key in OBJECTS if self.store.newest(ObjectId(IDS[bucket], key)) is not None]

    def disk_bytes(self) -> int:
        files = (file for file in self.directory.glob("[xy]/extents/*/*") if file.is_file())
        return sum(file.stat().st_blocks * 512 for file in files)

    async def an_hour_later(self) -> None:
        """Lets the hour that begins now end, and waits for what comes of it."""
        await self.hours.begun()
        await self.hour_ends()

    async def hour_ends(self) -> None:
        """Ends the hour that has begun, and waits for what comes of it."""
        self.hours.end()
        await self.unmounting.settled()

    async def settle(self) -> None:
        """Waits until nothing is under way but an hour."""
        while "comparing" in repr(self.unmounting):
            await asyncio.sleep(0)


@asynccontextmanager
async def cache(directory: Path, hours: Hours) -> AsyncIterator[Cache]:
    settings = StoreSettings((directory / "x", directory / "y"), size=1 << 30)
    store = await Store.open(settings, SystemCalls(sleep=hours.rest))
    made = Cache(store, directory, hours)
    try:
        yield made
    finally:
        await made.unmounting.stop()
        await store.close()


@pytest.fixture
def hours() -> Hours:
    return Hours()


async def filled(opened: Cache, mounts: Mounts = BOTH) -> None:
    opened.adopt(mounts)
    await opened.fill()
    await opened.unmounting.settled()
    assert opened.held() == OBJECTS


async def test_what_a_mount_showed_leaves_the_disk_an_hour_after_it_was_taken_out_and_what_others_show_stays(
    tmp_path: Path, hours: Hours
) -> None:
    async with cache(tmp_path, hours) as opened:
        await filled(opened)
        before = opened.disk_bytes()

        opened.adopt(WITHOUT_PUBLIC)
        await hours.begun()
        assert opened.held() == OBJECTS
        await opened.hour_ends()

        assert opened.held() == OBJECTS[:2]
        gone = opened.store.statistics().gone_bytes
        assert gone.keys() == {"unmounted"}
        assert len(opened.news) == 1
        assert opened.news[0].startswith("2 objects that no mount shows any more were removed")
    assert before - opened.disk_bytes() >= LARGE
    assert opened.disk_bytes() >= LARGE


async def test_a_mount_that_is_put_back_within_the_hour_keeps_its_pages(tmp_path: Path, hours: Hours) -> None:
    async with cache(tmp_path, hours) as opened:
        await filled(opened)
        opened.adopt(WITHOUT_PUBLIC)
        await hours.begun()

        opened.adopt(BOTH)
        await opened.hour_ends()

        assert opened.held() == OBJECTS


async def test_a_bucket_that_another_mount_reaches_keeps_what_shows_there(tmp_path: Path, hours: Hours) -> None:
    elsewhere: Mounts = {"/ns/train": TRAIN, "/ns/old": PUBLIC, "/ns/public": PUBLIC}
    async with cache(tmp_path, hours) as opened:
        await filled(opened, elsewhere)

        opened.adopt({"/ns/old": PUBLIC})
        await opened.an_hour_later()

        assert opened.held() == OBJECTS[2:]


async def test_what_a_new_mount_hides_leaves_too(tmp_path: Path, hours: Hours) -> None:
    async with cache(tmp_path, hours) as opened:
        await filled(opened, {"/ns/a": {"bucket": "a"}, "/ns/public": PUBLIC})

        opened.adopt({"/ns/a": {"bucket": "a"}, "/ns/public": PUBLIC, "/ns/a/train": {"bucket": "b", "prefix": "x/"}})
        await opened.an_hour_later()

        assert opened.held() == OBJECTS[2:]


async def test_what_is_pinned_follows_the_mounts(tmp_path: Path, hours: Hours) -> None:
    async with cache(tmp_path, hours) as opened:
        await filled(opened)
        grouping = Regrouping(opened.store)
        grouping.pin(["/ns/public/large"])
        grouping.adopt(topology(BOTH), [CacheRule.model_validate({"match": "/ns/**", "pin": True})])
        await opened.store.regrouped()
        assert opened.store.statistics().pinned_bytes > 2 * LARGE

        grouping.adopt(topology(WITHOUT_PUBLIC), [CacheRule.model_validate({"match": "/ns/**", "pin": True})])
        opened.adopt(WITHOUT_PUBLIC)
        await opened.an_hour_later()

        assert opened.held() == OBJECTS[:2]


async def test_each_that_is_taken_out_has_its_own_hour(tmp_path: Path, hours: Hours) -> None:
    other: Mounts = {"/ns/other": {"bucket": "a", "prefix": "other/"}}
    async with cache(tmp_path, hours) as opened:
        await filled(opened, {**BOTH, **other})
        opened.adopt({"/ns/train": TRAIN, **other})
        await hours.begun()

        opened.adopt(other)
        await opened.settle()
        hours.end()
        await hours.begun()
        assert opened.held() == OBJECTS[:2]
        await opened.hour_ends()

        assert opened.held() == []


async def test_a_mount_that_was_taken_out_while_the_node_was_down_or_in_its_hour_leaves_after_the_start(
    tmp_path: Path, hours: Hours
) -> None:
    async with cache(tmp_path, hours) as opened:
        await filled(opened)
        opened.adopt(WITHOUT_PUBLIC)
        await hours.begun()

    async with cache(tmp_path, hours) as opened:
        opened.adopt(WITHOUT_PUBLIC)
        await hours.begun()
        assert opened.held() == OBJECTS
        await opened.hour_ends()

        assert opened.held() == OBJECTS[:2]


async def test_a_start_with_the_mounts_of_before_looks_at_nothing(tmp_path: Path, hours: Hours) -> None:
    async with cache(tmp_path, hours) as opened:
        await filled(opened)

    async with cache(tmp_path, hours) as opened:
        opened.adopt({})  # a node is at work before it knows the namespace
        opened.adopt(BOTH)
        await opened.unmounting.settled()

        assert hours.rests == 0
        assert opened.held() == OBJECTS


async def test_a_namespace_that_lost_all_its_mounts_frees_nothing_until_it_has_some_again(
    tmp_path: Path, hours: Hours
) -> None:
    async with cache(tmp_path, hours) as opened:
        await filled(opened)

        opened.adopt(WITHOUT_PUBLIC)
        await hours.begun()
        opened.adopt({})
        hours.end()
        await hours.begun()
        assert opened.held() == OBJECTS
        opened.adopt(BOTH)
        await opened.hour_ends()

        assert opened.held() == OBJECTS


async def test_the_disk_rests_between_two_looks_at_it(tmp_path: Path, hours: Hours) -> None:
    async with cache(tmp_path, hours) as opened:
        await filled(opened)
        for number in range(200):
            await opened.store.pack(ObjectId(IDS["b"], f"{number}"), meta(300), content(Span(0, 300)))

        opened.adopt(WITHOUT_PUBLIC)
        await opened.an_hour_later()

        assert opened.held() == OBJECTS[:2]
        # 204 entries, 64 at a time, on two paths.
        assert hours.rests >= 4


async def test_a_file_that_cannot_be_written_costs_a_look_at_the_next_start_and_nothing_else(
    tmp_path: Path, hours: Hours
) -> None:
    (tmp_path / "mounted.new").mkdir()
    async with cache(tmp_path, hours) as opened:
        await filled(opened)

    async with cache(tmp_path, hours) as opened:
        opened.adopt(BOTH)
        await opened.an_hour_later()

        assert opened.held() == OBJECTS
