"""What other members hold of an extent, and for how long that is remembered."""

import time

import pytest

from namespace.model import Mount
from namespace.resolver import Place
from namespace.routes import Way
from regioncache.cluster.members import Addresses, Member
from regioncache.cluster.ownership import Shared
from regioncache.errors import BadAnswer, Unanswered
from regioncache.health import Health
from regioncache.http.client import Client
from regioncache.owners import holdings
from regioncache.owners.holdings import Held, Holding, Holdings, parse_held
from regioncache.owners.memberroutes import MemberRoutes
from regioncache.owners.owners import Owners
from regioncache.pages import Meta, ObjectId, Span, Version
from regioncache.peers.desks import Questioner
from regioncache.peers.digests import Digests
from regioncache.peers.proto import SILENCE_SECONDS
from regioncache.sources import Route, Sources
from tests.fakes.region import bucket

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


class Busy(MemberRoutes):
    """To a member that says what it holds just before it would be taken for gone."""

    async def ask(
        self, member: Member, operation: str, values: dict[str, str], *, seconds: float, most_bytes: int
    ) -> bytes:
        if seconds < SILENCE_SECONDS:
            raise Unanswered(f"no answer in {seconds} s")
        return Held(5, meta(), runs=(Span(0, 1),)).body(0.0)


@pytest.mark.anyio
async def test_a_busy_member_is_waited_for_until_it_would_be_taken_for_gone() -> None:
    client, ownership = Client(), Shared("c", (A, B), 5)
    routes = Busy(Questioner("r", lambda _: None, client), client, Digests(), print, ownership)
    owners = Owners(Sources(Health(), unasked, time.monotonic), time.monotonic, ownership, routes)
    place = Place("/ns/data/k", Mount.model_construct(path="/ns/data"), bucket(), "k", ())

    holding = await owners.held(place, OID, 0)

    assert holding.at(Version('"v"'), 0) is not None


def unasked(place: Place, way: Way) -> Route:
    raise AssertionError("no source is asked what members hold")


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
