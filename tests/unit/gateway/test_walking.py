"""Walks over the tree by its listings: what a pattern matches, the last first, and what lies beneath a path."""

import pytest

from gateway import walking
from gateway.walking import TooMany, Walk
from policy.pattern import Pattern
from tests.fakes.listing import Listing

pytestmark = pytest.mark.anyio


async def matching(listing: Listing, pattern: str) -> list[str]:
    return [path async for path in Walk(listing).matching(Pattern.parse(pattern))]


async def test_what_a_pattern_matches_comes_with_the_last_first() -> None:
    listing = Listing([f"/ns/notes/dt={day}/part-{part}" for day in (3, 1, 2, 5, 4) for part in range(3)] + ["/ns/x"])

    assert await matching(listing, "/ns/notes/dt=*") == [f"/ns/notes/dt={day}" for day in (5, 4, 3, 2, 1)]


async def test_only_names_that_begin_like_the_pattern_are_asked_for() -> None:
    listing = Listing(["/ns/notes/dt=1/a", "/ns/notes/other/b"])

    await matching(listing, "/ns/notes/dt=*")

    assert [ask.prefix for ask in listing.asked] == ["/ns/notes/dt="]
    assert listing.asked[0].delimiter == "/"


async def test_objects_are_matched_like_directories() -> None:
    listing = Listing(["/ns/notes/dt=1.parquet", "/ns/notes/dt=2.csv", "/ns/notes/dt=3.parquet"])

    assert await matching(listing, "/ns/notes/*.parquet") == ["/ns/notes/dt=3.parquet", "/ns/notes/dt=1.parquet"]


async def test_who_wants_the_last_few_does_not_pay_for_all() -> None:
    listing = Listing([f"/ns/log/y={year}/m={month}/x" for year in range(5) for month in (1, 2)])
    walk = Walk(listing).matching(Pattern.parse("/ns/log/y=*/m=*"))

    found = [await anext(walk), await anext(walk)]
    await walk.aclose()

    assert found == ["/ns/log/y=4/m=2", "/ns/log/y=4/m=1"]
    assert {ask.prefix for ask in listing.asked} == {"/ns/log/y=", "/ns/log/y=4/m="}


async def test_a_name_in_the_middle_of_a_pattern_is_not_asked_for_and_one_at_its_end_is() -> None:
    listing = Listing(["/ns/a/1/val/x", "/ns/a/2/train/x", "/ns/a/3/value/x"])

    assert await matching(listing, "/ns/a/*/val") == ["/ns/a/1/val"]
    assert "/ns/" not in {ask.prefix for ask in listing.asked}


async def test_the_objects_of_a_path_are_itself_and_what_lies_beneath_and_no_neighbour() -> None:
    listing = Listing(["/ns/a", "/ns/a-b", "/ns/a/x", "/ns/a/y/z", "/ns/ab", "/ns/b"])

    assert [entry.key async for entry in Walk(listing).objects("/ns/a")] == ["/ns/a", "/ns/a/x", "/ns/a/y/z"]
    assert [entry.key async for entry in Walk(listing).objects("/ns/a/y")] == ["/ns/a/y/z"]


async def test_a_directory_with_too_many_names_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "MOST_NAMES", 3)
    listing = Listing([f"/ns/notes/{number}" for number in range(10)])

    with pytest.raises(TooMany, match="beneath /ns/notes match"):
        await matching(listing, "/ns/notes/*")
    assert len(listing.asked) == 2
