"""Flights: which runs are missing, who pays, who waits, and what the register says."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache.errors import SlowDown
from regioncache.flights import Flight, Flights, missing
from regioncache.lines.crossing import NoLine
from regioncache.origins.base import Payer
from regioncache.pages import MIB, Meta, ObjectId, Span, Version, by_extent, cover, page_span
from tests.fakes.clock import settle

pytestmark = pytest.mark.anyio
OID = ObjectId(b"b" * 16, "k")
spans = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda ends: Span(min(ends), max(ends)))


def flight(start: int = 0, end: int = 10) -> Flight:
    return Flight(OID, Span(start, end), MIB, Payer("starter", "interactive"), Version('"v"'))


class Landed:
    """A ground that has landed up to `at`."""

    def __init__(self, at: int) -> None:
        self.at = at

    def landed(self) -> int:
        return self.at


# Arithmetic.


@given(spans, st.lists(spans, max_size=8))
def test_missing_runs_are_exactly_what_nobody_has_in_as_few_runs_as_can_be(pages: Span, taken: list[Span]) -> None:
    runs = missing(pages, taken)

    have = {page for span in taken for page in range(span.start, span.end)}
    want = set(range(pages.start, pages.end)) - have
    assert {page for run in runs for page in range(run.start, run.end)} == want
    assert all(len(run) for run in runs)
    assert all(one.end < other.start for one, other in itertools.pairwise(runs))


@given(st.integers(0, 10**12), st.integers(0, 10**9), st.sampled_from([65536, MIB, 16 * MIB]))
def test_the_cover_of_a_span_is_the_fewest_pages_that_hold_it(start: int, length: int, page: int) -> None:
    pages = cover(Span(start, start + length), page)

    if not length:
        assert len(pages) == 0
    else:
        assert pages.start * page <= start < (pages.start + 1) * page
        assert (pages.end - 1) * page < start + length <= pages.end * page


@given(st.integers(0, 10**5), st.integers(0, 500), st.sampled_from([65536, MIB, 16 * MIB]), st.integers(0, 10**11))
def test_a_run_is_parted_at_the_extents_borders_and_nowhere_else(start: int, count: int, page: int, size: int) -> None:
    run = Span(start, start + count)
    parts = list(by_extent(run, page))

    per_extent = 64 * MIB // page
    assert [number for _, part in parts for number in range(part.start, part.end)] == list(range(start, start + count))
    assert all(part.start // per_extent == (part.end - 1) // per_extent == extent for extent, part in parts)
    assert len({extent for extent, _ in parts}) == len(parts)
    assert page_span(run, page, size).end <= size


# Who pays.


def test_the_best_class_among_those_who_wait_pays_and_there_who_waits_longest() -> None:
    one = flight()
    one.attach(Payer("a", "backfill"), 0)
    first = one.attach(Payer("b", "training"), 0)
    one.attach(Payer("c", "training"), 0)
    strange = one.attach(Payer("d", "no-such-class"), 0)

    assert one.payer() == Payer("b", "training")
    one.detach(first)
    assert one.payer() == Payer("c", "training")
    one.detach(strange)
    assert one.payer() == Payer("c", "training")


def test_without_waiters_its_starter_pays_as_prefetch() -> None:
    one = flight()

    assert one.payer() == Payer("starter", "prefetch")


def test_a_waiter_that_comes_promotes_the_request_in_hand() -> None:
    promoted: list[str] = []

    class Crossing(NoLine):
        def promote(self) -> None:
            promoted.append("yes")

    one = flight()
    one.began("line", "bj-use1", Crossing())
    one.attach(Payer("a"), 0)
    one.ended()
    one.attach(Payer("b"), 0)

    assert promoted == ["yes"]


def test_what_it_waited_for_is_known_while_it_waits_and_adds_up_over_requests() -> None:
    class Crossing(NoLine):
        @property
        def waited(self) -> float:
            return 1.5

    one = flight()
    assert one.waits == {}
    one.began("line", "bj-use1", Crossing())
    assert one.waits == {"bj-use1": 1.5}
    one.ended()
    one.began("line", "bj-use1", Crossing())

    assert one.waits == {"bj-use1": 3.0}


# Who waits.


def test_a_flight_is_abandoned_when_its_last_reader_leaves_and_not_when_another_comes() -> None:
    one = flight()
    first, second = one.attach(Payer("a"), 0), one.attach(Payer("b"), 0)

    one.detach(first)
    assert not one.abandoned
    one.detach(second)
    assert one.abandoned
    one.attach(Payer("c"), 0)
    assert not one.abandoned


def test_a_reader_who_was_told_to_come_again_does_not_abandon_it() -> None:
    one = flight()

    one.detach(one.attach(Payer("a"), 0), comes_again=True)

    assert not one.abandoned


async def test_a_change_wakes_everyone_who_waits_for_one() -> None:
    one = flight()
    waiting = [asyncio.create_task(one.change()) for _ in range(5)]
    await settle()

    one.notify()

    await asyncio.gather(*waiting)


async def test_a_flight_that_is_held_up_goes_on_when_its_slowest_reader_has_read() -> None:
    one = flight()
    slow, fast = one.attach(Payer("a"), 0), one.attach(Payer("b"), 0)
    held_up = asyncio.create_task(one.readers_at(100, 60.0))
    await settle()

    one.advance(fast, 500)
    await settle()
    assert not held_up.done()
    one.advance(slow, 100)
    await held_up


async def test_a_flight_that_is_held_up_goes_on_when_its_slowest_reader_has_left() -> None:
    one = flight()
    slow, fast = one.attach(Payer("a"), 0), one.attach(Payer("b"), 500)
    held_up = asyncio.create_task(one.readers_at(100, 60.0))
    await settle()

    one.detach(slow)

    await held_up
    assert one.waiting() == 1
    one.detach(fast)


async def test_a_reader_that_stands_still_is_left_behind_only_for_one_that_wants_more() -> None:
    one = flight()
    one.ground = Landed(1000)  # type: ignore[assignment]
    still = one.attach(Payer("a"), 0)
    held_up = asyncio.create_task(one.readers_at(100, 0.01))
    await asyncio.sleep(0.05)
    assert not held_up.done(), "nobody wants more"

    one.attach(Payer("b"), 1000)

    await held_up
    one.detach(still)


def test_when_it_is_over_and_the_last_reader_has_left_memory_goes() -> None:
    gone: list[str] = []
    one = flight()
    one.on_left = lambda: gone.append("yes")
    waiter = one.attach(Payer("a"), 0)
    one.end()
    assert gone == []

    one.detach(waiter)

    assert gone == ["yes"]


# The register.


def test_it_is_found_by_the_bytes_it_brings() -> None:
    flights = Flights()
    one, other = flight(2, 4), flight(6, 8)
    flights.add(one, Version('"v"'))
    flights.add(other, Version('"v"'))

    assert flights.bringing(OID, Version('"v"'), 2 * MIB) is one
    assert flights.bringing(OID, Version('"v"'), 4 * MIB) is None
    assert flights.bringing(OID, Version('"v"'), 8 * MIB - 1) is other
    assert flights.bringing(OID, Version('"w"'), 2 * MIB) is None


def test_what_has_left_a_window_is_not_brought_any_more() -> None:
    flights = Flights()
    one = flight(0, 10)
    flights.add(one, Version('"v"'))
    one.gone_to = 3 * MIB + 5

    assert flights.bringing(OID, Version('"v"'), 3 * MIB) is None
    assert flights.bringing(OID, Version('"v"'), 3 * MIB + 5) is one
    assert one.brings(one.page_bytes) == Span(4, 10)


def test_a_flight_of_an_unknown_version_becomes_one_of_the_version_it_learned() -> None:
    flights = Flights()
    one = Flight(OID, Span(0, 64), MIB, Payer("a"))
    flights.open(one)
    assert flights.opening(OID) is one
    assert flights.statistics().opening == 1

    flights.add(one, Version('"v"'))

    assert flights.opening(OID) is None
    assert flights.of(OID, Version('"v"')) == [one]
    assert list(flights) == [one]


def test_a_flight_that_is_over_is_in_no_table() -> None:
    flights = Flights()
    unknown, known = Flight(OID, Span(0, 64), MIB, Payer("a")), flight()
    flights.open(unknown)
    flights.add(known, Version('"v"'))

    flights.remove(unknown)
    flights.remove(known)
    flights.remove(known)

    assert list(flights) == []
    assert flights.statistics().flying == 0


async def test_a_reader_is_woken_by_bytes_where_he_waits_and_not_by_other_changes() -> None:
    flying, ground = flight(), Landed(0)
    flying.ground = ground  # type: ignore[assignment]
    near, far = (asyncio.create_task(flying.change(at)) for at in (0, 5 * MIB))
    await settle()

    ground.at = MIB
    flying.notify()
    await settle()

    assert (near.done(), far.done()) == (True, False)
    flying.end()
    await far


async def test_a_reader_is_woken_when_it_is_told_that_the_flight_is_late() -> None:
    flying = flight()
    waiting = asyncio.create_task(flying.change(0))
    await settle()

    flying.tell_late(SlowDown("later", 1.0))

    await waiting


@pytest.mark.parametrize(("page_bytes", "pages"), [(1, Span(4, 10)), (2, Span(2, 5)), (3, Span(2, 3)), (8, Span(1, 1))])
def test_a_reader_with_pages_of_another_size_counts_on_those_that_come_whole(page_bytes: int, pages: Span) -> None:
    one = Flight(ObjectId(bytes(16), "k"), Span(4, 10), 1, Payer("a"))

    assert one.brings(page_bytes) == pages


def test_the_last_page_of_an_object_comes_whole_whatever_its_size() -> None:
    meta = Meta(Version('"v"'), 9, '"v"', 0.0, "")
    one = Flight(ObjectId(bytes(16), "k"), Span(4, 10), 1, Payer("a"), meta.version, meta)

    assert one.brings(8) == Span(1, 2)


def test_a_reader_waited_for_the_line_since_he_came_and_not_before() -> None:
    class Waiting(NoLine):
        waited = 1.5

    joined = flight()
    first = joined.attach(Payer("one", "training"), 0)
    joined.began("line", "bj-use1", crossing := Waiting())
    late = joined.attach(Payer("two", "training"), 0)

    assert joined.waits_of(first) == {"bj-use1": 1.5}
    assert joined.waits_of(late) == {}
    crossing.waited = 2.0
    assert joined.waits_of(late) == {"bj-use1": 0.5}
    joined.ended()
    assert joined.waits_of(late) == {"bj-use1": 0.5}
