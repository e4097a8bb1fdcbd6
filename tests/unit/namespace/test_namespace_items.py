"""Items: a difference makes the one map of the other, and bytes that are not items are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namespace.items import Difference, Garbled, difference, packed, sum_of, unpacked

names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3)
maps = st.dictionaries(names, names, max_size=6)


@given(maps, maps)
def test_a_difference_makes_the_one_of_the_other(before: dict[str, str], after: dict[str, str]) -> None:
    assert difference(before, after).applied(before) == after


@given(maps, maps, maps)
def test_two_differences_are_one(first: dict[str, str], second: dict[str, str], third: dict[str, str]) -> None:
    joined = difference(first, second).then(difference(second, third))

    assert joined.applied(first) == third
    assert joined.against(first) == difference(first, third)


@given(maps, maps)
def test_a_sum_is_taken_along_by_differences(before: dict[str, str], after: dict[str, str]) -> None:
    found = difference(before, after)
    gone = ((name, before[name]) for name in found.names() if name in before)

    assert (sum_of(before.items()) - sum_of(gone) + sum_of(found.put.items())) % 2**64 == sum_of(after.items())


@given(maps)
def test_packed_items_are_the_same_again(items: dict[str, str]) -> None:
    assert unpacked(packed(items)) == items


@pytest.mark.parametrize("cut", [0, 1, 8, 12, -1])
def test_packed_items_that_were_cut_are_refused(cut: int) -> None:
    with pytest.raises(Garbled):
        unpacked(packed({"mount//ns/a": "{}", "policy": '""'})[:cut])


def test_one_wrong_byte_is_refused() -> None:
    whole = bytearray(packed({"mount//ns/a": "{}"}))
    whole[-3] ^= 1

    with pytest.raises(Garbled, match="checksum"):
        unpacked(whole)


def test_a_nul_within_an_item_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        packed({"a\0b": "c"})


def test_nothing_differs_between_equals() -> None:
    assert not difference({"a": "b"}, {"a": "b"})
    assert Difference({"a": "b"})
