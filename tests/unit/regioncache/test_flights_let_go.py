"""A flight that has landed is let go at once: nothing of it leads back to it, nothing waits for the collector."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from regioncache.flights import Flight
from regioncache.opened import Terms
from regioncache.pages import MIB
from tests.fakes.ramp import ramp
from tests.fakes.region import ended, region

pytestmark = pytest.mark.anyio


@pytest.fixture
def uncollected() -> Iterator[None]:
    """The collector stands still."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    ("size", "keep"),
    [(100_000, True), (3 * MIB, True), (100_000, False), (3 * MIB, False)],
    ids=["packed", "extent", "small and not kept", "not kept"],
)
async def test_a_flight_that_has_landed_is_freed_without_the_collector(
    tmp_path: Path, size: int, keep: bool, uncollected: None
) -> None:
    key = f"let go {size} {keep}"
    async with region(tmp_path) as cache:
        cache.put(key, size)

        assert await cache.read(key, terms=Terms(keep=keep)) == ramp(0, size)
        await ended(cache)

        assert [each for each in gc.get_objects() if isinstance(each, Flight) and each.oid.key == key] == []
