"""What may take the place of a snapshot that is held, and what a journal remembers."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namespace.items import Difference, difference
from namespace.journal import MOST_CHANGES, Journal
from namespace.standing import Standing, objection

HELD = Standing("0123456789", 100, 7)


@pytest.mark.parametrize("offered", [HELD, replace(HELD, serial=101), replace(HELD, serial=102, number=8)])
def test_a_later_one_of_the_same_namespace_is_taken(offered: Standing) -> None:
    assert objection(HELD, offered) == ""


def test_anything_is_taken_where_nothing_is_held() -> None:
    assert objection(Standing(), HELD) == ""


@pytest.mark.parametrize(
    ("offered", "why"),
    [
        (Standing("abc", 1000, 70), "it is another namespace (id abc, revision 70)"),
        (Standing("", 1000, 0), "it is another namespace (id none, revision 0)"),
        (replace(HELD, number=6, serial=1000), "its newest revision is 6, here 7 is known already"),
        (replace(HELD, serial=98), "it has seen 2 changes less than this node"),
    ],
)
def test_another_one_or_an_older_one_is_not_and_the_reason_names_both(offered: Standing, why: str) -> None:
    assert objection(HELD, offered).startswith(why)


maps = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("12"), max_size=4)


@given(st.lists(maps, min_size=1, max_size=8), st.data())
def test_what_a_journal_says_was_changed_since_leads_from_there_to_now(
    states: list[dict[str, str]], data: st.DataObject
) -> None:
    journal = Journal(10)
    for serial, (before, after) in enumerate(pairwise(states), 11):
        journal.add(serial, difference(before, after))
    since = data.draw(st.integers(0, len(states) - 1))

    changed = journal.since(10 + since)

    assert changed is not None
    assert changed.applied(states[since]) == states[-1]


def test_a_journal_is_bounded_and_who_missed_more_is_told_nothing() -> None:
    journal = Journal(0)
    for serial in range(1, MOST_CHANGES + 3):
        journal.add(serial, Difference({"a": str(serial)}))

    assert journal.since(1) is None
    assert journal.since(2) is not None
    assert journal.since(MOST_CHANGES + 2) == Difference()
    assert journal.since(MOST_CHANGES + 3) is None


def test_a_journal_begun_anew_remembers_nothing_of_before() -> None:
    journal = Journal(0)
    journal.add(1, Difference({"a": "1"}))
    journal.begin_anew(5)

    assert journal.since(1) is None
    assert journal.since(5) == Difference()
