"""What kept pages of lists show of a key, against a brute force; and the one truth of lists, HEADs and GETs."""

import itertools
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache.errors import NoSuchObject
from regioncache.listpages import ListPages, Says
from regioncache.opened import Terms
from regioncache.origins.base import ListAsk, Listed, ListPage
from regioncache.pages import Meta, ObjectId, Version
from tests.fakes.faulty import stall
from tests.fakes.ramp import ramp
from tests.fakes.region import PAYER, TERMS, Region, region

BUCKET = b"b" * 16
KEYS = ["a", "a/", "a/b", "a/b/c", "a/b/d", "a-", "ab", "b", "b/x", "c", "\u00e9", "\ufffd/z"]
keys = st.sampled_from(KEYS)


def meta(key: str, generation: int, learned_at: float) -> Meta:
    return Meta(Version(f'"{key}-{generation}"'), 5, f'"{key}-{generation}"', 1000.25, "", (), learned_at)


@dataclass
class Origin:
    """A bucket in which objects come, change and go; `generation` by key."""

    objects: dict[str, int]

    def page(self, ask: ListAsk) -> ListPage:
        entries: list[Listed] = []
        prefixes: list[str] = []
        for key in sorted(key for key in self.objects if key.startswith(ask.prefix)):
            at = key.find(ask.delimiter, len(ask.prefix)) if ask.delimiter else -1
            name = key if at < 0 else key[: at + 1]
            if name <= ask.after or (at >= 0 and (name in prefixes or ask.after.startswith(name))):
                continue
            if len(entries) + len(prefixes) == ask.limit:
                last = max([entry.key for entry in entries[-1:]] + prefixes[-1:])
                return ListPage(tuple(entries), tuple(prefixes), last + ("\U0010ffff" if last in prefixes else ""))
            if at < 0:
                entries.append(Listed(key, 5, f'"{key}-{self.objects[key]}"', 1000.25))
            else:
                prefixes.append(name)
        return ListPage(tuple(entries), tuple(prefixes), None)


asks = st.builds(
    ListAsk,
    st.sampled_from(["", "a", "a/", "a/b/", "b"]),
    st.sampled_from(["", "a", "a/b", "ab"]),
    st.sampled_from(["", "/"]),
    st.integers(1, 4),
)


@given(st.lists(st.tuples(asks, keys, st.integers(0, 2)), max_size=12), keys, st.integers(0, 14))
def test_what_pages_say_of_a_key_is_what_the_bucket_was_when_they_were_made(
    history: list[tuple[ListAsk, str, int]], key: str, learned: int
) -> None:
    pages, origin = ListPages(), Origin(dict.fromkeys(KEYS, 0))
    versions: list[dict[str, int]] = []
    for at, (ask, changed, generation) in enumerate(history):
        origin.objects.pop(changed, None)
        if generation:
            origin.objects[changed] = generation
        pages.keep(BUCKET, ask, origin.page(ask), at, at, at)
        versions.append(dict(origin.objects))
    held = meta(key, 1, learned)

    saying = pages.says(ObjectId(BUCKET, key), held)

    told = {ask: at for at, (ask, _, _) in enumerate(history) if at > learned and shows(ask, versions[at], key)}
    assert saying.kept is None if not told else saying.kept is not None and saying.kept.at == max(told.values())
    if saying.kept is not None:
        assert (saying.says is Says.SAME) == (versions[max(told.values())].get(key) == 1)


def shows(ask: ListAsk, objects: dict[str, int], key: str) -> bool:
    """Whether the page of a bucket would tell of this key by itself, there or not."""
    end = Origin(objects).page(ask).next_after
    rolled = ask.delimiter and key.find(ask.delimiter, len(ask.prefix)) >= 0
    return key.startswith(ask.prefix) and not rolled and key > ask.after and (end is None or key <= end)


@given(st.lists(asks, min_size=1, max_size=8, unique=True), keys)
def test_a_doubt_drops_just_the_pages_that_may_show_keys_beneath_it(of: list[ListAsk], prefix: str) -> None:
    origin = Origin(dict.fromkeys(KEYS, 0))
    pages = ListPages()
    for ask in of:
        pages.keep(BUCKET, ask, origin.page(ask), 0, 0, 0)

    pages.drop(BUCKET, prefix)

    left = set(pages.asked_beneath(BUCKET, ""))
    for ask in of:
        without = Origin({key: 0 for key in KEYS if not key.startswith(prefix)}).page(ask)
        if (origin.page(ask).entries, origin.page(ask).prefixes) != (without.entries, without.prefixes):
            assert ask not in left
        if not ask.prefix.startswith(prefix) and not prefix.startswith(ask.prefix):
            assert ask in left


@given(st.lists(asks, min_size=1, max_size=8, unique=True), keys, st.booleans())
def test_a_later_answer_drops_the_pages_that_say_otherwise(of: list[ListAsk], key: str, there: bool) -> None:
    origin = Origin(dict.fromkeys(KEYS, 0))
    pages = ListPages()
    for ask in of:
        pages.keep(BUCKET, ask, origin.page(ask), 0, 0, 1)
    answer = meta(key, 1, 5.0) if there else None

    assert pages.correct(ObjectId(BUCKET, key), answer, 1) == 0
    pages.correct(ObjectId(BUCKET, key), answer, 2)

    left = pages.asked_beneath(BUCKET, "")
    assert all(key not in [entry.key for entry in origin.page(ask).entries] for ask in left)
    assert all(ask in left for ask in of if not key.startswith(ask.prefix))


def test_pages_that_are_dropped_leave_nothing_behind() -> None:
    origin, pages = Origin(dict.fromkeys(KEYS, 0)), ListPages(limit=3000)
    every = [ListAsk(*parts) for parts in itertools.product(["", "a/"], ["", "a/b"], ["", "/"], [1, 3])]

    for number, ask in enumerate(every):
        pages.keep(BUCKET, ask, origin.page(ask), number, number, number)
        assert pages.nbytes <= 3000
    pages.drop(BUCKET, "")

    assert (len(pages), pages.nbytes) == (0, 0)
    assert pages.says(ObjectId(BUCKET, "a"), meta("a", 0, 0.0)).says is Says.NOTHING


async def listed(cache: Region, terms: Terms = TERMS, ask: ListAsk = ListAsk()) -> list[str]:  # noqa: B008
    return [entry.key for entry in (await cache.app.lists.page(cache.place(""), ask, PAYER, terms)).entries]


pytestmark = pytest.mark.anyio


async def test_an_old_object_that_a_younger_list_shows_is_not_asked_about(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)
        await cache.read("k")
        cache.clock.advance(100)
        await listed(cache)
        cache.clock.advance(30)

        for _ in range(2):
            assert await cache.read("k") == ramp(0, 1000)
            assert (await cache.stat("k")).stale_seconds is None

        assert cache.origin.count("head") == 0
        cache.clock.advance(31)
        await cache.read("k")
        assert cache.origin.count("head") == 1


async def test_a_large_object_that_a_younger_list_shows_is_not_asked_about(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 3 << 20)
        await cache.read("k")
        cache.clock.advance(100)
        await listed(cache)

        assert await cache.read("k") == ramp(0, 3 << 20)

        assert cache.origin.count("head") == 0


async def test_after_a_list_showed_another_version_no_reader_gets_the_one_before(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)
        await cache.read("k")
        cache.put("k", 900, shift=7)
        await listed(cache)

        assert await cache.read("k") == ramp(0, 900, 7)


@pytest.mark.parametrize("first", [ListAsk(limit=1000), ListAsk(after="a"), ListAsk(limit=1)])
@pytest.mark.parametrize("second", [ListAsk(limit=1000), ListAsk(limit=2), ListAsk(limit=1)])
async def test_after_a_list_of_another_length_showed_another_version_no_reader_gets_the_one_before(
    tmp_path: Path, first: ListAsk, second: ListAsk
) -> None:
    async with region(tmp_path) as cache:
        for key in ("k", "l", "m"):
            cache.put(key, 1000)
        await listed(cache, ask=first)
        cache.clock.advance(1)
        await cache.read("k")
        cache.clock.advance(1)
        cache.put("k", 900, shift=7)
        await listed(cache, Terms(fresh_seconds=0.0), ask=second)
        cache.clock.advance(1)
        await listed(cache, ask=ListAsk(after="a", limit=1) if second.limit > 1 else ListAsk(after="k", limit=1))

        assert await cache.read("k") == ramp(0, 900, 7)


async def test_after_a_list_without_it_an_object_is_gone_for_readers_too(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)
        cache.put("z", 1)
        await cache.read("k")
        cache.origin.bucket.remove("k")
        cache.clock.advance(1)
        assert await listed(cache) == ["z"]

        for ask in (cache.read, cache.stat):
            with pytest.raises(NoSuchObject):
                await ask("k")


@pytest.mark.parametrize("fresh_seconds", [0.0, 60.0])
async def test_after_a_list_showed_it_an_object_that_was_missing_a_moment_ago_is_there_for_readers(
    tmp_path: Path, fresh_seconds: float
) -> None:
    terms = Terms(fresh_seconds=fresh_seconds)
    async with region(tmp_path) as cache:
        for _ in range(2):
            with pytest.raises(NoSuchObject):
                await cache.stat("k", terms=terms)
        assert cache.origin.count("head") == 1
        cache.put("k", 1000)
        assert await listed(cache, terms) == ["k"]

        assert (await cache.stat("k", terms=terms)).meta.size == 1000
        assert await cache.read("k", terms=terms) == ramp(0, 1000)


async def test_a_list_that_is_older_than_a_404_does_not_undo_it(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)
        page = await cache.app.lists.page(cache.place(""), ListAsk(), PAYER, TERMS)
        cache.origin.bucket.remove("k")
        asked = cache.clock()
        cache.clock.advance(0.5)
        with pytest.raises(NoSuchObject):
            await cache.stat("k")
        pages = cache.app.cache.newest.pages
        pages.keep(cache.asked("k").oid.bucket, ListAsk(), page, asked, asked, 1)

        with pytest.raises(NoSuchObject):
            await cache.stat("k")

        assert cache.origin.count("head") == 1


async def test_a_list_shows_the_version_that_readers_get_already(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)
        await listed(cache)
        cache.put("k", 900, shift=7)
        await cache.read("k")

        page = await cache.app.lists.page(cache.place(""), ListAsk(), PAYER, TERMS)

        assert [entry.size for entry in page.entries] == [900]


async def test_a_list_shows_a_new_object_once_somebody_read_it(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("a", 1)
        await listed(cache)
        cache.put("b", 1)
        await cache.read("b")

        assert await listed(cache) == ["a", "b"]


async def test_a_list_no_longer_shows_what_readers_found_gone(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("a", 1)
        cache.put("b", 1)
        await listed(cache)
        cache.origin.bucket.remove("b")
        with pytest.raises(NoSuchObject):
            await cache.stat("b")

        assert await listed(cache) == ["a"]


async def test_what_a_refresh_doubted_is_asked_about_though_an_older_list_shows_it(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)
        await cache.read("k")
        cache.clock.advance(1)
        await listed(cache)
        cache.clock.advance(1)
        cache.app.catalog.distrust(cache.asked("k").oid, cache.clock.time())

        await cache.read("k")

        assert cache.origin.count("head") == 1


async def test_an_old_version_is_served_when_a_list_shows_another_and_nobody_answers(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)
        await cache.read("k")
        cache.put("k", 900, shift=7)
        await listed(cache)
        cache.faulty[0].always = stall()

        opened = await cache.stat("k")

        assert opened.meta.size == 1000
        assert opened.stale_seconds == pytest.approx(1, abs=1)


async def test_reads_that_validate_ask_whatever_a_list_shows(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        cache.put("k", 1000)
        await cache.read("k")
        cache.clock.advance(1)
        await listed(cache)

        await cache.read("k", terms=Terms(fresh_seconds=0.0))

        assert cache.origin.count("head") == 1
