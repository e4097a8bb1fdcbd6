"""Files of siblings, read here: by two stores on one disk, and an owner that is asked without a network."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from regioncache.cluster.members import Addresses, Member
from regioncache.cluster.ownership import Shared
from regioncache.errors import BadAnswer, OriginUnavailable
from regioncache.owners.memberroutes import MemberRoutes
from regioncache.owners.siblings import ABSENT_SECONDS, FRESH_SECONDS, OPERATION, Siblings, SiblingSettings, siblings_of
from regioncache.owners.siblings import _parsed as parsed
from regioncache.pages import KIB, MIB, Meta, ObjectId, Span
from regioncache.store.base import StoreSettings
from regioncache.store.store import Store
from tests.fakes.clock import FakeClock
from tests.fakes.storing import content, meta, oid, put

pytestmark = pytest.mark.anyio
LARGE, SMALL = oid("large"), oid("small")
META, SMALL_META = meta(3 * MIB + 5), meta(4 * KIB)


@dataclass(slots=True)
class Routes:
    """Leads to the owner's desk; counts what it is asked, and may be cut."""

    store: Store
    siblings: "Siblings | None" = None
    asked: list[str] = field(default_factory=list)
    cut: bool = False

    async def ask(self, member: Member, operation: str, values: dict[str, str], **_: Any) -> bytes:
        self.asked.append(values["key"])
        if self.cut or self.siblings is None:
            raise OriginUnavailable("nobody answers")
        desk = self.siblings.desk("here", self.store.whereabouts)[OPERATION]
        return bytes((await desk("here", values)).body)


@dataclass(slots=True)
class Pair:
    store: Store
    routes: Routes
    siblings: Siblings
    clock: FakeClock

    async def land(self, about: Meta, pages: Span) -> None:
        """The owner keeps some pages of the large object."""
        assert await put(self.store, "large", about, pages)

    async def read(self, span: Span, about: Meta = META, of: ObjectId = LARGE) -> bytes | None:
        view = await self.siblings.read(of, about, span)
        return None if view is None else bytes(view)

    def now(self, span: Span, about: Meta = META) -> bytes | None:
        part = self.siblings.part_now(LARGE, about.version, span, memoryview(bytearray(MIB)))
        return None if part is None else bytes(part.view)


@pytest.fixture
async def pair(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Pair]:
    store = await Store.open(StoreSettings((tmp_path / "cache" / "worker-1",), 1 << 30))
    ownership = Shared("n1/0")
    ownership.adopt([Member("n1/1", Addresses("http://127.0.0.1:1"), 1)], 1)
    routes = Routes(store)
    settings = SiblingSettings("n1", (tmp_path / "cache",))
    siblings = siblings_of(settings, ownership, cast(MemberRoutes, routes), tmp_path, clock)
    assert siblings is not None
    routes.siblings = siblings
    yield Pair(store, routes, siblings, clock)
    await siblings.stop()
    await store.close()


async def test_an_extent_is_asked_for_once_and_then_read_without_waiting(pair: Pair) -> None:
    await pair.land(META, Span(0, 4))

    assert pair.now(Span(0, 10)) is None
    assert await pair.read(Span(5, 300_000)) == content(Span(5, 300_000))
    assert pair.now(Span(MIB - 3, MIB + 9)) == content(Span(MIB - 3, MIB - 3 + 12))
    assert pair.now(Span(3 * MIB, META.size)) == content(Span(3 * MIB, 3 * MIB + 5))

    assert pair.routes.asked == ["large"]


async def test_pages_that_came_later_are_seen_in_the_header(pair: Pair) -> None:
    await pair.land(META, Span(0, 1))
    assert await pair.read(Span(0, 10)) == content(Span(0, 10))
    assert await pair.read(Span(MIB, MIB + 10)) is None

    await pair.land(META, Span(1, 4))
    pair.clock.advance(ABSENT_SECONDS)

    assert await pair.read(Span(MIB, MIB + 10)) == content(Span(MIB, MIB + 10))
    assert pair.now(Span(2 * MIB, 2 * MIB + 10)) == content(Span(2 * MIB, 2 * MIB + 10))


async def test_another_version_is_never_read(pair: Pair) -> None:
    await pair.land(META, Span(0, 4))
    await pair.read(Span(0, 10))
    newer = meta(META.size, 2)

    assert pair.now(Span(0, 10), newer) is None
    assert await pair.read(Span(0, 10), newer) is None


async def test_what_was_dropped_is_read_while_it_is_open_and_forgotten_when_it_is_asked_for_again(pair: Pair) -> None:
    await pair.land(META, Span(0, 4))
    await pair.read(Span(0, 10))
    pair.store.forget(LARGE)

    assert pair.now(Span(0, 10)) == content(Span(0, 10))
    pair.clock.advance(FRESH_SECONDS)
    assert pair.now(Span(0, 10)) == content(Span(0, 10))  # asks, behind
    await asyncio.gather(*pair.siblings._renewing)

    assert pair.now(Span(0, 10)) is None
    assert await pair.read(Span(0, 10)) is None


async def test_an_owner_too_busy_to_say_where_it_lies_is_not_asked_for_the_bytes_instead(pair: Pair) -> None:
    await pair.land(META, Span(0, 4))
    await pair.read(Span(0, 10))
    pair.routes.cut = True

    pair.clock.advance(FRESH_SECONDS)
    assert pair.now(Span(0, 10)) == content(Span(0, 10))  # asks, behind
    await asyncio.gather(*pair.siblings._renewing)

    assert pair.routes.asked == ["large", "large"]
    assert pair.now(Span(0, 10)) == content(Span(0, 10))


async def test_a_flipped_bit_is_not_handed_on(pair: Pair, tmp_path: Path) -> None:
    await pair.land(META, Span(0, 4))
    await pair.read(Span(0, 10))
    (file,) = (tmp_path / "cache" / "worker-1" / "extents").glob("*/*")
    with file.open("r+b") as raw:
        raw.seek(16 * KIB + 100)
        raw.write(b"\xff")

    assert pair.now(Span(0, 200)) is None
    assert await pair.read(Span(0, 200)) is None


async def test_a_packed_object_is_read_from_its_segment_and_checked(pair: Pair) -> None:
    assert await pair.store.pack(SMALL, SMALL_META, content(Span(0, 4 * KIB)))

    assert pair.siblings.packed_now(SMALL) is None
    assert await pair.read(Span(10, 4 * KIB), SMALL_META, SMALL) == content(Span(10, 4 * KIB))
    found = pair.siblings.packed_now(SMALL)

    assert found is not None
    assert (found[0], bytes(found[1])) == (SMALL_META, content(Span(0, 4 * KIB)))
    assert pair.routes.asked == ["small"]


async def test_what_an_owner_lacks_or_does_not_say_is_read_through_it_and_not_asked_for_at_once(pair: Pair) -> None:
    assert await pair.read(Span(0, 10)) is None
    assert await pair.read(Span(0, 10)) is None
    pair.clock.advance(ABSENT_SECONDS)
    pair.routes.cut = True
    assert await pair.read(Span(0, 10)) is None

    assert pair.routes.asked == ["large", "large"]


@pytest.mark.parametrize(
    "told",
    ['["/etc/passwd", 0, 0, 0.0]', '["/c/../etc/passwd", 0, 0, 0.0]', '["/c/x", -1, 5, 0.0]', '["/c/x"]', "{", "7"],
)
def test_nothing_outside_the_nodes_folders_is_ever_opened(told: str) -> None:
    with pytest.raises(BadAnswer):
        parsed(told.encode(), (Path("/c"),))
