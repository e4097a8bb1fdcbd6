"""What other members hold of an extent, and for how long that is remembered."""

import pytest

from regioncache.cluster.members import Addresses, Member
from regioncache.errors import BadAnswer
from regioncache.owners import holdings
from regioncache.owners.holdings import Held, Holding, Holdings, parse_held
from regioncache.pages import Meta, ObjectId, Span, Version

OID = ObjectId(b"b" * 16, "k")
A, B = (Member(name, Addresses(f"http://{name}:9100"), 1 << 30) for name in "ab")


def meta(version: str = '"v"', learned_at: float = 100.0) -> Meta:
    return Meta(Version(version), 10, version, 1.0, "text/plain", (), learned_at)


def test_what_a_member_says_is_understood_with_its_age() -> None:
    held = Held(7, meta(learned_at=90.0), doubted=True, opening=True, runs=(Span(0, 3), Span(5, 6)))

    heard = parse_held(held.body(wall=100.0), asked_at=500.0)

    assert heard == Held(7, meta(learned_at=490.0), doubted=True, opening=True, runs=(Span(0, 3), Span(5, 6)))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"epoch": 1, "runs": [[3, 1]]}', b'{"epoch": 1, "object": "x"}'])
def test_what_no_member_says_is_refused(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        parse_held(body, 0.0)


def test_the_newest_version_that_is_not_doubted_is_what_others_know() -> None:
    old, doubted = Held(1, meta('"old"', 50.0), runs=(Span(0, 9),)), Held(1, meta('"new"', 99.0), doubted=True)

    assert Holding.of([(A, old), (B, doubted)]) == Holding(meta('"old"', 50.0), False, ((Span(0, 9), A),))


def test_a_page_is_taken_from_the_first_that_holds_it() -> None:
    holding = Holding.of([(A, Held(1, meta(), runs=(Span(2, 4),))), (B, Held(1, meta(), runs=(Span(0, 9),)))])

    assert holding.at(Version('"v"'), 3) == (Span(2, 4), A)
    assert holding.at(Version('"v"'), 5) == (Span(0, 9), B)
    assert holding.at(Version('"other"'), 5) is None
    assert holding.without(B).at(Version('"v"'), 5) is None


def test_a_source_is_asked_up_to_the_next_page_that_somebody_holds() -> None:
    holding = Holding.of([(A, Held(1, meta(), runs=(Span(4, 6), Span(8, 9))))])

    assert [holding.following(Version('"v"'), page) for page in (0, 4, 8)] == [4, 8, None]


def test_a_newer_view_forgets_what_others_held() -> None:
    known = Holdings()
    known.look(1)
    known.keep(OID, 0, Holding())
    known.nothing(A, OID)
    assert known.find(OID, 0) == Holding()
    assert known.to_ask([A, B], OID, 0.0) == [B]

    known.look(2)

    assert known.find(OID, 0) is None
    assert known.to_ask([A, B], OID, 0.0) == [A, B]


def test_a_silent_member_is_passed_over_for_a_moment() -> None:
    known = Holdings()

    known.silent(A, 10.0)

    assert known.to_ask([A, B], OID, 11.0) == [B]
    assert known.to_ask([A, B], OID, 12.5) == [A, B]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdings, "MOST_HOLDINGS", 3)
    known = Holdings()

    for extent in range(5):
        known.keep(OID, extent, Holding())

    assert [known.find(OID, extent) is None for extent in range(5)] == [True, True, False, False, False]
