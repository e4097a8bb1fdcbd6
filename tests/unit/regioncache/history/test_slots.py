"""From counters to slots of five minutes: where a difference goes, and that none is lost or doubled."""

from hypothesis import given
from hypothesis import strategies as st

from regioncache.history import slots
from regioncache.history.slots import BEFORE, Cell, Slotting, slot_of
from regioncache.ledger import Entry

NOON = 1_700_000_100.0 - 1_700_000_100.0 % 300
DAY = 86_400.0


def entry(tenant: str = "rec", kind: str = "unique") -> Entry:
    return Entry("bj-use1", "idc-bj>aws-use1", tenant, "training", "train-bj", kind)


def test_what_was_counted_between_two_looks_is_in_the_slot_of_the_first() -> None:
    slotting = Slotting({}, 0.0, 0)
    slotting.look({}, NOON)

    slotting.look({entry(): 300}, NOON + 300)
    slotting.look({entry(): 345}, NOON + 302)

    assert slotting.unwritten() == {Cell(int(NOON), entry()): 300, Cell(int(NOON) + 300, entry()): 45}


def test_what_was_counted_before_a_kill_is_in_the_slot_of_the_last_look_before_it() -> None:
    slotting = Slotting({entry(): 100}, NOON + 299, 7)

    slotting.look({entry(): 150}, NOON + 5 * DAY)

    assert slotting.unwritten() == {Cell(int(NOON), entry()): 50}


def test_what_was_counted_before_there_was_a_history_is_in_no_slot_of_time() -> None:
    slotting = Slotting({}, 0.0, 0)

    slotting.look({entry(): 10**15}, NOON)

    assert slotting.unwritten() == {Cell(BEFORE, entry()): 10**15}


def test_a_batch_that_could_not_be_written_is_the_same_when_it_is_tried_again() -> None:
    slotting = Slotting({}, NOON, 7)
    slotting.look({entry(): 1}, NOON)
    first = slotting.batch()
    slotting.look({entry(): 3}, NOON)

    assert slotting.batch() == first
    slotting.written()
    second = slotting.batch()

    assert first is not None
    assert second is not None
    assert (first.number, second.number) == (8, 9)
    assert [*first.cells.values(), *second.cells.values()] == [1, 2]


def test_credits_within_a_slot_leave_what_was_kept() -> None:
    slotting = Slotting({}, NOON, 0)
    slotting.look({entry(): 1000}, NOON)
    slotting.look({entry(): 400}, NOON + 5)
    slotting.look({}, NOON + 10)

    assert slotting.unwritten() == {}


def test_a_disk_that_takes_nothing_for_long_costs_slots_not_bytes_and_no_memory_without_end() -> None:
    slotting = Slotting({}, NOON, 0)
    at, total = NOON, 0
    per_slot = slots.MOST_CELLS // 4
    for _ in range(10):
        at, total = at + 300, total + 1
        slotting.look({entry(str(tenant)): total for tenant in range(per_slot)}, at)

    cells = slotting.unwritten()

    assert sum(cells.values()) == 10 * per_slot
    assert len(cells) <= slots.MOST_CELLS + per_slot


steps = st.lists(
    st.tuples(st.sampled_from(["rec", "search", "adhoc"]), st.integers(-500, 1000), st.floats(-2 * DAY, 2 * DAY)),
    max_size=40,
)


@given(steps, st.booleans())
def test_whatever_the_clock_does_the_slots_sum_up_to_the_counters(
    steps: list[tuple[str, int, float]], writes: bool
) -> None:
    slotting, totals, now = Slotting({}, NOON, 0), dict[Entry, int](), NOON
    written: dict[Entry, int] = {}
    for tenant, count, jump in steps:
        totals[entry(tenant)] = max(0, totals.get(entry(tenant), 0) + count)
        now = max(1.0, now + jump)
        slotting.look({known: count for known, count in totals.items() if count}, now)
        if writes and (batch := slotting.batch()) is not None:
            for cell, nbytes in batch.cells.items():
                written[cell.entry] = written.get(cell.entry, 0) + nbytes
            slotting.written()

    for cell, nbytes in slotting.unwritten().items():
        written[cell.entry] = written.get(cell.entry, 0) + nbytes
    assert {known: count for known, count in written.items() if count} == {
        known: count for known, count in totals.items() if count
    }


def test_a_slot_begins_each_five_minutes_of_the_hour() -> None:
    assert slot_of(NOON) == slot_of(NOON + 299.999) == NOON
    assert slot_of(NOON + 300) == NOON + 300
