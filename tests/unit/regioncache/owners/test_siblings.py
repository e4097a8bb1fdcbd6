"""Files of siblings, read here: by two stores on one disk, and an owner that is asked without a network."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from regioncache.cluster.members import Addresses, Member
from regioncache.cluster.ownership import Shared
from regioncache.errors import OriginUnavailable
from regioncache.owners.inquiries import OPERATION, desk
from regioncache.owners.memberroutes import MemberRoutes
from regioncache.owners.siblings import (
    ABSENT_SECONDS,
    FRESH_SECONDS,
    IDLE_SECONDS,
    Siblings,
    SiblingSettings,
    siblings_of,
)
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
    asked: list[int] = field(default_factory=list)
    """Of how many things each question was."""
    cut: bool = False

    async def ask(self, member: Member, operation: str, values: dict[str, str], **_: Any) -> bytes:
        self.asked.append(len(values["of"].split("_")))
        if self.cut:
            raise OriginUnavailable("nobody answers")
        return bytes((await desk("here", self.store.whereabouts)[OPERATION]("here", values)).body)


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

    async def renew(self) -> None:
        """What is to be asked again is asked, and heard."""
        self.siblings.renew()
        while len(self.siblings.again):
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # the answers are there, and are heard next

    def now(self, span: Span, about: Meta = META) -> bytes | None:
        part = self.siblings.part_now(LARGE, about.version, span, memoryview(bytearray(MIB)))
        return None if part is None else bytes(part.view)


@pytest.fixture
async def pair(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Pair]:
    store = await Store.open(StoreSettings((tmp_path / "cache" / "worker-1",), 1 << 30))
    ownership = Shared("n1/0")
    ownership.adopt([Member("n1/1", Addresses("http://127.0.0.1:1"), 1)], 1)
    routes = Routes(store)
    settings = SiblingSettings("n1", (tmp_path / "cache",), workers=2)
    siblings = siblings_of(settings, ownership, cast(MemberRoutes, routes), tmp_path, clock, 4)
    assert siblings is not None
    made = Pair(store, routes, siblings, clock)
    yield made
    await siblings.stop()
    await made.store.close()


async def test_an_extent_is_asked_for_once_and_then_read_without_waiting(pair: Pair) -> None:
    await pair.land(META, Span(0, 4))

    assert pair.now(Span(0, 10)) is None
    assert await pair.read(Span(5, 300_000)) == content(Span(5, 300_000))
    assert pair.now(Span(MIB - 3, MIB + 9)) == content(Span(MIB - 3, MIB - 3 + 12))
    assert pair.now(Span(3 * MIB, META.size)) == content(Span(3 * MIB, 3 * MIB + 5))

    assert pair.routes.asked == [1]


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
    await pair.renew()

    assert pair.now(Span(0, 10)) is None
    assert await pair.read(Span(0, 10)) is None


async def test_an_owner_too_busy_to_say_where_it_lies_is_not_asked_for_the_bytes_instead(pair: Pair) -> None:
    await pair.land(META, Span(0, 4))
    await pair.read(Span(0, 10))
    pair.routes.cut = True

    pair.clock.advance(FRESH_SECONDS)
    assert pair.now(Span(0, 10)) == content(Span(0, 10))  # asks, behind
    await pair.renew()

    assert pair.routes.asked == [1, 1]
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
    assert pair.routes.asked == [1]


async def test_what_an_owner_lacks_or_does_not_say_is_read_through_it_and_not_asked_for_at_once(pair: Pair) -> None:
    assert await pair.read(Span(0, 10)) is None
    assert await pair.read(Span(0, 10)) is None
    pair.clock.advance(ABSENT_SECONDS)
    pair.routes.cut = True
    assert await pair.read(Span(0, 10)) is None

    assert pair.routes.asked == [1, 1]


async def test_of_many_that_are_used_at_once_and_again_one_question_each_time_is_asked(pair: Pair) -> None:
    names = [f"small-{number}" for number in range(100)]
    for name in names:
        assert await pair.store.pack(oid(name), SMALL_META, content(Span(0, 4 * KIB)))

    read = await asyncio.gather(*(pair.read(Span(0, 4 * KIB), SMALL_META, oid(name)) for name in names))
    pair.clock.advance(FRESH_SECONDS)
    again = [pair.siblings.packed_now(oid(name)) for name in names]
    await pair.renew()

    assert read == [content(Span(0, 4 * KIB))] * 100
    assert None not in again
    assert pair.routes.asked == [100, 100]


async def test_what_a_sibling_evicted_is_forgotten_by_the_next_question_and_what_it_keeps_is_not(pair: Pair) -> None:
    for name in ("kept", "gone"):
        assert await pair.store.pack(oid(name), SMALL_META, content(Span(0, 4 * KIB)))
        await pair.read(Span(0, 10), SMALL_META, oid(name))
    pair.store.forget(oid("gone"))

    pair.clock.advance(FRESH_SECONDS)
    as_it_was = [pair.siblings.packed_now(oid(name)) for name in ("kept", "gone")]
    await pair.renew()

    assert None not in as_it_was
    assert pair.siblings.packed_now(oid("kept"))
    assert pair.siblings.packed_now(oid("gone")) is None


async def test_what_an_owner_found_to_be_the_newest_again_is_as_fresh_here_and_not_looked_for_anew(pair: Pair) -> None:
    assert await pair.store.pack(SMALL, SMALL_META, content(Span(0, 4 * KIB)))
    await pair.read(Span(0, 10), SMALL_META, SMALL)
    await pair.store.relearn(SMALL, replace(SMALL_META, learned_at=50.0))

    pair.clock.advance(FRESH_SECONDS)
    before = pair.siblings.packed_now(SMALL)
    await pair.renew()
    after = pair.siblings.packed_now(SMALL)

    assert before is not None
    assert after is not None
    assert (before[0].learned_at, after[0].learned_at) == (SMALL_META.learned_at, 50.0)
    assert pair.routes.asked == [1, 1]


async def test_where_a_small_object_lies_is_remembered_when_its_segment_is_closed_for_want_of_readers(
    pair: Pair,
) -> None:
    assert await pair.store.pack(SMALL, SMALL_META, content(Span(0, 4 * KIB)))
    await pair.read(Span(0, 10), SMALL_META, SMALL)

    pair.clock.advance(IDLE_SECONDS + 1)
    pair.siblings._sweep()
    closed = pair.siblings.packed_now(SMALL), dict(pair.siblings._segments)
    again = await pair.read(Span(0, 4 * KIB), SMALL_META, SMALL)

    assert closed == (None, {})
    assert again == content(Span(0, 4 * KIB))
    assert pair.siblings.packed_now(SMALL) is not None
    assert pair.routes.asked == [1]


async def test_what_a_sibling_rewrote_between_the_look_and_the_read_is_of_the_version_asked_for_or_nothing(
    pair: Pair,
) -> None:
    newer = meta(4 * KIB, 2)
    assert await pair.store.pack(SMALL, SMALL_META, content(Span(0, 4 * KIB)))
    await pair.read(Span(0, 10), SMALL_META, SMALL)
    assert await pair.store.pack(SMALL, newer, bytes(4 * KIB))

    found = pair.siblings.packed_now(SMALL)

    assert found is not None
    assert (found[0].version, bytes(found[1])) == (SMALL_META.version, content(Span(0, 4 * KIB)))
    assert await pair.read(Span(0, 4 * KIB), newer, SMALL) == bytes(4 * KIB)


async def test_a_segment_whose_number_is_given_again_is_never_taken_for_the_one_that_had_it(
    pair: Pair, tmp_path: Path
) -> None:
    newer = meta(4 * KIB, 2)
    assert await pair.store.pack(SMALL, SMALL_META, content(Span(0, 4 * KIB)))
    await pair.read(Span(0, 10), SMALL_META, SMALL)
    before = pair.siblings.packed_now(SMALL)
    # An owner that starts anew once its last segment is gone writes to another file of that name, at the same places.
    await pair.store.close()
    for file in (tmp_path / "cache" / "worker-1" / "packs").iterdir():
        file.unlink()
    pair.store = pair.routes.store = await Store.open(StoreSettings((tmp_path / "cache" / "worker-1",), 1 << 30))
    assert await pair.store.pack(SMALL, newer, bytes(4 * KIB))
    assert before is not None
    assert before[0].version == SMALL_META.version

    read = [await pair.read(Span(0, 4 * KIB), newer, SMALL) for _ in range(2)]
    found = pair.siblings.packed_now(SMALL)

    # The first look still has the former file open, and is read through the owner; the next has the new one.
    assert read == [None, bytes(4 * KIB)]
    assert found is not None
    assert (found[0].version, bytes(found[1])) == (newer.version, bytes(4 * KIB))
