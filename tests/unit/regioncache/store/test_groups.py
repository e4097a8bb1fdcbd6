"""Groups: how entries are kept is said once for all of a group, and their bytes add up by group and by account."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache.store.groups import PLAIN, Groups, GroupUse, Keep, Quota, Ungrouped
from tests.fakes.storing import oid


def number(groups: Groups, keep: Keep) -> int:
    found = groups.number(keep)
    assert found is not None
    return found


def test_a_group_is_known_by_its_name_whatever_it_means() -> None:
    groups = Groups()
    first = number(groups, Keep("notes", ttl=60.0))

    again = number(groups, Keep("notes", pinned=True))

    assert again == first
    assert groups.keeps[first] == Keep("notes", pinned=True)
    assert len(groups) == 2


def test_what_is_under_no_rule_is_one_group() -> None:
    groups = Groups()
    groups.charge(number(groups, Ungrouped().keep_of(oid("a"))), 7, 1)

    assert list(groups) == [GroupUse(PLAIN, 7, 1)]


def test_pinned_bytes_follow_what_the_groups_mean_now() -> None:
    groups = Groups()
    groups.charge(number(groups, Keep("a", pinned=True)), 100, 1)
    groups.charge(number(groups, Keep("b")), 20, 1)
    assert groups.pinned_bytes == 100

    number(groups, Keep("a"))
    number(groups, Keep("b", pinned=True))

    assert groups.pinned_bytes == 20


def test_what_is_pinned_does_not_expire() -> None:
    groups = Groups()
    kept = number(groups, Keep("a", ttl=60.0))
    assert groups.ttls[kept] == 60.0

    number(groups, Keep("a", ttl=60.0, pinned=True))

    assert groups.ttls[kept] is None


def test_groups_under_one_quota_share_its_account() -> None:
    groups = Groups()
    quota = Quota("/ns/train", 1000)
    groups.charge(number(groups, Keep("a", quota=quota)), 600, 1)
    groups.charge(number(groups, Keep("b", quota=quota, priority="high")), 300, 1)

    (account,) = groups.accounts()

    assert account.used == 900
    assert account.over(100) == 0
    assert account.over(150) == 50
    assert groups.members(account) == [1, 2]


def test_a_group_takes_its_bytes_to_another_account() -> None:
    groups = Groups()
    kept = number(groups, Keep("a", quota=Quota("one", 1000)))
    groups.charge(kept, 600, 1)

    number(groups, Keep("a", quota=Quota("other", 500)))

    assert [(account.name, account.used, account.limit) for account in groups.accounts()] == [("other", 600, 500)]
    number(groups, Keep("a"))
    assert groups.accounts() == []


def test_a_number_is_given_again_only_when_all_are_taken_and_its_group_is_empty() -> None:
    groups = Groups(limit=3)
    one, two = number(groups, Keep("one")), number(groups, Keep("two"))
    groups.charge(one, 10, 1)

    assert number(groups, Keep("three")) == two
    groups.charge(two, 10, 1)

    assert groups.find("two") is None
    assert groups.number(Keep("four")) is None


def test_at_the_start_groups_get_the_numbers_that_they_had() -> None:
    groups = Groups()
    groups.place(7, Keep("seven", ttl=5.0))

    assert number(groups, Keep("seven", ttl=5.0)) == 7
    assert number(groups, Keep("eight")) == 8


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Keep("a", ttl=0.0), "ttl of 0.0 s"),
        (lambda: Keep("a", ttl=float("nan")), "ttl of nan s"),
        (lambda: Keep(pinned=True), "name one that sets anything"),
        (lambda: Quota("a", 0), "give it more than none"),
    ],
)
def test_what_cannot_be_kept_cannot_be_said(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()  # type: ignore[operator]


KEEPS = st.builds(
    Keep,
    name=st.sampled_from(["a", "b", "c"]),
    pinned=st.booleans(),
    quota=st.none() | st.builds(Quota, account=st.sampled_from(["x", "y"]), nbytes=st.just(100)),
)


@given(st.lists(st.tuples(KEEPS, st.integers(0, 50))))
def test_bytes_add_up_by_account_whatever_changes(steps: list[tuple[Keep, int]]) -> None:
    groups = Groups()
    used: dict[str, int] = {}
    latest: dict[str, Keep] = {}
    for keep, nbytes in steps:
        groups.charge(number(groups, keep), nbytes, 1)
        used[keep.name] = used.get(keep.name, 0) + nbytes
        latest[keep.name] = keep

    by_account: dict[str, int] = {}
    for name, keep in latest.items():
        if keep.quota is not None:
            by_account[keep.quota.account] = by_account.get(keep.quota.account, 0) + used[name]
    assert {account.name: account.used for account in groups.accounts()} == by_account
    assert groups.pinned_bytes == sum(used[name] for name, keep in latest.items() if keep.pinned)
