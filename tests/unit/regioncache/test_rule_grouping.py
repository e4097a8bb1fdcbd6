"""From rules of paths to groups of objects: which rule holds, what a group's name means, and when names change."""

from collections.abc import Mapping

import pytest

from namespace import codec
from policy import units
from policy.model import CacheRule
from regioncache.pages import ObjectId
from regioncache.partitions import Partitions
from regioncache.places import Shown
from regioncache.rulegrouping import RuleGrouping
from regioncache.store.groups import PLAIN, Keep, Quota

UNITS = codec.Units(rate=units.rate, size=units.size, duration=units.duration)
MOUNTS: Mapping[str, Mapping[str, object]] = {
    "/ns/train": {"bucket": "a", "prefix": "train/"},
    "/ns/train/public": {"bucket": "b"},
    "/ns/all": {"bucket": "a"},
}
TOPOLOGY = {
    "regions": {"r": {}},
    "buckets": {
        name: {"bucket": f"bucket-{name}", "provider": "s3", "region": "r", "endpoints": {"internal": "http://o"}}
        for name in "ab"
    },
}


def shown(mounts: Mapping[str, object] = MOUNTS) -> Shown:
    return Shown(codec.topology({**TOPOLOGY, "mounts": mounts}, UNITS))


def oid(key: str, bucket: str = "a") -> ObjectId:
    return ObjectId(codec.topology(TOPOLOGY, UNITS).buckets[bucket].id, key)


def grouping(*rules: Mapping[str, object], pins: tuple[str, ...] = (), known: Partitions | None = None) -> RuleGrouping:
    written = [CacheRule.model_validate(rule) for rule in rules]
    return RuleGrouping(written, shown(), pins, known or Partitions())


def test_an_object_shows_under_each_mount_that_covers_it_the_narrowest_first() -> None:
    assert shown().paths(oid("train/x")) == ["/ns/train/x", "/ns/all/train/x"]
    assert shown().paths(oid("other")) == ["/ns/all/other"]
    assert shown().paths(oid("k", "b")) == ["/ns/train/public/k"]


def test_an_object_does_not_show_where_another_mount_hides_it() -> None:
    assert shown().paths(oid("train/public/k")) == ["/ns/all/train/public/k"]


def test_an_object_of_no_mount_is_under_no_rule() -> None:
    rules = [CacheRule.model_validate({"match": "/ns/**", "ttl": "1d"})]
    unmounted = RuleGrouping(rules, shown({}), (), Partitions())

    assert unmounted.keep_of(oid("train/x")) is PLAIN


def test_each_key_is_set_by_the_first_rule_that_covers_the_path() -> None:
    kept = grouping(
        {"match": "/ns/train/small", "priority": "low"},
        {"match": "/ns/train/**", "ttl": "1d", "priority": "high"},
        {"match": "/ns/**", "ttl": "2d", "quota": "1GiB"},
    )

    small, large, other = (kept.keep_of(oid(key)) for key in ("train/small/x", "train/x", "x"))

    assert (small.ttl, small.priority, small.quota) == (86400, "low", Quota("/ns/**", 2**30))
    assert (large.ttl, large.priority, large.quota) == (86400, "high", Quota("/ns/**", 2**30))
    assert (other.ttl, other.priority, other.pinned) == (2 * 86400, "normal", False)
    assert len({small.name, large.name, other.name}) == 3


def test_objects_under_the_same_rules_are_one_group() -> None:
    kept = grouping({"match": "/ns/train/**", "ttl": "1d"})

    assert kept.keep_of(oid("train/x")) is kept.keep_of(oid("train/y/z"))
    assert kept.keep_of(oid("x")) is PLAIN


def test_an_object_is_pinned_if_any_of_its_paths_is() -> None:
    kept = grouping({"match": "/ns/train", "ttl": "1d"}, {"match": "/ns/all/train/val", "pin": True})

    assert kept.keep_of(oid("train/val/x")) == Keep('[["pin","/ns/all/train/val"],["ttl","/ns/train"]]', True, 86400.0)
    assert not kept.keep_of(oid("train/x")).pinned


def test_what_is_not_a_pin_is_said_by_the_narrowest_mount_alone() -> None:
    kept = grouping({"match": "/ns/all/**", "ttl": "1h", "priority": "low"}, {"match": "/ns/train", "ttl": "1d"})

    assert kept.keep_of(oid("train/x")).ttl == 86400
    assert kept.keep_of(oid("train/x")).priority == "normal"


def test_a_rule_that_pins_nothing_exempts_from_a_wider_one_but_not_from_a_command() -> None:
    rules = ({"match": "/ns/train/tmp", "pin": False}, {"match": "/ns/train", "pin": True})

    assert not grouping(*rules).keep_of(oid("train/tmp/x")).pinned
    assert grouping(*rules).keep_of(oid("train/x")).pinned
    assert grouping(*rules, pins=("/ns/train/tmp/x",)).keep_of(oid("train/tmp/x")).pinned


@pytest.mark.parametrize(
    ("pin", "key", "pinned"),
    [
        ("/ns/all/a", "a", True),
        ("/ns/all/a", "a/b/c", True),
        ("/ns/all/a", "ab", False),
        ("/ns/all/a/b", "a", False),
        ("/ns/train", "train/x", True),
        ("/ns", "x", True),
    ],
)
def test_a_command_pins_its_path_and_all_beneath(pin: str, key: str, pinned: bool) -> None:
    assert grouping(pins=(pin,)).keep_of(oid(key)).pinned is pinned


NEWEST = {"match": "/ns/all/dt=*", "pin": {"newest": 2}}


def test_a_newer_partition_unpins_the_oldest_without_another_name() -> None:
    told: list[str] = []
    kept = RuleGrouping([CacheRule.model_validate(NEWEST)], shown(), (), Partitions(), lambda: told.append("newest"))
    first, second = kept.keep_of(oid("dt=1/x")), kept.keep_of(oid("dt=2/x"))
    assert (first.pinned, second.pinned) == (True, True)
    told.clear()

    third = kept.keep_of(oid("dt=3/x"))

    again = kept.named(first.name)
    assert third.pinned
    assert again is not None
    assert (again.name, again.pinned) == (first.name, False)
    assert kept.keep_of(oid("dt=1/y")) == again
    assert kept.keep_of(oid("dt=2/y")).pinned
    assert told == ["newest"]


def test_partitions_are_learned_from_the_names_of_groups_that_lie_on_disk() -> None:
    name = grouping(NEWEST).keep_of(oid("dt=7/x")).name

    restarted = grouping(NEWEST)

    assert restarted.named(name) == Keep(name, pinned=True)
    for day in (8, 9):
        restarted.keep_of(oid(f"dt={day}/x"))
    assert restarted.named(name) == Keep(name, pinned=False)


def test_nothing_is_learned_from_a_question_about_what_may_not_exist() -> None:
    kept = grouping(NEWEST)
    first = [kept.keep_of(oid(f"dt={day}/x")) for day in (1, 2)]

    assert not kept.look(oid("dt=9/x")).pinned
    assert [kept.look(oid(f"dt={day}/x")) for day in (1, 2)] == first


def test_what_is_known_of_partitions_outlives_another_policy() -> None:
    known = Partitions()
    grouping(NEWEST, known=known)
    known.listed("/ns/all/dt=*", ["/ns/all/dt=5", "/ns/all/dt=6"], known.moment())

    again = grouping({"match": "/ns/all/x", "ttl": "1d"}, NEWEST, known=known)

    assert not again.keep_of(oid("dt=4/x")).pinned
    assert again.keep_of(oid("dt=5/x")).pinned


def test_names_mean_what_the_rules_say_now() -> None:
    before = grouping({"match": "/ns/all", "ttl": "1d", "quota": "1GiB", "priority": "low", "pin": True})
    name = before.keep_of(oid("x")).name
    after = grouping({"match": "/ns/all", "ttl": "2d", "quota": "2GiB", "priority": "high", "pin": True})

    assert after.digest == before.digest
    assert after.named(name) == Keep(name, True, 2 * 86400.0, Quota("/ns/all", 2**31), "high")


def test_names_mean_nothing_more_of_what_is_no_longer_set() -> None:
    name = grouping({"match": "/ns/all", "ttl": "1d"}, pins=("/ns/all/x",)).keep_of(oid("x")).name

    assert grouping().named(name) == Keep(name)
    for other in ("not a name", "[", "{}", "[1]", '[["ttl"]]', '[["newest","/ns/a/*"]]', '[["ttl",3]]'):
        assert grouping().named(other) is None, other
    assert grouping().named("") is PLAIN


def test_the_digest_changes_with_what_names_depend_on_and_with_nothing_else() -> None:
    rule = {"match": "/ns/all", "ttl": "1d"}
    same = grouping(rule).digest

    assert grouping().digest == grouping({"match": "/ns/all", "admit": "never"}).digest == ""
    assert grouping({"match": "/ns/all", "ttl": "9d"}).digest == same
    assert grouping({"match": "/ns/x", "ttl": "1d"}, rule).digest != same
    assert grouping({"match": "/ns/all", "quota": "1GiB"}).digest != same
    assert grouping({"match": "/ns/all", "ttl": "1d", "pin": True}).digest != same
    assert grouping(rule, pins=("/ns/all/x",)).digest != same
    moved = RuleGrouping([CacheRule.model_validate(rule)], shown({"/ns/all": {"bucket": "b"}}), (), Partitions())
    assert moved.digest != same


@pytest.mark.parametrize(
    ("rules", "pins", "expected"),
    [((), (), False), (({"match": "/ns/a", "ttl": "1d"},), (), False), ((NEWEST,), (), True), ((), ("/ns/all",), True)],
)
def test_it_says_whether_it_may_pin_anything(
    rules: tuple[Mapping[str, object], ...], pins: tuple[str, ...], expected: bool
) -> None:
    assert grouping(*rules, pins=pins).pins is expected
