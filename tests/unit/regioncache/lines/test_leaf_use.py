"""What a leaf is taken to use of its share, and when that share is taken to hold it back."""

from policy.shares import Leaf
from regioncache.lines.waiting import Ask, Queue

LEAF = Leaf("rec", "training")
SHARE = 10_000_000.0
PIECE = 100_000.0
PATIENCE = 1.0


def using(share: float, seconds: float) -> Queue:
    """A queue that has used a rate for so long, and nothing before."""
    queue = Queue(LEAF, SHARE, 0.5)
    for piece in range(int(share * seconds / PIECE)):
        queue.serve(0.0, PIECE, piece * PIECE / share)
    return queue


def test_a_leaf_that_uses_all_of_a_new_share_for_half_a_second_is_held_back_by_it() -> None:
    queue = using(SHARE, 0.5)
    queue.push(Ask(LEAF, PIECE, 0, 0.5))

    assert queue.held_back(0.5, PATIENCE)
    assert queue.lately(0.5) >= 0.9 * SHARE


def test_a_leaf_that_uses_half_of_its_share_is_not_held_back_by_it() -> None:
    queue = using(SHARE / 2, 3.0)
    queue.push(Ask(LEAF, PIECE, 0, 3.0))

    assert not queue.held_back(3.0, PATIENCE)


def test_a_leaf_that_uses_less_than_before_is_known_by_what_it_used() -> None:
    queue = using(SHARE, 3.0)

    assert queue.lately(3.2) == queue.used(3.2)
