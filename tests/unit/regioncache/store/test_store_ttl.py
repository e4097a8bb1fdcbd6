"""What has outlived its time goes: a miss at once, off the disk behind, over restarts and clocks that jump."""

from pathlib import Path

import pytest

from regioncache.pages import EXTENT_BYTES, MIB, Span
from regioncache.store.base import StoreSettings
from regioncache.store.groups import Keep, Quota
from regioncache.store.keeping import steady
from regioncache.store.store import Store
from tests.fakes.grouping import ByFolder
from tests.fakes.storing import content, meta, oid, packed, put, read, version

pytestmark = pytest.mark.anyio

DAY = 86_400.0
HOUR = ByFolder({"a": Keep("rule 0", ttl=3600.0)})


class Clock:
    """Seconds since the epoch, as the test says."""

    def __init__(self, now: float = 1.7e9) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


async def opened(path: Path, clock: Clock, rules: ByFolder = HOUR) -> Store:
    store = await Store.open(StoreSettings((path,), size=1 << 30), now=clock)
    store.regroup(rules)
    await store.regrouped()
    return store


async def fill(store: Store) -> None:
    for folder in "ab":
        await store.pack(oid(f"{folder}/small"), meta(3000, learned_at=1.7e9), content(Span(0, 3000)))
        await put(store, f"{folder}/large", meta(2 * MIB, learned_at=1.7e9), Span(0, 2))


def pages(store: Store, key: str) -> list[Span]:
    return store.present(oid(key), version(), MIB, Span(0, 2))


async def test_what_is_past_its_time_is_a_miss_before_it_is_swept(tmp_path: Path) -> None:
    clock = Clock()
    store = await opened(tmp_path, clock)
    await fill(store)

    clock.now += 3599
    assert await packed(store, "a/small") is not None
    assert pages(store, "a/large") == [Span(0, 2)]
    clock.now += 2

    assert await packed(store, "a/small") is None
    assert await store.packed(oid("a/small")) is None
    assert pages(store, "a/large") == []
    assert await packed(store, "b/small") is not None
    assert pages(store, "b/large") == [Span(0, 2)]
    await store.close()


async def test_a_sweep_takes_it_off_the_disk_and_tells_who_keeps_copies(tmp_path: Path) -> None:
    clock, heard = Clock(), []
    store = await opened(tmp_path, clock)
    store.on_gone(lambda: heard.append(1))
    await fill(store)
    before = store.statistics().clean_bytes

    await store.sweep()
    assert store.statistics().clean_bytes == before
    assert heard == []
    clock.now += 3601
    await store.sweep()

    statistics = store.statistics()
    assert store.newest(oid("a/small")) is None
    assert store.newest(oid("a/large")) is None
    assert statistics.gone_bytes == {"ttl": before - statistics.clean_bytes}
    assert heard == [1]
    await store.close()
    assert len(list(tmp_path.glob("extents/*/*"))) == 1


async def test_what_comes_again_begins_its_time_anew_and_old_pages_beside_it_do_not(tmp_path: Path) -> None:
    clock = Clock()
    store = await opened(tmp_path, clock)
    await fill(store)
    clock.now += 3601

    await put(store, "a/large", meta(2 * MIB, learned_at=1.7e9), Span(1, 2))
    await store.pack(oid("a/small"), meta(3000, learned_at=1.7e9), content(Span(0, 3000)))

    assert pages(store, "a/large") == [Span(1, 2)]
    assert await packed(store, "a/small") is not None
    clock.now += 3599
    assert await read(store, "a/large", Span(MIB, 2 * MIB)) == content(Span(MIB, 2 * MIB))
    assert await packed(store, "a/small") is not None
    await store.close()


async def test_asking_whether_it_is_the_newest_does_not_make_it_younger(tmp_path: Path) -> None:
    clock = Clock()
    store = await opened(tmp_path, clock)
    await fill(store)
    clock.now += 3000
    for key, size in (("a/small", 3000), ("a/large", 2 * MIB)):
        await store.relearn(oid(key), meta(size, learned_at=clock.now))
    await store.close()
    store = await opened(tmp_path, clock)

    clock.now += 601

    assert await packed(store, "a/small") is None
    assert pages(store, "a/large") == []
    await store.close()


async def test_new_metadata_of_a_small_object_do_not_make_its_bytes_younger(tmp_path: Path) -> None:
    clock = Clock()
    store = await opened(tmp_path, clock)
    await fill(store)
    clock.now += 3000
    about = meta(3000, learned_at=clock.now)
    await store.relearn(oid("a/small"), type(about)(about.version, 3000, about.etag, 6.0, "text/new", (), clock.now))
    assert await packed(store, "a/small") is not None

    clock.now += 601

    assert await packed(store, "a/small") is None
    await store.close()


async def test_a_restart_does_not_begin_the_time_anew(tmp_path: Path) -> None:
    clock = Clock()
    store = await opened(tmp_path, clock)
    await fill(store)
    await store.close()
    clock.now += 3000
    store = await opened(tmp_path, clock)
    assert await packed(store, "a/small") is not None
    assert pages(store, "a/large") == [Span(0, 2)]

    clock.now += 601

    assert await packed(store, "a/small") is None
    assert pages(store, "a/large") == []
    await store.close()


async def test_a_clock_two_days_back_at_a_restart_keeps_nothing_for_ever_and_drops_nothing(tmp_path: Path) -> None:
    clock = Clock()
    store = await opened(tmp_path, clock)
    await fill(store)
    await store.close()
    clock.now -= 2 * DAY

    store = await opened(tmp_path, clock)
    await store.sweep()
    assert pages(store, "a/large") == [Span(0, 2)]
    assert await packed(store, "a/small") is not None
    clock.now += 3601

    await store.sweep()
    assert store.newest(oid("a/small")) is None
    assert store.newest(oid("a/large")) is None
    await store.close()


def test_a_clock_that_jumps_while_the_process_runs_is_not_followed() -> None:
    wall, clock = Clock(), Clock(5.0)
    now = steady(wall, clock)

    wall.now -= 2 * DAY
    clock.now += 10

    assert now() == 1.7e9 + 10


async def test_a_ttl_that_changes_is_in_force_at_once(tmp_path: Path) -> None:
    clock = Clock()
    rules = ByFolder({"a": Keep("rule 0", ttl=3600.0)})
    store = await opened(tmp_path, clock, rules)
    await fill(store)
    clock.now += 100

    rules.folders["a"] = Keep("rule 0", ttl=60.0)
    store.regroup(rules)
    assert pages(store, "a/large") == []

    rules.folders["a"] = Keep("rule 0")
    store.regroup(rules)
    assert pages(store, "a/large") == [Span(0, 2)]
    await store.close()


async def test_what_is_pinned_does_not_expire(tmp_path: Path) -> None:
    clock = Clock()
    store = await opened(tmp_path, clock, ByFolder({"a": Keep("rule 0", ttl=60.0, pinned=True)}))
    await fill(store)
    clock.now += 3601

    await store.sweep()

    assert pages(store, "a/large") == [Span(0, 2)]
    await store.close()


async def test_a_head_keeps_its_header_while_a_later_extent_has_time(tmp_path: Path) -> None:
    clock = Clock()
    store = await opened(tmp_path, clock)
    about = meta(EXTENT_BYTES + MIB, learned_at=1.7e9)
    await put(store, "a/wide", about, Span(0, 1))
    clock.now += 1800
    await put(store, "a/wide", about, Span(64, 65))
    clock.now += 1801

    await store.sweep()
    assert store.present(oid("a/wide"), version(), MIB, Span(0, 65)) == [Span(64, 65)]
    assert await store.recall(oid("a/wide")) == about
    clock.now += 1800
    await store.sweep()
    await store.sweep()

    assert store.newest(oid("a/wide")) is None
    assert store.statistics().clean_bytes == 0
    await store.close()


async def test_what_is_landing_is_not_swept(tmp_path: Path) -> None:
    clock = Clock()
    store = await opened(tmp_path, clock)
    landing = await store.land(oid("a/large"), meta(2 * MIB, learned_at=1.7e9), MIB, 0, Span(0, 2))
    assert landing is not None
    await landing.write(0, memoryview(content(Span(0, MIB))))
    clock.now += 3601
    await store.sweep()
    await landing.write(MIB, memoryview(content(Span(MIB, 2 * MIB))))

    await landing.close()

    assert pages(store, "a/large") == [Span(0, 2)]
    await store.close()


async def test_a_quota_that_is_lowered_is_kept_by_the_next_sweep(tmp_path: Path) -> None:
    clock = Clock()
    rules = ByFolder({"a": Keep("rule 0", quota=Quota("/ns/a", 10 * MIB))})
    store = await opened(tmp_path, clock, rules)
    for number in range(8):
        await put(store, f"a/{number}", meta(MIB), Span(0, 1))
    rules.folders["a"] = Keep("rule 0", quota=Quota("/ns/a", 4 * MIB))
    store.regroup(rules)

    await store.sweep()

    (account,) = store.statistics().accounts
    assert 2 * MIB < account.used <= 4 * MIB
    await store.close()
