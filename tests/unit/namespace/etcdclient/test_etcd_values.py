"""Transactions that may be sent twice, prefixes, and chunks below etcd's limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from namespace.etcdclient.values import (
    Compare,
    Delete,
    Get,
    Operation,
    Put,
    Transaction,
    absent,
    chunks,
    created_at,
    end_of,
    has_value,
    present,
    size_of,
    unchanged,
)


@pytest.mark.parametrize(
    ("compares", "then"),
    [
        ([absent(b"k")], [Put(b"k", b"v")]),
        ([unchanged(b"k", 7)], [Put(b"k", b"v"), Put(b"other", b"v")]),
        ([unchanged(b"k", 7)], [Delete(b"k")]),
        ([has_value(b"k", b"v")], [Get(b"k")]),
        ([], [Get(b"k")]),
    ],
)
def test_a_transaction_that_cannot_happen_twice_is_sent_again(compares: list[Compare], then: list[Operation]) -> None:
    assert Transaction(tuple(compares), tuple(then)).repeatable


@pytest.mark.parametrize(
    ("compares", "then", "otherwise"),
    [
        ([], [Put(b"k", b"v")], []),
        ([has_value(b"k", b"old")], [Put(b"k", b"new")], []),
        ([created_at(b"leader", 5)], [Put(b"k", b"v")], []),
        ([unchanged(b"other", 7)], [Put(b"k", b"v")], []),
        ([present(b"k")], [Put(b"k", b"v")], []),
        ([absent(b"k")], [Put(b"k", b"v")], [Put(b"k", b"w")]),
        ([absent(b"a")], [Delete(b"a", b"z")], []),
    ],
)
def test_a_transaction_that_may_happen_twice_is_not_sent_again(
    compares: list[Compare], then: list[Operation], otherwise: list[Operation]
) -> None:
    assert not Transaction(tuple(compares), tuple(then), tuple(otherwise)).repeatable


@given(st.binary(max_size=4), st.binary(max_size=5))
def test_the_end_of_a_prefix_is_behind_what_begins_with_it_and_nothing_else(prefix: bytes, key: bytes) -> None:
    end = end_of(prefix)

    # etcd reads an end of one zero byte as no end at all: what follows \xff\xff is all that begins with it.
    inside = prefix <= key and (end == b"\0" or key < end)
    assert inside == key.startswith(prefix)


_OPERATIONS = st.one_of(
    st.builds(Put, st.binary(min_size=1, max_size=2), st.binary(max_size=60)),
    st.builds(Delete, st.binary(min_size=1, max_size=2)),
    st.builds(Delete, st.just(b"a"), st.just(b"b")),
)


@given(st.lists(_OPERATIONS, max_size=40), st.integers(1, 8), st.integers(50, 400))
def test_chunks_keep_the_order_and_the_bounds_and_no_key_twice(
    operations: list[Operation], most: int, most_bytes: int
) -> None:
    found = list(chunks(operations, most, most_bytes))

    assert [one for chunk in found for one in chunk] == operations
    for chunk in found:
        keys = [one.key for one in chunk]
        assert 1 <= len(chunk) <= most
        assert len(set(keys)) == len(keys)
        assert len(chunk) == 1 or sum(map(size_of, chunk)) <= most_bytes
        assert len(chunk) == 1 or not any(isinstance(one, Delete) and one.end for one in chunk)
