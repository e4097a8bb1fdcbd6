"""The token bucket: told the time, in debt at will, never beyond rate x T + burst."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.bucket import TokenBucket

gaps = st.lists(st.tuples(st.floats(0, 2), st.integers(1, 3000)), min_size=1, max_size=40)


def test_a_new_bucket_is_full_and_covers_its_burst_at_once() -> None:
    bucket = TokenBucket(100, 50, now=7)

    assert bucket.take(50, 7) == 0


def test_what_is_not_covered_waits_until_it_is() -> None:
    bucket = TokenBucket(100, 50, now=0)

    assert bucket.take(250, 0) == 2
    assert bucket.level(1) == -100


@given(st.floats(1e6, 1.25e9), st.integers(1, 10**8), st.floats(0, 1e6))
def test_who_waited_as_told_need_not_wait_again(rate: float, nbytes: int, now: float) -> None:
    bucket = TokenBucket(rate, 262144, now)

    wait = bucket.take(nbytes, now)

    assert bucket.wait(0, now + wait) == 0


def test_takers_wait_behind_one_another() -> None:
    bucket = TokenBucket(100, 50, now=0)
    bucket.take(150, 0)

    assert bucket.take(100, 0) == 2


def test_no_more_than_the_burst_is_saved() -> None:
    bucket = TokenBucket(100, 50, now=0)

    assert bucket.level(1000) == 50


def test_what_is_given_back_can_be_taken_again_but_never_above_the_burst() -> None:
    bucket = TokenBucket(100, 50, now=0)
    bucket.take(80, 0)

    bucket.give(60)
    assert bucket.level(0) == 30
    bucket.give(60)
    assert bucket.level(0) == 50


def test_another_rate_keeps_what_is_owed_and_what_was_earned_before() -> None:
    bucket = TokenBucket(100, 50, now=0)
    bucket.take(350, 0)

    bucket.set_rate(1000, 500, now=1)

    assert bucket.level(1) == -200
    assert bucket.level(1.125) == -75


def test_a_smaller_burst_cuts_what_was_saved() -> None:
    bucket = TokenBucket(100, 50, now=0)

    bucket.set_rate(100, 20, now=0)

    assert bucket.level(0) == 20


def test_a_rate_of_nothing_never_covers_a_debt() -> None:
    bucket = TokenBucket(0, 50, now=0)

    assert bucket.take(51, 0) == math.inf
    assert bucket.level(1e9) == -1


def test_a_clock_read_before_the_last_change_earns_nothing_twice() -> None:
    bucket = TokenBucket(100, 50, now=0)
    bucket.take(150, 0)

    levels = [bucket.level(0.5), bucket.level(0.1), bucket.level(0.5)]

    assert levels == [-50, -50, -50]


def test_a_wait_asks_without_taking_and_a_full_burst_is_enough_for_more() -> None:
    bucket = TokenBucket(100, 50, now=0)
    bucket.take(50, 0)

    assert bucket.wait(10, 0) == pytest.approx(0.1)
    assert bucket.wait(1000, 0) == pytest.approx(0.5)
    assert bucket.level(0) == 0


@pytest.mark.parametrize(("rate", "burst"), [(-1, 1), (math.inf, 1), (1, 0), (1, math.inf), (math.nan, 1)])
def test_a_bucket_that_could_not_keep_a_bound_is_refused(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="needs a finite rate"):
        TokenBucket(rate, burst, 0)


@given(st.integers(1, 10_000), st.integers(1, 5000), gaps)
def test_in_no_interval_more_falls_due_than_rate_and_burst(
    rate: int, burst: int, asks: list[tuple[float, int]]
) -> None:
    bucket = TokenBucket(rate, burst, 0)
    due: list[tuple[float, int]] = []
    now = 0.0
    for gap, nbytes in asks:
        now += gap
        due.append((now + bucket.take(nbytes, now), nbytes))

    for first, (start, _) in enumerate(due):
        moved = 0
        for end, nbytes in due[first:]:
            moved += nbytes
            # Steps larger than the burst are due when their last byte is covered.
            assert moved <= rate * (end - start) + max(burst, due[first][1]) + 1e-3


@given(st.integers(1, 10_000), gaps)
def test_a_bucket_that_is_always_asked_gives_its_whole_rate(rate: int, asks: list[tuple[float, int]]) -> None:
    bucket = TokenBucket(rate, 1, 0)
    now = 0.0
    for _, nbytes in asks:
        now += bucket.take(nbytes, now)

    total = sum(nbytes for _, nbytes in asks)
    assert now == pytest.approx((total - 1) / rate)
