"""Members confirm one another: what each says, who is heard, and how a newer view travels."""

import asyncio
import json
from collections.abc import Callable

import pytest

from regioncache.cluster.confirming import EACH_SECONDS, MISSED, SELDOM, Confirming, Told
from regioncache.cluster.members import Addresses, Member
from regioncache.cluster.telling import MISSED as WORTH_A_WORD
from regioncache.cluster.telling import Telling
from regioncache.cluster.view import Change, View
from regioncache.errors import OriginUnavailable
from regioncache.peers.wire import BadPeerRequest
from regioncache.tidings import Tidings

pytestmark = pytest.mark.anyio


class Clock:
    """Stands still until it is set; sleepers do not look at it."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def view(epoch: int, *names: str, cluster: str = "c1") -> View:
    members = tuple(Member(name, Addresses(f"http://{name}:9100"), 1 << 40, 1) for name in names)
    return View(cluster, epoch, members)


class Wire:
    """Carries questions to the members that are there, as the peer door does."""

    def __init__(self) -> None:
        self.there: dict[str, Confirming] = {}
        self.asked: list[str] = []

    async def ask(self, base, region, operation, values, *, seconds, most_bytes):  # type: ignore[no-untyped-def]
        host = base.authority.decode().partition(":")[0]
        self.asked.append(host)
        if host not in self.there:
            raise OriginUnavailable(f"{host} does not answer")
        return (await self.there[host].answer(region, values)).body


class One:
    """A member over the wire."""

    def __init__(self, wire: Wire, name: str, known: View | None, clock: Clock) -> None:
        self.name, self.view, self.wrong = name, known, []
        self.confirming = Confirming(
            "r",
            wire,
            self.told,
            lambda: self.view,
            self.learn,
            clock,
            lambda *said: self.wrong.append(said),  # type: ignore[arg-type]
        )
        wire.there[name] = self.confirming

    def told(self) -> Told:
        cluster, epoch = ("", -1) if self.view is None else (self.view.cluster, self.view.epoch)
        return Told(self.name, f"p-{self.name}", 1, "active", cluster, epoch)

    def learn(self, newer: View) -> None:
        self.view = newer


async def rounds(one: One, until: Callable[[], object], *, quick: bool = True, seeds: tuple[str, ...] = ()) -> None:
    """Runs a member's questions until something is so."""
    running = asyncio.create_task(one.confirming.run(lambda: quick, lambda: seeds))
    for _ in range(200):
        await asyncio.sleep(0)
        if until():
            break
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert until()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_question_is_heard_at_both_ends(clock: Clock) -> None:
    wire, known = Wire(), view(5, "a", "b")
    first, second = One(wire, "a", known, clock), One(wire, "b", known, clock)

    await rounds(first, lambda: first.confirming.heard)

    assert first.confirming.heard["b"].said.process == "p-b"
    assert second.confirming.heard["a"].said.epoch == 5
    assert wire.asked == ["b"]


async def test_who_answers_no_more_is_silent_after_three_missed_answers(clock: Clock) -> None:
    wire, known = Wire(), view(5, "a", "b")
    first, _ = One(wire, "a", known, clock), One(wire, "b", known, clock)
    assert first.confirming.silent("b")
    await rounds(first, lambda: first.confirming.heard)

    clock.now += MISSED * EACH_SECONDS
    assert not first.confirming.silent("b")
    clock.now += 0.01
    assert first.confirming.silent("b")


async def test_beside_etcd_members_ask_seldom_and_are_silent_later(clock: Clock) -> None:
    wire, known = Wire(), view(5, "a", "b")
    first, _ = One(wire, "a", known, clock), One(wire, "b", known, clock)
    await rounds(first, lambda: first.confirming.heard, quick=False)

    clock.now += MISSED * EACH_SECONDS * SELDOM
    assert not first.confirming.silent("b")


async def test_whether_a_member_answers_now_is_asked_now(clock: Clock) -> None:
    wire, known = Wire(), view(5, "a", "b")
    first, _ = One(wire, "a", known, clock), One(wire, "b", known, clock)

    assert await first.confirming.answers("b")
    clock.now += 1
    del wire.there["b"]
    assert not await first.confirming.answers("b")
    assert not await first.confirming.answers("nobody")


async def test_a_newer_view_is_learned_from_whoever_is_asked(clock: Clock) -> None:
    wire = Wire()
    behind, ahead = One(wire, "a", view(5, "a", "b"), clock), One(wire, "b", view(9, "b"), clock)

    await rounds(behind, lambda: behind.view == ahead.view)


async def test_an_older_view_is_not_handed_on(clock: Clock) -> None:
    wire = Wire()
    ahead, behind = One(wire, "a", view(9, "a", "b"), clock), One(wire, "b", view(5, "a", "b"), clock)

    await rounds(ahead, lambda: ahead.confirming.heard)

    assert ahead.view == view(9, "a", "b")
    assert ahead.confirming.heard["b"].said.epoch == behind.told().epoch


async def test_without_a_view_the_seeds_are_asked_for_one(clock: Clock) -> None:
    wire = Wire()
    new, known = One(wire, "c", None, clock), One(wire, "a", view(5, "a", "b"), clock)

    await rounds(new, lambda: new.view == known.view, seeds=("http://a:9100",))

    assert wire.asked[0] == "a"


async def test_a_member_of_another_cluster_is_named_and_neither_heard_nor_learned_from(clock: Clock) -> None:
    wire = Wire()
    first = One(wire, "a", view(5, "a", "b"), clock)
    other = One(wire, "b", view(9, "a", "b", cluster="c2"), clock)

    await rounds(first, lambda: first.wrong)

    assert "it is of cluster c2, this node of c1" in first.wrong[0][1]
    assert (first.confirming.heard, other.confirming.heard, first.view) == ({}, {}, view(5, "a", "b"))


async def test_a_member_that_is_away_keeps_nobody_from_being_asked(clock: Clock) -> None:
    wire, known = Wire(), view(5, "a", "b", "c")
    first, _ = One(wire, "a", known, clock), One(wire, "c", known, clock)

    await rounds(first, lambda: "c" in first.confirming.heard and first.wrong)

    assert ("http://b:9100", "b does not answer") in first.wrong
    assert ("http://c:9100", "") in first.wrong


async def test_who_left_the_view_is_forgotten(clock: Clock) -> None:
    wire, known = Wire(), view(5, "a", "b")
    first, _ = One(wire, "a", known, clock), One(wire, "b", known, clock)
    await rounds(first, lambda: first.confirming.heard)

    first.view = view(6, "a")
    await rounds(first, lambda: not first.confirming.heard)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"name": "b"}', b'{"view": {}}'])
async def test_an_answer_of_something_else_is_a_fault_told(clock: Clock, body: bytes) -> None:
    class Strange(Wire):
        async def ask(self, *_: object, **__: object) -> bytes:
            return body

    first = One(Strange(), "a", view(5, "a", "b"), clock)

    await rounds(first, lambda: first.wrong)
    assert first.confirming.heard == {}


@pytest.mark.parametrize(
    "values", [{}, {"name": "b", "process": "p", "process_epoch": "x", "state": "", "cluster": "", "epoch": "1"}]
)
async def test_a_question_of_something_else_is_refused(clock: Clock, values: dict[str, str]) -> None:
    one = One(Wire(), "a", view(5, "a"), clock)

    with pytest.raises(BadPeerRequest):
        await one.confirming.answer("r", values)


async def test_an_answer_has_a_view_only_for_who_is_behind(clock: Clock) -> None:
    one = One(Wire(), "a", view(5, "a", "b"), clock)
    asker = Told("b", "p", 1, "active", "c1", 4)

    behind = json.loads((await one.confirming.answer("r", asker.values())).body)
    level = json.loads((await one.confirming.answer("r", {**asker.values(), "epoch": "5"})).body)
    strange = json.loads((await one.confirming.answer("r", {**asker.values(), "cluster": "c2"})).body)

    assert (behind["view"], level["view"], strange["view"]) == (one.view.plain(), None, None)  # type: ignore[union-attr]


def test_who_misses_three_answers_is_told_of_once_and_so_is_its_return():
    warnings: list[str] = []
    news: list[str] = []
    telling = Telling("a", Tidings(warnings.append, news.append))

    for _ in range(WORTH_A_WORD + 2):
        telling.asked("http://b", "refused")
    telling.asked("http://b", "")
    telling.asked("http://b", "once")
    telling.asked("http://b", "")

    assert warnings == ["the member at http://b does not answer as one: refused"]
    assert news == ["the member at http://b answers again"]


def test_an_outage_of_etcd_is_one_warning_and_its_end_one_line_of_news():
    said: list[str] = []
    telling = Telling("a", Tidings(said.append, said.append))

    telling.back()
    telling.away("etcd is away")
    telling.away("etcd is away")
    telling.back()
    telling.back()

    assert said == ["members: etcd is away; reads go on by the last view", "members: etcd tells of every change again"]


def test_a_member_that_others_lost_says_so_once_and_one_that_left_does_not():
    said: list[str] = []
    telling = Telling("a", Tidings(said.append, lambda _: None))
    nothing = Change((), (), (), (), moved=False)

    telling.changed(view(4, "a", "b"), nothing, left=False)
    for _ in range(2):
        telling.changed(view(5, "b"), nothing, left=False)
    telling.changed(view(6, "a", "b"), nothing, left=False)
    telling.changed(view(7, "b"), nothing, left=True)

    assert len(said) == 1
    assert "a member no more" in said[0]


def test_a_member_that_is_not_in_yet_is_not_told_that_others_lost_it():
    said: list[str] = []
    telling = Telling("a", Tidings(said.append, lambda _: None))

    telling.changed(view(5, "b"), Change(("b",), (), (), (), moved=True), left=False)
    telling.changed(view(6, "a", "b"), Change(("a",), (), (), (), moved=True), left=False)

    assert said == []
