"""Do pins fit? What is to be pinned is listed and summed, no further than needed; what cannot be is told."""

import asyncio
from collections.abc import Mapping

import pytest

from gateway.fitting import Fitting
from gateway.s3.base import ListPath
from gateway.walking import Walk
from policy.model import CacheRule
from regioncache.errors import OriginUnavailable
from regioncache.origins.base import ListPage
from tests.fakes.listing import Listing

pytestmark = pytest.mark.anyio
GIB = 1 << 30
DAYS = [f"/ns/notes/dt={day}/part-{part}" for day in range(1, 6) for part in range(4)]


def fitting(listing: Listing, *, cache: int, commands: dict[str, int] | None = None) -> Fitting:
    pinned = commands or {}
    return Fitting(Walk(listing), cache, sum(pinned.values()), list(pinned), [])


def rules(*written: Mapping[str, object]) -> list[CacheRule]:
    return [CacheRule.model_validate(rule) for rule in written]


NEWEST = {"match": "/ns/notes/dt=*", "pin": {"newest": 2}}


async def test_only_the_newest_partitions_are_summed() -> None:
    check = fitting(Listing(DAYS, GIB), cache=20 * GIB)

    assert await check.rules(rules(NEWEST)) is None
    assert check.total == 8 * GIB
    assert check.warnings == []


async def test_nine_tenths_of_the_cache_may_be_pinned_and_not_a_byte_more() -> None:
    fits = fitting(Listing(DAYS, 9), cache=80)
    too_large = fitting(Listing(DAYS, 9), cache=79)

    assert await fits.rules(rules(NEWEST)) is None
    assert await too_large.rules(rules(NEWEST)) is not None


async def test_the_rule_that_is_too_much_is_named_with_what_it_pins_and_what_there_is() -> None:
    check = fitting(Listing([*DAYS, "/ns/a/x", "/ns/a/y"], GIB), cache=10 * GIB)

    large = await check.rules(rules({"match": "/ns/b", "ttl": "1d"}, {"match": "/ns/a", "pin": True}, NEWEST))

    assert large is not None
    assert large.rule == 2
    assert large.message == (
        "the rule pins 8 GiB at least, beside 2 GiB that are pinned before it, and 9 GiB may be pinned,"
        " 90% of the cache's 10 GiB; pin less, or give the cache more room"
    )


async def test_the_sum_stops_as_soon_as_it_is_too_much() -> None:
    listing = Listing([f"/ns/a/{number:04}" for number in range(1000)], GIB)

    assert await fitting(listing, cache=10 * GIB).rules(rules({"match": "/ns/a/**", "pin": True})) is not None
    assert len(listing.asked) <= 6


async def test_an_object_counts_for_the_rule_that_pins_it_alone() -> None:
    listing = Listing(["/ns/a/tmp/x", "/ns/a/val/x", "/ns/a/y", "/ns/b/val/z"], GIB)
    check = fitting(listing, cache=100 * GIB)

    await check.rules(
        rules(
            {"match": "/ns/a/tmp", "pin": False},
            {"match": "/ns/**/val", "pin": True},
            {"match": "/ns/a", "pin": True},
        )
    )

    assert check.total == 3 * GIB


async def test_what_commands_have_pinned_is_counted_once_and_to_begin_with() -> None:
    check = fitting(Listing(["/ns/a/x", "/ns/a/b/y"], GIB), cache=100 * GIB, commands={"/ns/a/b": 5 * GIB})

    await check.rules(rules({"match": "/ns/a", "pin": True}))

    assert check.total == 6 * GIB


async def test_an_origin_that_is_away_is_a_warning_and_no_refusal() -> None:
    listing = Listing(DAYS, GIB, fault=OriginUnavailable("bucket notes is away"))
    check = fitting(listing, cache=1)

    assert await check.rules(rules(NEWEST)) is None
    assert check.warnings == [
        "what the cache rule of /ns/notes/dt=* pins could not be summed: bucket notes is away",
    ]


async def test_a_listing_that_takes_too_long_is_a_warning_and_no_refusal() -> None:
    async def never(ask: ListPath) -> ListPage:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    check = Fitting(Walk(never), 10 * GIB, 0, [], [])

    assert await check.rules(rules(NEWEST), seconds=0.0) is None
    assert len(check.warnings) == 1
    assert check.warnings[0].startswith("what the cache rules pin could not be summed within 0 s (0 B so far)")


async def test_without_rules_that_pin_nobody_is_asked() -> None:
    listing = Listing(DAYS)

    assert await fitting(listing, cache=0).rules(rules({"match": "/ns/a", "ttl": "1d"})) is None
    assert listing.asked == []


async def test_a_path_is_summed_as_far_as_it_fits() -> None:
    check = fitting(Listing(DAYS, GIB), cache=100 * GIB, commands={"/ns/x": GIB})

    assert await check.path("/ns/notes") == 20 * GIB
    assert check.total == 21 * GIB


async def test_a_path_that_cannot_be_summed_has_no_size_and_a_warning() -> None:
    check = fitting(Listing([], fault=OriginUnavailable("bucket notes is away")), cache=1)

    assert await check.path("/ns/notes") is None
    assert check.warnings == ["what lies beneath /ns/notes could not be summed: bucket notes is away"]
