"""What the store is told when rules, mounts, pins or partitions change: once for each change, and nothing too early."""

import asyncio
from dataclasses import dataclass, field

import pytest

from namespace import codec
from policy import units
from policy.model import CacheRule
from regioncache.pages import ObjectId
from regioncache.regrouping import Regrouping
from regioncache.store.groups import Grouping

pytestmark = pytest.mark.anyio
BUCKET = {"bucket": "notes-1", "provider": "s3", "region": "r", "endpoints": {"internal": "http://o"}}
TOPOLOGY = codec.topology(
    {"regions": {"r": {}}, "buckets": {"notes": BUCKET}, "mounts": {"/ns/notes": {"bucket": "notes"}}}, units
)
NEWEST = CacheRule.model_validate({"match": "/ns/notes/dt=*", "pin": {"newest": 2}})


@dataclass(slots=True)
class Told:
    """Remembers the digest of each grouping that it was told."""

    digests: list[str] = field(default_factory=list)

    def regroup(self, grouping: Grouping) -> None:
        self.digests.append(grouping.digest)


def oid(key: str) -> ObjectId:
    return ObjectId(TOPOLOGY.buckets["notes"].id, key)


async def test_at_a_start_pins_wait_for_the_mounts_so_that_nothing_is_labelled_twice() -> None:
    store = Told()
    regrouping = Regrouping(store)

    regrouping.pin(["/ns/notes/a"])
    early = list(store.digests)
    regrouping.adopt(TOPOLOGY, [NEWEST])

    assert early == []
    assert len(store.digests) == 1
    assert regrouping.now.keep_of(oid("a/b")).pinned


async def test_the_same_pins_again_are_no_change() -> None:
    store = Told()
    regrouping = Regrouping(store)
    regrouping.adopt(TOPOLOGY, [])

    regrouping.pin(["/ns/notes/a"])
    regrouping.pin(["/ns/notes/a"])

    assert len(store.digests) == 2


async def test_newer_partitions_are_told_once_and_not_amid_an_admission() -> None:
    store = Told()
    regrouping = Regrouping(store)
    regrouping.adopt(TOPOLOGY, [NEWEST])

    for day in range(5):
        regrouping.now.keep_of(oid(f"dt={day}/x"))
    amid = len(store.digests)
    await asyncio.sleep(0)

    assert amid == 1
    assert len(store.digests) == 2
    assert len(set(store.digests)) == 1, "nothing is to be labelled anew for that"


async def test_a_listing_that_shows_what_was_known_tells_nothing() -> None:
    store = Told()
    regrouping = Regrouping(store)
    regrouping.adopt(TOPOLOGY, [NEWEST])
    for _ in range(2):
        regrouping.listed("/ns/notes/dt=*", ["/ns/notes/dt=1"], regrouping.partitions.moment(), whole=True)
        await asyncio.sleep(0)

    assert len(store.digests) == 2
    assert regrouping.now.keep_of(oid("dt=1/x")).pinned


async def test_who_lists_partitions_hears_of_other_rules() -> None:
    heard: list[str] = []
    regrouping = Regrouping(Told())
    regrouping.on_rules = lambda: heard.append("rules")

    regrouping.adopt(TOPOLOGY, [NEWEST])
    regrouping.pin(["/ns/notes/a"])

    assert heard == ["rules"]
