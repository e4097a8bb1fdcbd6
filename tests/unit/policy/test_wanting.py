"""What leaves want, and when it is said."""

from policy.leases.messages import Want
from policy.leases.wanting import Seen, Wanting
from policy.shares import Leaf

LEAF = Leaf("rec", "training")


def _looked(rate: float, seconds: float, held_back: bool = False) -> tuple[Wanting, dict[Leaf, Want]]:
    wanting, wants = Wanting(), {}
    for tick in range(round(seconds * 20) + 1):
        wants = wanting.look({LEAF: Seen(rate * tick / 20, 0.0, held_back)}, tick / 20)
    return wanting, wants


def test_a_leaf_wants_a_quarter_more_than_it_used() -> None:
    _, wants = _looked(1000.0, 2.0)

    assert 1245 < wants[LEAF].rate < 1320
    assert not wants[LEAF].waited


def test_a_leaf_that_was_held_back_wants_twice_its_use() -> None:
    _, wants = _looked(1000.0, 2.0, held_back=True)

    assert 1990 < wants[LEAF].rate < 2110
    assert wants[LEAF].waited


def test_what_waits_is_wanted_too() -> None:
    wants = Wanting().look({LEAF: Seen(0.0, 800.0, False)}, 0.0)

    assert wants[LEAF].rate == 1000.0


def test_a_leaf_that_ended_wants_nothing_and_that_is_said_at_once() -> None:
    wanting, wants = _looked(1000.0, 2.0)
    wanting.said(wants, 2.0)

    after = wanting.look({LEAF: Seen(2000.0, 0.0, False)}, 2.2)

    assert after == {}
    assert wanting.due(after, False, 2.2)


def test_a_report_is_due_each_second_and_at_most_ten_times_a_second() -> None:
    wanting = Wanting()
    wanting.said({}, 5.0)

    assert not wanting.due({LEAF: Want(1.0)}, True, 5.05)
    assert wanting.due({LEAF: Want(1.0)}, False, 5.125)
    assert not wanting.due({}, False, 5.9)
    assert wanting.due({}, True, 5.125)
    assert wanting.due({}, False, 6.0)


def test_a_want_that_hardly_changed_is_not_said_at_once() -> None:
    wanting = Wanting()
    wanting.said({LEAF: Want(100.0)}, 5.0)

    assert not wanting.due({LEAF: Want(140.0)}, False, 5.5)
    assert wanting.due({LEAF: Want(160.0)}, False, 5.5)
