"""The arithmetic of one request: debited - read >= min(bytes left, receive buffer), whatever happens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache.ledger import Entry
from regioncache.lines.account import Account, Closing


def entry(kind: str = "unique", tenant: str = "rec") -> Entry:
    return Entry("bj-use1", "idc-bj>aws-use1", tenant, "training", "train-bj", kind)


UNIQUE = entry()


def sent(length: int, buffer: int) -> Account:
    account = Account(length, buffer)
    account.debit(UNIQUE, account.first)
    account.sent = True
    return account


def test_a_short_reply_is_debited_whole_before_it_is_asked_for() -> None:
    assert Account(100, 1000).first == 100


def test_a_long_reply_is_debited_for_its_buffer_before_it_is_asked_for() -> None:
    assert Account(5000, 1000).first == 1000


def test_an_unknown_buffer_may_hold_the_whole_reply() -> None:
    assert Account(5000, 0).first == 5000


def test_each_read_debits_as_much_again() -> None:
    account = sent(5000, 1000)

    assert account.readable(300) == 0
    assert account.missing(300) == 300


def test_the_end_of_a_reply_needs_no_more_debits() -> None:
    account = sent(1500, 1000)
    account.debit(UNIQUE, account.missing(500))

    assert account.readable(5000) == 1500
    assert account.missing(5000) == 0


def test_a_short_read_leaves_its_debit_for_the_next() -> None:
    account = sent(5000, 1000)
    account.debit(UNIQUE, account.missing(300))
    account.receive(100, "unique")

    assert account.readable(300) == 200
    assert account.missing(300) == 100


def test_a_shorter_reply_credits_what_was_debited_beyond_it() -> None:
    account = sent(5000, 1000)

    assert account.resize(400) == [(UNIQUE, 600)]
    assert account.prepaid == 400


def test_a_longer_reply_is_missing_what_its_buffer_may_hold() -> None:
    account = sent(100, 1000)

    assert account.resize(5000) == []
    assert account.missing(0) == 900


def test_reading_more_than_was_debited_is_refused() -> None:
    account = sent(5000, 1000)

    with pytest.raises(ValueError, match="1001 bytes read, but only 1000 debited"):
        account.receive(1001, "unique")


def test_bytes_are_of_the_kind_they_have_when_they_are_read() -> None:
    account = sent(5000, 1000)

    assert account.receive(600, "refetch") == [(UNIQUE, 600)]
    assert account.receive(400, "unique") == []


def test_what_is_spoiled_is_what_was_read_last() -> None:
    account = sent(1000, 1000)
    account.receive(600, "refetch")
    account.receive(400, "unique")

    assert account.spoil(500) == [(UNIQUE, 400), (entry("refetch"), 100)]
    assert account.spoil(9999) == [(entry("refetch"), 500)]


def test_what_is_credited_is_what_was_debited_last() -> None:
    account = Account(1000, 1000)
    account.debit(UNIQUE, 600)
    account.debit(entry(tenant="search"), 400)

    assert account.resize(500) == [(entry(tenant="search"), 400), (UNIQUE, 100)]


def test_a_request_that_was_not_sent_is_credited() -> None:
    account = Account(1000, 1000)
    account.debit(UNIQUE, 700)

    assert account.close() == Closing([(UNIQUE, 700)], [])


def test_a_request_that_was_sent_and_broken_off_is_over_read() -> None:
    account = sent(5000, 1000)
    account.receive(100, "unique")

    assert account.close() == Closing([], [(UNIQUE, 900)])


def test_a_whole_reply_leaves_nothing() -> None:
    account = sent(1000, 1000)
    account.receive(1000, "unique")

    assert account.close() == Closing([], [])


@given(st.data())
def test_the_invariant_holds_whatever_is_read(data: st.DataObject) -> None:
    length, buffer = data.draw(st.integers(0, 10_000)), data.draw(st.integers(0, 4000))
    account = sent(length, buffer)
    debited, read, left = account.first, 0, length
    kept = buffer or length

    for _ in range(data.draw(st.integers(0, 40))):
        match data.draw(st.sampled_from(["room", "room", "room", "learn"])):
            case "room":
                nbytes = data.draw(st.integers(1, 3000))
                if not account.readable(nbytes):
                    missing = account.missing(data.draw(st.integers(1, nbytes)))
                    account.debit(UNIQUE, missing)
                    debited += missing
                got = data.draw(st.integers(0, account.readable(nbytes)))
                account.receive(got, "unique")
                read, left = read + got, left - got
            case "learn":
                left = data.draw(st.integers(0, left))
                debited -= sum(count for _, count in account.resize(read + left))
        assert debited - read >= min(left, kept)
        assert debited - read <= account.reserve
        assert account.debited == debited

    closing = account.close()
    assert sum(count for _, count in closing.over_read) == debited - read


@given(st.data())
def test_any_reply_can_be_read_to_its_end(data: st.DataObject) -> None:
    account = sent(data.draw(st.integers(1, 5000)), data.draw(st.integers(0, 2000)))

    while account.left:
        nbytes = data.draw(st.integers(1, 700))
        if not account.readable(nbytes):
            account.debit(UNIQUE, account.missing(nbytes))
        assert account.readable(nbytes) > 0
        account.receive(account.readable(nbytes), "unique")

    assert account.debited == account.length
