"""The objects read most of late are held whole, within a budget, and never in place of a newer record."""

from regioncache.hot import HITS_BETWEEN_TOUCHES, LARGEST_BYTES, OVERHEAD_BYTES, HotObjects
from regioncache.pages import Meta, ObjectId, Version


def object_id(name: str) -> ObjectId:
    return ObjectId(b"b" * 16, name)


def about(size: int) -> Meta:
    return Meta(Version('"v"'), size, '"v"', 0.0, "x")


def kept(hot: HotObjects, name: str, size: int = 100) -> None:
    hot.keep(object_id(name), about(size), memoryview(bytes(size)))


def test_what_was_kept_is_found_until_it_is_dropped() -> None:
    hot = HotObjects(1 << 20)
    kept(hot, "a")

    found = hot.find(object_id("a"))
    hot.drop(object_id("a"))

    assert found is not None
    assert len(found.data) == 100
    assert hot.find(object_id("a")) is None
    assert hot.statistics().nbytes == 0


def test_the_oldest_goes_when_the_budget_is_full() -> None:
    hot = HotObjects(2 * (100 + OVERHEAD_BYTES))
    for name in "abc":
        kept(hot, name)

    assert hot.find(object_id("a")) is None
    assert hot.find(object_id("c")) is not None
    assert hot.statistics().nbytes <= hot.statistics().limit


def test_a_large_object_stays_on_the_disk() -> None:
    hot = HotObjects(1 << 20)

    kept(hot, "a", LARGEST_BYTES + 1)

    assert hot.find(object_id("a")) is None


def test_every_so_often_a_hit_goes_to_the_disk_so_that_eviction_sees_it() -> None:
    hot = HotObjects(1 << 20)
    kept(hot, "a")

    hits = 0
    while hot.find(object_id("a")) is not None:
        hits += 1

    assert hits == HITS_BETWEEN_TOUCHES
    assert hot.statistics().objects == 0


def test_keeping_another_record_of_an_object_replaces_the_one_before() -> None:
    hot = HotObjects(1 << 20)
    kept(hot, "a", 100)

    kept(hot, "a", 200)

    assert hot.statistics().nbytes == 200 + OVERHEAD_BYTES
