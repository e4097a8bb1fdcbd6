"""Where parts lie is asked of the origin once for each part of a version, and never taken for another version."""

import asyncio
from pathlib import Path

import pytest

from regioncache.errors import NotSupported, OriginUnavailable, RangeOutside, VersionChanged
from regioncache.origins.base import Part, Payer, Source
from regioncache.pages import Span, Version
from regioncache.parts import PartTable, parts_of
from tests.fakes.faulty import away
from tests.fakes.region import region

pytestmark = pytest.mark.anyio
HEX = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("etag", "parts"),
    [
        (f'"{HEX}-17"', 17),
        (f'"{HEX}-1"', 1),
        (f'"{HEX.upper()}-10000"', 10_000),
        (f'"{HEX}"', None),
        (f'"{HEX}-0"', None),
        (f'"{HEX}-017"', None),
        (f'"{HEX}-100000"', None),
        (f'W/"{HEX}-17"', None),
        ('"1-2"', None),
        ("", None),
    ],
)
def test_the_etag_tells_how_many_parts_there_are(etag: str, parts: int | None) -> None:
    assert parts_of(etag) == parts


async def test_a_part_is_asked_for_once_and_counted_as_meta(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        made = cache.put("k", 30, parts=(10, 20))
        table, version = cache.app.cache.parts, Version(made.etag)

        found = await asyncio.gather(*(table.find(cache.asked("k"), version, 2) for _ in range(5)))
        again = await table.find(cache.asked("k"), version, 2)

        assert {*found, again} == {Part(Span(10, 30), 2)}
        assert cache.origin.count("part") == 1
        assert set(cache.kinds()) <= {"meta"}


async def test_parts_of_another_version_are_asked_anew(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        old = cache.put("k", 30, parts=(10, 20))
        table = cache.app.cache.parts
        await table.find(cache.asked("k"), Version(old.etag), 1)
        new = cache.put("k", 30, parts=(15, 15))

        with pytest.raises(VersionChanged):
            await table.find(cache.asked("k"), Version(old.etag), 2)

        assert await table.find(cache.asked("k"), Version(new.etag), 1) == Part(Span(0, 15), 2)


async def test_what_was_told_outlives_the_origin_and_the_rest_is_a_fault(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        made = cache.put("k", 30, parts=(10, 20))
        table, version = cache.app.cache.parts, Version(made.etag)
        await table.find(cache.asked("k"), version, 1)
        cache.faulty[0].always = away()

        assert await table.find(cache.asked("k"), version, 1) == Part(Span(0, 10), 2)
        with pytest.raises(OriginUnavailable):
            await table.find(cache.asked("k"), version, 2)


async def test_a_part_comes_by_the_next_way_where_the_first_one_cannot_tell(tmp_path: Path) -> None:
    class Partless:
        """A source that knows nothing of parts."""

        name = "partless"

        def __init__(self, source: Source) -> None:
            self.read, self.head, self.list = source.read, source.head, source.list

    async with region(tmp_path, ways=2) as cache:
        made = cache.put("k", 30, parts=(10, 20))
        cache.faulty[0].source = Partless(cache.origins[0])
        table, version = cache.app.cache.parts, Version(made.etag)

        assert await table.find(cache.asked("k"), version, 2) == Part(Span(10, 30), 2)

        cache.faulty[1].source = Partless(cache.origins[1])
        with pytest.raises(NotSupported, match="tells no parts"):
            await table.find(cache.asked("k"), version, 1)


async def test_a_part_that_is_not_there_is_outside(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        made = cache.put("k", 30, parts=(10, 20))

        with pytest.raises(RangeOutside):
            await cache.app.cache.parts.find(cache.asked("k"), Version(made.etag), 3)


async def test_parts_are_remembered_up_to_a_limit(tmp_path: Path) -> None:
    async with region(tmp_path) as cache:
        made = cache.put("k", 30, parts=(10,) * 3)
        table = PartTable(cache.app.cache.owners, limit=2)
        for number in (1, 2, 1, 3, 1, 2):
            await table.find(cache.asked("k", payer=Payer("rec")), Version(made.etag), number)

        assert len(table) == 2
        assert cache.origin.count("part") == 4
