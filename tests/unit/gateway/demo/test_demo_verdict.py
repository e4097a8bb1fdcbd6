"""The demonstration's judgement: the quota in every interval, and a line for each promise that did not hold."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.verdict import TOLERANCE, Pass, Slot, Terms, above_quota, broken, rate

TERMS = Terms(quota=1000.0, overhead=1.0, burst=100)
MOMENTS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5), st.integers(0, 3000)), max_size=12)


def one_pass(name: str = "cold", *, slots: tuple[Slot, ...] = (), **more: object) -> Pass:
    crossed = sum(nbytes for _, _, nbytes in slots)
    facts = {"asked": crossed, "ledger": crossed, "crossed": crossed, "prepaid": 50, "once_ratio": 1.0, **more}
    return Pass(name, seconds=1.0, objects=1, held=0, slots=slots, **facts)  # type: ignore[arg-type]


def slots_of(moments: list[tuple[int, int, int]]) -> tuple[Slot, ...]:
    """Slots one after the other: a pause, a length (hundredths of a second) and bytes each."""
    at, slots = 0.0, []
    for pause, length, nbytes in moments:
        slots.append((at + pause / 100, at + (pause + length) / 100, nbytes))
        at = slots[-1][1]
    return tuple(slots)


@given(MOMENTS)
def test_no_interval_is_overlooked(moments: list[tuple[int, int, int]]):
    slots = slots_of(moments)

    most = above_quota(slots, TERMS)

    every = [
        sum(nbytes for _, _, nbytes in slots[i : j + 1]) - TERMS.quota * (1 + TOLERANCE) * (slots[j][1] - slots[i][0])
        for i in range(len(slots))
        for j in range(i, len(slots))
    ]
    assert abs(most - max(every, default=0.0)) < 1e-6 or (most == 0 and max(every, default=0.0) <= 0)


def test_overhead_counts_against_the_quota():
    slots = ((0.0, 1.0, 1000),)

    assert above_quota(slots, Terms(1000.0, 1.06, 0)) > above_quota(slots, Terms(1000.0, 1.0, 0))
    assert rate(slots, 1.06) == 1060.0


def test_burst_and_prepaid_bytes_are_allowed_beyond_the_quota():
    assert broken([one_pass(slots=((0.0, 0.0, 150),))], TERMS) == []
    assert broken([one_pass(slots=((0.0, 0.0, 151),))], TERMS) == [
        "cold: in some interval the line carried 1 B more than its quota allows"
    ]


def test_a_page_that_crossed_again_is_told():
    assert broken([one_pass(once_ratio=0.99)], TERMS) == ["cold: once_ratio is 0.990000: bytes crossed the line again"]


def test_bytes_that_the_ledger_does_not_know_are_told():
    assert broken([one_pass(slots=((0.0, 0.1, 100),), ledger=99)], TERMS) == [
        "cold: 100 bytes crossed the line, the ledger knows of 99"
    ]


def test_what_crossed_again_because_it_was_not_kept_is_told():
    warm = one_pass("warm", slots=((0.0, 9.0, 2000),))

    assert broken([one_pass(slots=warm.slots), warm], TERMS) == [
        "warm: 1.95 KiB came over the line again: the cache did not keep them"
    ]
    assert broken([one_pass(), one_pass("warm", slots=((0.0, 0.1, 64),), asked=10_000)], TERMS) == []


def test_wrong_bytes_are_told_with_the_pass_that_saw_them():
    passes = [one_pass(), one_pass("warm", faults=("a: bytes 0 to 5 differ from b",))]

    assert broken(passes, TERMS) == ["warm: a: bytes 0 to 5 differ from b"]
