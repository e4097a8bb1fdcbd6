"""Which partitions are the newest: of those listed and those seen, the ones that sort last."""

from hypothesis import given
from hypothesis import strategies as st

from regioncache.partitions import SPARE, Partitions

PATTERN = "/ns/notes/dt=*"


def of(*days: int) -> list[str]:
    return [f"/ns/notes/dt={day}" for day in days]


def partitions(newest: int = 2) -> Partitions:
    made = Partitions()
    made.adopt({PATTERN: newest})
    return made


def test_a_newer_one_that_is_seen_takes_the_place_of_the_oldest_at_once() -> None:
    known = partitions()
    known.listed(PATTERN, of(1, 2, 3), known.moment())

    changed = known.seen(PATTERN, "/ns/notes/dt=4")

    assert changed
    assert known.newest(PATTERN) == tuple(of(4, 3))
    assert not known.is_newest(PATTERN, "/ns/notes/dt=2")


def test_an_older_one_that_is_seen_changes_nothing() -> None:
    known = partitions()
    known.listed(PATTERN, of(3, 4), known.moment())

    assert not known.seen(PATTERN, "/ns/notes/dt=1")
    assert not known.seen(PATTERN, "/ns/notes/dt=4")
    assert known.newest(PATTERN) == tuple(of(4, 3))


def test_what_a_listing_does_not_show_any_more_gives_its_place_to_the_next() -> None:
    known = partitions()
    known.listed(PATTERN, of(1, 2, 3), known.moment())

    assert known.listed(PATTERN, of(1, 2), known.moment())
    assert known.newest(PATTERN) == tuple(of(2, 1))


def test_what_was_seen_while_a_listing_was_under_way_is_not_taken_back_by_it() -> None:
    known = partitions()
    began = known.moment()
    known.seen(PATTERN, "/ns/notes/dt=9")

    known.listed(PATTERN, of(1, 2), began)

    assert known.newest(PATTERN) == tuple(of(9, 2))


def test_a_listing_of_the_last_ones_says_nothing_of_those_before() -> None:
    known = partitions()
    known.listed(PATTERN, of(1, 2, 5), known.moment())

    known.listed(PATTERN, of(3, 4), known.moment(), whole=False)

    assert known.newest(PATTERN) == tuple(of(4, 3))
    known.adopt({PATTERN: 4})
    assert known.newest(PATTERN) == tuple(of(4, 3, 2, 1))


def test_pages_of_a_deleted_partition_do_not_bring_it_back_but_a_listing_does() -> None:
    known = partitions()
    known.listed(PATTERN, of(1, 2, 3), known.moment())
    known.listed(PATTERN, of(1, 2), known.moment())

    assert not known.seen(PATTERN, "/ns/notes/dt=3")
    assert known.newest(PATTERN) == tuple(of(2, 1))
    known.listed(PATTERN, of(1, 2, 3), known.moment())
    assert known.newest(PATTERN) == tuple(of(3, 2))


def test_other_rules_keep_what_is_known_of_a_pattern_that_stays() -> None:
    known = partitions()
    known.listed(PATTERN, of(1, 2, 3), known.moment())

    known.adopt({PATTERN: 1, "/ns/b/*": 1})

    assert known.newest(PATTERN) == tuple(of(3))
    known.adopt({"/ns/b/*": 1})
    assert known.newest(PATTERN) == ()
    assert not known.seen(PATTERN, "/ns/notes/dt=7")


def test_deeper_partitions_sort_by_their_components() -> None:
    known = Partitions()
    known.adopt({"/ns/*/m=*": 2})

    known.listed("/ns/*/m=*", ["/ns/y=1/m=9", "/ns/y=1-x/m=1", "/ns/y=2/m=1"], known.moment())

    assert known.newest("/ns/*/m=*") == ("/ns/y=2/m=1", "/ns/y=1-x/m=1")


@given(st.lists(st.integers(0, 50)), st.integers(1, 5))
def test_whatever_the_order_in_which_they_are_seen_the_last_are_the_newest(days: list[int], count: int) -> None:
    known = partitions(count)
    names = [f"/ns/notes/dt={day:03}" for day in days]

    for name in names:
        before = set(known.newest(PATTERN))
        changed = known.seen(PATTERN, name)
        assert changed == (before != set(known.newest(PATTERN)))

    assert known.newest(PATTERN) == tuple(sorted(set(names), reverse=True)[:count])


def test_no_more_are_remembered_than_twice_the_newest_and_some_spare() -> None:
    known = partitions(3)
    for day in range(10 * SPARE):
        known.seen(PATTERN, f"/ns/notes/dt={day:09}")

    assert len(known._known[PATTERN].heard) <= 2 * (3 + SPARE) + 1
    assert known.newest(PATTERN)[0] == f"/ns/notes/dt={10 * SPARE - 1:09}"
