"""What the lab measures of several nodes' debits is never above what they did: a slow reading never accuses them."""

from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.leased_nodes import Excess

QUOTA = 1000.0


def test_a_reading_that_waits_for_its_core_makes_no_excess_of_a_steady_quota() -> None:
    excess = Excess(QUOTA)

    excess.note(1.0, QUOTA * 1.0, 1.0)
    excess.note(2.0, QUOTA * 2.0, 2.5)
    excess.note(3.0, QUOTA * 3.0, 3.0)
    excess.note(4.0, QUOTA * 4.5, 4.5)
    excess.note(5.0, QUOTA * 5.0, 5.0)

    assert excess.most == 0


def test_what_is_above_the_quota_in_an_interval_is_found() -> None:
    excess = Excess(QUOTA)

    for moment, total in ((1.0, 500.0), (2.0, 500.0), (3.0, 1900.0), (4.0, 1900.0)):
        excess.note(moment, total, moment)

    assert excess.most == 1400 - QUOTA


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 2000), st.integers(0, 50)), min_size=1, max_size=30))
def test_no_delay_of_a_reading_makes_more_of_it(steps: list[tuple[int, int, int]]) -> None:
    late, exact, now, total = Excess(QUOTA), Excess(QUOTA), 0.0, 0.0
    for early, more, delay in steps:
        total += more
        late.note(now, total, now + early + delay)
        exact.note(now + early, total, now + early)
        now += early + delay

    assert late.most <= exact.most
