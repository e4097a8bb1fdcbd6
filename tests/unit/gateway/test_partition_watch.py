"""Partitions are listed by and by: how often, how much of a listing is believed, what stays when none can be had."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from gateway import walking
from gateway.partitionwatch import MOST_SECONDS, RETRY_SECONDS, SPARE, PartitionWatch
from gateway.walking import Walk
from namespace import codec
from namespace.model import Topology
from namespace.resolver import Resolver
from policy import units
from policy.model import CacheRule
from regioncache.errors import OriginUnavailable
from regioncache.regrouping import Regrouping
from regioncache.store.groups import Grouping
from tests.fakes.clock import FakeClock
from tests.fakes.hearing import Heard
from tests.fakes.listing import Listing

pytestmark = pytest.mark.anyio
PATTERN = "/ns/notes/dt=*"
NEWEST = {"match": PATTERN, "pin": {"newest": 2}}


@dataclass(slots=True)
class Groupings:
    """Remembers what the store was told."""

    told: list[Grouping] = field(default_factory=list)

    def regroup(self, grouping: Grouping) -> None:
        self.told.append(grouping)


def topology(consistency: object) -> Topology:
    bucket = {"bucket": "notes-1", "provider": "s3", "region": "r", "endpoints": {"internal": "http://o"}}
    mounts = {"/ns/notes": {"bucket": "notes", "consistency": consistency}}
    return codec.topology({"regions": {"r": {}}, "buckets": {"notes": bucket}, "mounts": mounts}, units)


@dataclass(slots=True)
class Watched:
    """A watch over a listing."""

    listing: Listing
    clock: FakeClock = field(default_factory=FakeClock)
    store: Groupings = field(default_factory=Groupings)
    hearing: Heard = field(default_factory=Heard)
    faults: list[BaseException] = field(default_factory=list)
    regrouping: Regrouping = field(init=False)
    watch: PartitionWatch = field(init=False)
    resolver: Resolver = field(default_factory=lambda: Resolver("r"))

    def __post_init__(self) -> None:
        self.regrouping = Regrouping(self.store)
        self.watch = PartitionWatch(
            self.regrouping,
            self.resolver,
            lambda: Walk(self.listing),
            self.clock,
            self.hearing.tidings(),
            self.faults.append,
        )

    def adopt(self, *rules: Mapping[str, object], consistency: object = "immutable") -> None:
        made = topology(consistency)
        self.resolver.adopt(made, self.resolver.revision + 1)
        self.regrouping.adopt(made, [CacheRule.model_validate(rule) for rule in rules])

    def newest(self) -> tuple[str, ...]:
        return self.regrouping.partitions.newest(PATTERN)


def of(*days: int) -> list[str]:
    return [f"/ns/notes/dt={day:02}/x" for day in days]


async def test_the_newest_are_known_as_soon_as_the_rule_is_in_force() -> None:
    watched = Watched(Listing(of(1, 2, 3)))
    watched.adopt(NEWEST)

    wait = await watched.watch.look()

    assert watched.newest() == ("/ns/notes/dt=03", "/ns/notes/dt=02")
    assert wait == MOST_SECONDS


@pytest.mark.parametrize(("age", "seconds"), [("60s", 60.0), ("1s", 10.0), ("2h", 600.0)])
async def test_they_are_listed_again_when_the_mounts_lists_have_aged(age: str, seconds: float) -> None:
    watched = Watched(Listing(of(1)))
    watched.adopt(NEWEST, consistency={"max_age": age})

    assert await watched.watch.look() == seconds
    asked = len(watched.listing.asked)
    await watched.watch.look()
    assert len(watched.listing.asked) == asked, "not due yet"
    watched.clock.advance(seconds)
    watched.listing.paths = of(1, 7)
    await watched.watch.look()

    assert watched.newest() == ("/ns/notes/dt=07", "/ns/notes/dt=01")


async def test_where_nobody_answers_the_last_known_stays_and_is_asked_for_ever_less_often() -> None:
    watched = Watched(Listing(of(1, 2, 3)))
    watched.adopt(NEWEST)
    await watched.watch.look()
    watched.listing.fault = OriginUnavailable("away")

    waits = []
    for _ in range(7):
        watched.clock.advance(MOST_SECONDS)
        waits.append(await watched.watch.look())

    assert waits == [
        RETRY_SECONDS,
        2 * RETRY_SECONDS,
        4 * RETRY_SECONDS,
        8 * RETRY_SECONDS,
        16 * RETRY_SECONDS,
        600,
        600,
    ]
    assert watched.newest() == ("/ns/notes/dt=03", "/ns/notes/dt=02")
    watched.listing.fault = None
    watched.clock.advance(MOST_SECONDS)
    assert await watched.watch.look() == MOST_SECONDS


async def test_another_policy_has_all_listed_at_once() -> None:
    watched = Watched(Listing(of(1, 2, 3)))
    watched.adopt(NEWEST)
    await watched.watch.look()
    asked = len(watched.listing.asked)

    watched.adopt({"match": "/ns/notes/x", "ttl": "1d"}, NEWEST)
    await watched.watch.look()

    assert len(watched.listing.asked) > asked


async def test_without_such_rules_nothing_is_listed_and_nothing_due() -> None:
    watched = Watched(Listing(of(1)))
    watched.adopt({"match": "/ns/notes", "pin": True})

    assert math.isinf(await watched.watch.look())
    assert watched.listing.asked == []


async def test_a_list_that_is_old_takes_nothing_back_that_was_seen_since() -> None:
    watched = Watched(Listing(of(1, 2)))
    watched.adopt(NEWEST)
    await watched.watch.look()
    watched.clock.advance(MOST_SECONDS)
    watched.regrouping.partitions.seen(PATTERN, "/ns/notes/dt=09")
    watched.listing.age = 100.0

    await watched.watch.look()

    assert watched.newest() == ("/ns/notes/dt=09", "/ns/notes/dt=02")
    watched.listing.age = 0.0
    watched.clock.advance(MOST_SECONDS)
    await watched.watch.look()
    assert watched.newest() == ("/ns/notes/dt=02", "/ns/notes/dt=01")


async def test_of_many_partitions_the_last_are_listed_and_the_others_not_taken_back() -> None:
    watched = Watched(Listing(of(*range(1, 60))))
    watched.adopt(NEWEST)

    await watched.watch.look()

    assert watched.newest() == ("/ns/notes/dt=59", "/ns/notes/dt=58")
    watched.regrouping.partitions.adopt({PATTERN: 40})
    assert len(watched.newest()) == 2 + SPARE


async def test_a_fault_in_one_listing_is_handed_on_and_the_pattern_tried_again() -> None:
    watched = Watched(Listing(of(1)))
    watched.adopt(NEWEST)
    watched.listing.fault = AssertionError("a mistake of ours")  # type: ignore[assignment]

    assert await watched.watch.look() == RETRY_SECONDS
    assert [str(fault) for fault in watched.faults] == ["a mistake of ours"]


async def test_too_many_names_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "MOST_NAMES", 3)
    watched = Watched(Listing(of(*range(10))))
    watched.adopt(NEWEST)

    for _ in range(3):
        await watched.watch.look()
        watched.clock.advance(MOST_SECONDS)

    assert len(watched.hearing.warnings) == 1
    assert "its newest partitions are known only as they are read" in watched.hearing.warnings[0]
