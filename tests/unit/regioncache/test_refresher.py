"""Looks anew by time: by lists where several known keys stand close, by HEADs where one stands alone; nobody waits."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namespace.model import Mount
from regioncache.errors import NoSuchObject, Refused
from regioncache.origins.base import ListAsk
from regioncache.refresher import DENSE, MOST_REQUESTS, Refresher, _before
from tests.fakes.clock import settle
from tests.fakes.faulty import Fault, stall
from tests.fakes.ramp import ramp
from tests.fakes.region import PAYER, TERMS, Region, region

pytestmark = pytest.mark.anyio
PATH = "/ns/data"


class Tree:
    """The one mount of these tests, as the resolver gives it."""

    def __init__(self, cache: Region) -> None:
        self._cache = cache

    def find(self, path: str) -> object:
        return self._cache.place("") if path == f"{PATH}/" else None


def refresher(cache: Region) -> Refresher:
    app = cache.app
    return Refresher(app.cache.newest, app.lists, Tree(cache), cache.clock, cache.clock.time)  # type: ignore[arg-type]


async def known(cache: Region, keys: Iterable[str]) -> None:
    """Objects that were read a hundred seconds ago."""
    for key in keys:
        cache.put(key, 1000)
        await cache.read(key)
    cache.clock.advance(100)


def asked(cache: Region) -> tuple[int, int]:
    """Lists and HEADs that the origin answered."""
    return cache.origin.count("list"), cache.origin.count("head")


async def test_keys_that_stand_close_are_looked_at_by_one_list(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        await known(cache, [f"k{at:03}" for at in range(50)])

        await refresher(cache).round(PATH)
        cache.clock.advance(30)
        for at in range(50):
            assert (await cache.stat(f"k{at:03}")).stale_seconds is None

        assert asked(cache) == (1, 0)


async def test_a_key_that_stands_alone_is_looked_at_by_a_head(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        await known(cache, ["alone"])

        await refresher(cache).round(PATH)
        await cache.stat("alone")

        assert asked(cache) == (0, 1)


async def test_known_keys_far_apart_cost_one_list_and_then_heads(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        for at in range(8000):
            cache.origin.put(f"k{at:05}", 1)
        await known(cache, [f"k{at:05}" for at in range(0, 8000, 1000)])

        done = await refresher(cache).round(PATH)

        assert (done.lists, done.heads) == (1, 7)


async def test_what_is_not_known_is_not_asked_about(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        for at in range(100):
            cache.put(f"k{at}", 1)

        await refresher(cache).round(PATH)

        assert asked(cache) == (0, 0)


async def test_a_changed_object_is_asked_for_before_anybody_reads_it(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        await known(cache, [f"k{at}" for at in range(DENSE)])
        cache.put("k1", 900, shift=7)
        await refresher(cache).round(PATH)
        before = asked(cache)

        assert await cache.read("k1") == ramp(0, 900, 7)

        assert before == asked(cache) == (1, 1)


async def test_a_deleted_object_is_found_gone_before_anybody_reads_it(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        await known(cache, [f"k{at}" for at in range(DENSE + 1)])
        cache.origin.bucket.remove("k1")

        await refresher(cache).round(PATH)

        assert asked(cache) == (1, 1)
        with pytest.raises(NoSuchObject):
            await cache.read("k1")


async def test_pages_of_lists_that_are_kept_are_asked_for_anew_and_serve_for_the_objects(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        await known(cache, ["a/1", "a/2"])
        ask = ListAsk("a/", delimiter="/")
        await cache.app.lists.page(cache.place(""), ask, PAYER, TERMS)
        cache.put("a/3", 1)
        cache.clock.advance(100)

        done = await refresher(cache).round(PATH)
        page = await cache.app.lists.page(cache.place(""), ask, PAYER, TERMS)
        await cache.stat("a/1")

        assert [entry.key for entry in page.entries] == ["a/1", "a/2", "a/3"]
        assert (done.lists, done.heads) == (1, 0)
        assert asked(cache) == (2, 0)


async def test_a_round_asks_no_more_than_its_share(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        for at in range(0, 3 * MOST_REQUESTS):
            cache.origin.put(f"k{at:05}", 0)
            await cache.stat(f"k{at:05}")
            cache.origin.put(f"k{at:05}", 1)
        cache.clock.advance(100)
        before = sum(asked(cache))

        done = await refresher(cache).round(PATH)

        assert done.lists + done.heads == sum(asked(cache)) - before == MOST_REQUESTS


async def test_an_origin_that_is_away_is_left_alone_and_what_is_known_stays(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        await known(cache, ["k"])
        cache.faulty[0].always = Fault(Refused("nobody listens"))
        await cache.stat("k")
        before = cache.faulty[0].asked

        await refresher(cache).round(PATH)

        assert cache.faulty[0].asked == before
        assert (await cache.stat("k")).meta.size == 1000


async def test_rounds_come_by_time_and_never_two_of_a_mount_at_once(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        await known(cache, ["k"])
        rounds = refresher(cache)
        mount = Mount.model_construct(path=PATH, bucket="data", prefix="", refresh=60.0)
        rounds.adopt([mount])
        slow = stall()
        cache.faulty[0].next(slow)

        for seconds in (59, 1, 60, 60):
            cache.clock.advance(seconds)
            rounds.look()
            rounds.adopt([mount])  # an apply in between costs nobody his time
            await settle()
        assert slow.reached.is_set()
        assert cache.origin.count("head") == 0
        slow.released.set()
        while not rounds.statistics().rounds:
            await settle()

        assert rounds.statistics().heads == 1
        await rounds.stop()


@given(st.text(min_size=1, max_size=4), st.text(max_size=4))
def test_nothing_but_the_key_and_what_begins_with_what_is_before_it_is_skipped(key: str, other: str) -> None:
    assert _before(key) < key
    if other < key and not other.startswith(_before(key)[: len(key)]):
        assert other <= _before(key) or key.startswith(other) or key[-1] == "\0"
