"""Room for prepaid bytes: never above its limit, a quarter kept for the small and the urgent, nobody starved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.model import CLASSES
from policy.shares import Leaf
from regioncache.lines.prepaid import Prepaid, Room

QUOTA = 25_000_000.0
TRAINING, INTERACTIVE = Leaf("rec", "training"), Leaf("rec", "interactive")
SEARCH = Leaf("search", "training")
MIB = 1 << 20


def even(leaf: Leaf) -> float:
    return 1.0


def prepaid(quota: float = QUOTA, round_trip: float = 0.08) -> Prepaid:
    room = Prepaid(quota, 1.06, CLASSES.index)
    room.set_round_trip(round_trip)
    return room


def fill(room: Prepaid, leaf: Leaf, nbytes: float, count: int, small: bool = False) -> list[Room]:
    return [room.ask(leaf, nbytes, 64 * MIB, 0.0, small=small) for _ in range(count)]


def test_the_limit_is_the_quota_of_a_round_trip_and_a_tenth_of_a_second() -> None:
    assert prepaid().limit == pytest.approx(4_500_000)


def test_the_limit_is_two_steps_at_least() -> None:
    assert prepaid(quota=125_000, round_trip=0).limit == 2 * 256 * 1024 * 1.06


def test_large_requests_leave_a_quarter() -> None:
    room = prepaid()
    fill(room, TRAINING, 500_000, 20)

    let_in = room.admitted(even)

    assert len(let_in) == 6
    assert room.statistics().held == 3_000_000


def test_small_requests_find_room_where_large_ones_wait() -> None:
    room = prepaid()
    fill(room, TRAINING, 500_000, 20)
    room.admitted(even)

    small = fill(room, TRAINING, 200_000, 10, small=True)

    assert room.admitted(even) == small[:7]


def test_small_requests_that_come_late_get_no_more_than_the_quarter() -> None:
    room = prepaid()
    fill(room, TRAINING, 500_000, 20)
    room.admitted(even)

    small = [room.ask(TRAINING, 200_000, 200_000, 60.0, small=True) for _ in range(10)]

    assert room.admitted(even) == small[:5]


def test_the_quarter_is_for_classes_above_those_running() -> None:
    room = prepaid()
    fill(room, TRAINING, 1_000_000, 5)
    room.admitted(even)

    above = fill(room, INTERACTIVE, 1_000_000, 2)

    assert room.admitted(even) == above[:1]


def test_a_class_below_those_running_waits_for_the_general_part() -> None:
    room = prepaid()
    fill(room, INTERACTIVE, 1_000_000, 5)
    room.admitted(even)

    fill(room, TRAINING, 1_000_000, 1)

    assert room.admitted(even) == []


def test_whose_turn_it_is_goes_by_what_a_leaf_holds_against_its_share() -> None:
    room = prepaid()
    fill(room, TRAINING, 400_000, 20)
    fill(room, SEARCH, 400_000, 20)

    let_in = room.admitted(lambda leaf: 0.75 if leaf == TRAINING else 0.25)

    assert len(let_in) == 8
    assert sum(admitted.leaf == TRAINING for admitted in let_in) == 6


def test_a_leaf_of_the_least_share_is_let_in_at_last() -> None:
    room = prepaid()
    part = {INTERACTIVE: 0.99, TRAINING: 0.01}.__getitem__
    running = fill(room, INTERACTIVE, 400_000, 8)
    room.admitted(part)
    late = room.ask(TRAINING, 400_000, 64 * MIB, 0.0, small=False)

    came = 0.0
    while late.state == "waiting" and came < 10:
        came += 0.1
        running.append(room.ask(INTERACTIVE, 400_000, 64 * MIB, came, small=False))
        room.release(running.pop(0))
        room.admitted(part)

    assert 1 < came < 3


def test_room_follows_the_shares_however_long_the_smaller_one_waits() -> None:
    room = prepaid()
    part = {INTERACTIVE: 0.75, TRAINING: 0.25}.__getitem__
    older = fill(room, TRAINING, 150_000, 30, small=True)
    newer = [room.ask(INTERACTIVE, 150_000, MIB, 5.0, small=True) for _ in range(30)]

    room.admitted(part)

    held = [sum(one.nbytes for one in each if one.state == "running") for each in (newer, older)]
    assert held[0] / held[1] == pytest.approx(3, rel=0.25)


def test_small_requests_do_not_overtake_a_large_one_for_ever() -> None:
    room = prepaid()
    small = fill(room, TRAINING, 200_000, 100, small=True)
    room.admitted(even)
    large = room.ask(TRAINING, 3_000_000, 64 * MIB, 0.0, small=False)

    for now in range(100):
        if large.state == "running":
            break
        running = next(one for one in small if one.state == "running")
        room.release(running)
        small.append(room.ask(TRAINING, 200_000, 200_000, now / 10, small=True))
        room.admitted(even)

    assert large.state == "running"


def test_what_a_reply_has_read_makes_room_for_the_next() -> None:
    room = prepaid()
    first, second = fill(room, TRAINING, 3_000_000, 2)
    room.admitted(even)

    fits = room.change(first, 300_000, 300_000)

    assert fits
    assert room.admitted(even) == [second]


def test_a_request_that_waits_no_more_is_forgotten() -> None:
    room = prepaid()
    first, second, third = fill(room, TRAINING, 3_000_000, 3)
    room.admitted(even)
    room.release(second)

    room.release(first)

    assert room.admitted(even) == [third]


def test_a_request_larger_than_all_the_room_goes_alone_and_is_counted() -> None:
    room = prepaid()
    huge = fill(room, TRAINING, 60_000_000, 2)

    assert room.admitted(even) == huge[:1]
    assert room.statistics().oversized == 1


def test_promotion_keeps_the_place_of_its_age() -> None:
    room = prepaid()
    fill(room, TRAINING, 3_000_000, 1)
    room.admitted(even)
    promoted = room.ask(Leaf("rec", "prefetch"), 3_000_000, 64 * MIB, 0.0, small=False)
    late = room.ask(INTERACTIVE, 3_000_000, 64 * MIB, 0.0, small=False)
    room.promote(promoted, INTERACTIVE)

    room.set_round_trip(0.3)

    assert room.admitted(even) == [promoted]
    assert late.state == "waiting"


def test_a_leaf_that_runs_takes_no_more_than_its_part() -> None:
    room = prepaid()
    backfill = Leaf("loads", "backfill")
    fill(room, backfill, 160_000, 8)

    let_in = room.admitted(lambda leaf: 0.01)

    assert len(let_in) == 1


def test_nothing_is_spare_while_others_wait() -> None:
    room = prepaid()
    fill(room, TRAINING, 3_000_000, 1)
    room.admitted(even)
    before = room.spare()
    fill(room, TRAINING, 3_000_000, 1)

    assert (before, room.spare()) == (1_500_000, 0)


def test_what_is_expected_is_when_the_running_ones_end() -> None:
    room = prepaid()
    running = fill(room, TRAINING, 1_000_000, 3)
    room.admitted(even)
    for one, left in zip(running, (5e6, 10e6, 50e6), strict=True):
        room.change(one, 1_000_000, left)

    assert room.expected(TRAINING, 1_000_000, small=True) == 0
    assert room.expected(TRAINING, 1_000_000, small=False) == 3 * 5e6 / QUOTA


def test_who_waits_of_a_less_urgent_class_is_not_waited_for() -> None:
    room = prepaid()
    fill(room, TRAINING, 3_000_000, 1)
    room.admitted(even)
    fill(room, TRAINING, 3_000_000, 16)

    assert room.expected(INTERACTIVE, 100_000, small=False) == 0


def test_a_small_request_waits_for_small_ones_only() -> None:
    room = prepaid()
    (running,) = fill(room, TRAINING, 3_000_000, 1)
    room.admitted(even)
    room.change(running, 3_000_000, 60e6)
    fill(room, TRAINING, 3_000_000, 1)
    behind_large = room.expected(TRAINING, 100_000, small=True)
    fill(room, TRAINING, 100_000, 1, small=True)

    assert behind_large == 0
    assert room.expected(TRAINING, 100_000, small=True) > 0


@given(st.data())
def test_what_is_held_never_exceeds_the_limit_and_whoever_fits_alone_gets_in(data: st.DataObject) -> None:
    room = prepaid()
    leaves = [TRAINING, INTERACTIVE, SEARCH, Leaf("x", "backfill")]
    running: list[Room] = []
    waiting: list[Room] = []

    for now in range(data.draw(st.integers(1, 60))):
        match data.draw(st.sampled_from(["ask", "ask", "shrink", "end", "leave", "promote"])):
            case "ask":
                small = data.draw(st.booleans())
                nbytes = data.draw(st.floats(1, 1_000_000 if small else room.most))
                waiting.append(
                    room.ask(
                        data.draw(st.sampled_from(leaves)),
                        nbytes,
                        nbytes,
                        now,
                        small=small,
                        control=data.draw(st.booleans()),
                    )
                )
            case "shrink" if running:
                one = data.draw(st.sampled_from(running))
                room.change(one, one.nbytes * data.draw(st.floats(0, 1)), 0)
            case "end" if running:
                room.release(running.pop(data.draw(st.integers(0, len(running) - 1))))
            case "leave" if waiting:
                room.release(waiting.pop(data.draw(st.integers(0, len(waiting) - 1))))
            case "promote" if waiting + running:
                room.promote(data.draw(st.sampled_from(waiting + running)), data.draw(st.sampled_from(leaves)))
        for one in room.admitted(lambda leaf: (1 + leaves.index(leaf)) / 4):
            waiting.remove(one)
            running.append(one)

        held = sum(one.nbytes for one in running)
        assert held <= room.limit + 1e-3
        assert room.statistics().held == pytest.approx(held, abs=1e-3)
        assert room.statistics().waiting == len(waiting)
        assert running or not waiting
