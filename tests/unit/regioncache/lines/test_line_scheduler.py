"""The scheduler in virtual time: never above the quota in any interval, never idle while somebody waits, and fair."""

import heapq
import itertools
import math
from collections import defaultdict
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.model import LinePolicy
from policy.shares import Leaf, Tree, shares
from regioncache.lines.scheduler import Scheduler
from regioncache.lines.terms import Terms
from regioncache.lines.waiting import Ask

QUOTA = 25_000_000.0
TENANTS = {"rec": {"weight": 3}, "search": {"weight": 1}}


def policy(quota: str = "200Mbps", **more: object) -> LinePolicy:
    return LinePolicy.model_validate({"quota": quota, **more})


def scheduler(of: LinePolicy | None = None, now: float = 0.0) -> Scheduler:
    return Scheduler(Terms.of(of or policy()), now)


@dataclass
class Source:
    """What asks for one leaf: `streams` that ask again as soon as they are served, or `rate` bytes/s by the clock."""

    leaf: Leaf
    streams: int = 0
    rate: float = 0.0
    begin: float = 0.0
    end: float = math.inf
    piece: float = 64_000.0
    think: float = 0.0
    """Seconds between a debit and the next ask of the same stream."""


@dataclass
class Simulation:
    """Sources at a scheduler; `moved[leaf]` is a list of (when, debited bytes)."""

    core: Scheduler
    sources: list[Source]
    now: float = 0.0
    moved: dict[Leaf, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self._order = itertools.count()
        self._events: list[tuple[float, int, Source]] = []
        self._of: dict[Ask, Source] = {}
        for source in self.sources:
            for _ in range(source.streams or 1):
                self._at(source.begin, source)

    def _at(self, when: float, source: Source) -> None:
        heapq.heappush(self._events, (when, next(self._order), source))

    def run(self, seconds: float) -> "Simulation":
        while True:
            due = self.core.next_at(self.now)
            event = self._events[0][0] if self._events else math.inf
            at = min(event, math.inf if due is None else due)
            if at > seconds:
                return self
            self.now = max(self.now, at)
            while self._events and self._events[0][0] <= self.now:
                self._ask(heapq.heappop(self._events)[2])
            for ask in self.core.granted(self.now):
                source = self._of.pop(ask)
                self.moved[source.leaf].append((self.now, ask.nbytes))
                if source.streams:
                    self._at(self.now + source.think, source)

    def _ask(self, source: Source) -> None:
        if self.now >= source.end:
            return
        self._of[self.core.ask(source.leaf, source.piece, self.now)] = source
        if not source.streams:
            self._at(self.now + source.piece / source.rate, source)

    def rate(self, leaf: Leaf, begin: float, end: float) -> float:
        return sum(nbytes for at, nbytes in self.moved[leaf] if begin <= at < end) / (end - begin)

    def total(self, begin: float, end: float) -> float:
        return sum(self.rate(leaf, begin, end) for leaf in list(self.moved))


def close(measured: float, wanted: float, part_of_quota: float = 0.02) -> bool:
    return abs(measured - wanted) <= part_of_quota * QUOTA


# ---- Q1: work-conserving ----


@pytest.mark.parametrize("cls", ["interactive", "training", "prefetch", "backfill", "unheard-of"])
@pytest.mark.parametrize("streams", [1, 8])
def test_whoever_is_alone_gets_the_whole_line(cls: str, streams: int) -> None:
    leaf = Leaf("anyone", cls)

    done = Simulation(scheduler(), [Source(leaf, streams)]).run(10)

    assert done.total(3, 10) >= 0.95 * QUOTA


def test_the_line_stays_full_while_leaves_come_and_go() -> None:
    sources = [
        Source(Leaf("rec", "training"), 4, end=12),
        Source(Leaf("search", "interactive"), 2, begin=4, end=8),
        Source(Leaf("search", "backfill"), 1, begin=2),
        Source(Leaf("stranger", "prefetch"), 3, begin=6, end=20),
    ]

    done = Simulation(scheduler(policy(tenants=TENANTS)), sources).run(24)

    for second in range(1, 23):
        assert done.total(second, second + 1) >= 0.95 * QUOTA


def test_streams_that_think_between_debits_still_fill_the_line() -> None:
    sources = [Source(Leaf("rec", "training"), 6, think=0.01), Source(Leaf("search", "training"), 2, think=0.002)]

    done = Simulation(scheduler(policy(tenants=TENANTS)), sources).run(10)

    assert done.total(3, 10) >= 0.95 * QUOTA


def test_a_tenant_below_its_ceil_takes_what_the_one_at_its_ceil_may_not() -> None:
    of = policy(tenants={"rec": {"ceil": "40Mbps"}})
    sources = [Source(Leaf("rec", "interactive"), 4), Source(Leaf("search", "backfill"), 1)]

    done = Simulation(scheduler(of), sources).run(10)

    assert close(done.rate(Leaf("rec", "interactive"), 3, 10), 5_000_000)
    assert done.total(3, 10) >= 0.95 * QUOTA


def test_a_tenant_alone_on_the_line_is_held_to_its_ceil() -> None:
    of = policy(tenants={"rec": {"ceil": "40Mbps"}})

    done = Simulation(scheduler(of), [Source(Leaf("rec", cls), 4) for cls in ("interactive", "training")]).run(10)

    assert 0.95 * 5_000_000 <= done.total(1, 10) <= 1.01 * 5_000_000


# ---- Q2: no overshoot ----

LEAVES = [Leaf("rec", "training"), Leaf("rec", "interactive"), Leaf("search", "backfill"), Leaf("x", "y")]
QUOTAS = ["1Mbps", "200Mbps", "10Gbps"]


@dataclass
class Watched:
    """A scheduler under random deeds; what falls due is watched against rate x T + burst."""

    core: Scheduler
    terms: Terms
    now: float = 0.0
    waiting: list[Ask] = field(default_factory=list)
    served: list[Ask] = field(default_factory=list)
    lowest: float = math.inf

    def settle(self) -> None:
        self.watch()
        self.served += self.core.granted(self.now)
        self.watch()

    def watch(self) -> None:
        seen = self.core.statistics(self.now)
        due = seen.debited - seen.debt
        ahead = due - self.terms.quota * self.now
        self.lowest = min(self.lowest, ahead)
        assert ahead - self.lowest <= self.terms.burst * (1 + 1e-6) + 1

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.core.next_at(self.now)) is not None and due <= end:
            self.now = max(self.now, due)
            self.settle()
        self.now = end
        self.settle()


@given(st.data())
def test_what_falls_due_in_any_interval_is_at_most_quota_times_it_plus_burst(data: st.DataObject) -> None:
    of = policy(data.draw(st.sampled_from(QUOTAS)), tenants=TENANTS)
    terms = Terms.of(of)
    seen = Watched(Scheduler(terms, 0.0), terms)
    seen.watch()
    most = terms.piece * terms.overhead

    for _ in range(data.draw(st.integers(1, 60))):
        match data.draw(st.sampled_from(["ask", "ask", "ask", "wait", "wait", "give", "withdraw", "promote", "lead"])):
            case "ask":
                for _ in range(data.draw(st.integers(1, 20))):
                    leaf, control = data.draw(st.sampled_from(LEAVES)), data.draw(st.booleans())
                    nbytes = data.draw(st.floats(1, most))
                    seen.waiting.append(seen.core.ask(leaf, nbytes, seen.now, control))
                seen.settle()
            case "wait":
                seen.advance(data.draw(st.floats(0, 2)) * most / terms.quota * data.draw(st.sampled_from([0.1, 1, 30])))
            case "give" if seen.served:
                ask = seen.served.pop(data.draw(st.integers(0, len(seen.served) - 1)))
                seen.core.give(ask.leaf, ask.nbytes * data.draw(st.floats(0, 1)))
                seen.settle()
            case "withdraw" if seen.waiting:
                seen.core.withdraw(data.draw(st.sampled_from(seen.waiting)))
            case "promote" if seen.waiting:
                seen.core.promote(data.draw(st.sampled_from(seen.waiting)), data.draw(st.sampled_from(LEAVES)))
            case "lead":
                seen.core.lead = data.draw(st.floats(0, 0.2))
                seen.settle()


def test_nothing_is_granted_further_ahead_than_a_round_trip() -> None:
    core = scheduler()
    core.lead = 0.08
    for _ in range(1000):
        core.ask(Leaf("rec", "training"), 60_000, 0.0)

    core.granted(0.0)

    assert core.statistics(0.0).debt <= 0.08 * QUOTA


def test_without_a_measured_round_trip_nothing_is_granted_before_it_is_covered() -> None:
    core = scheduler()
    for _ in range(1000):
        core.ask(Leaf("rec", "training"), 60_000, 0.0)

    core.granted(0.0)

    assert core.statistics(0.0).debt == 0
    assert core.statistics(0.0).debited <= Terms.of(policy()).burst


# ---- shares: weights, assured, floors, classes ----


@pytest.mark.parametrize("streams", [(1, 1), (8, 8), (1, 16), (16, 1)])
def test_two_tenants_get_three_to_one_however_many_streams_they_have(streams: tuple[int, int]) -> None:
    rec, search = Leaf("rec", "training"), Leaf("search", "training")
    sources = [Source(rec, streams[0], think=0.0005), Source(search, streams[1], think=0.0005)]

    done = Simulation(scheduler(policy(tenants=TENANTS)), sources).run(20)

    assert done.rate(rec, 3, 20) / done.rate(search, 3, 20) == pytest.approx(3, rel=0.05)


def test_three_to_one_holds_where_one_tenant_gets_half_of_its_debits_back() -> None:
    rec, search = Leaf("rec", "training"), Leaf("search", "training")
    core = scheduler(policy(tenants=TENANTS))
    waiting = {core.ask(leaf, 60_000, 0.0): leaf for leaf in [rec, search] * 8}
    moved, now = {rec: 0.0, search: 0.0}, 0.0

    while now < 20:
        now = core.next_at(now) or now
        for ask in core.granted(now):
            leaf = waiting.pop(ask)
            used = ask.nbytes / 2 if leaf == rec else ask.nbytes
            core.give(leaf, ask.nbytes - used)
            moved[leaf] += used
            waiting[core.ask(leaf, 60_000, now)] = leaf

    assert moved[rec] / moved[search] == pytest.approx(3, rel=0.05)


def test_an_assured_share_is_back_within_three_seconds() -> None:
    of = policy(tenants={"rec": {"assured": "100Mbps"}, "search": {"weight": 9}})
    rec, search = Leaf("rec", "training"), Leaf("search", "training")

    done = Simulation(scheduler(of), [Source(search, 16), Source(rec, 2, begin=10)]).run(20)

    assert done.rate(search, 5, 10) >= 0.95 * QUOTA
    assert done.rate(rec, 13, 20) >= 0.97 * 12_500_000


def test_everyone_who_waits_moves_at_least_its_floor_in_each_minute() -> None:
    leaves = {cls: Leaf("rec", cls) for cls in ("interactive", "training", "prefetch", "backfill")}
    floors = {"interactive": 0.1, "training": 0.1, "prefetch": 0.02, "backfill": 0.01}

    done = Simulation(scheduler(), [Source(leaf, 12 - n) for n, leaf in enumerate(leaves.values())]).run(62)

    for cls, leaf in leaves.items():
        assert done.rate(leaf, 2, 62) >= 0.97 * 0.99 * floors[cls] * QUOTA


@pytest.mark.parametrize("interactive", [0.1, 0.4, 0.6, 0.8])
def test_a_lower_class_gets_its_floor_and_what_is_left(interactive: float) -> None:
    asks = {
        Leaf("a", "interactive"): interactive * QUOTA,
        Leaf("a", "training"): math.inf,
        Leaf("a", "backfill"): math.inf,
    }
    sources = [Source(leaf, rate=rate) if rate < math.inf else Source(leaf, 4) for leaf, rate in asks.items()]

    done = Simulation(scheduler(), sources).run(20)

    wanted = shares(Tree.of(policy(), 0.99 * QUOTA), asks)
    for leaf, rate in wanted.items():
        assert close(done.rate(leaf, 5, 20), rate), leaf


def test_training_gets_the_line_less_the_floor_that_backfill_uses() -> None:
    training, backfill = Leaf("rec", "training"), Leaf("rec", "backfill")

    done = Simulation(scheduler(), [Source(training, 8), Source(backfill, 8)]).run(20)

    assert close(done.rate(backfill, 3, 20), 0.01 * QUOTA, 0.005)
    assert done.rate(training, 3, 20) >= 0.96 * QUOTA


def test_a_reader_that_asks_now_and_then_does_not_wait_behind_a_crowd() -> None:
    crowd, light = Leaf("rec", "training"), Leaf("search", "training")
    core = scheduler(policy(tenants=TENANTS))
    done = Simulation(core, [Source(crowd, 64), Source(light, rate=500_000, begin=1)]).run(20)

    assert done.rate(light, 2, 20) == pytest.approx(500_000, rel=0.03)


def test_unknown_tenants_share_one_leaf() -> None:
    sources = [Source(Leaf("rec", "training"), 4), *(Source(Leaf(f"stranger-{n}", "training"), 4) for n in range(5))]

    done = Simulation(scheduler(policy(tenants={"rec": {"weight": 1}})), sources).run(10)

    assert close(done.rate(Leaf("rec", "training"), 3, 10), QUOTA / 2)


# ---- order inside a leaf, promotion, withdrawal, control ----


def drain(core: Scheduler, now: float = 0.0) -> list[Ask]:
    served = core.granted(now)
    while (due := core.next_at(now)) is not None:
        now = due
        served += core.granted(now)
    return served


def test_inside_a_leaf_the_first_come_is_served_first() -> None:
    core = scheduler()
    asks = [core.ask(Leaf("rec", "training"), 50_000, 0.0) for _ in range(20)]

    assert drain(core) == asks


def test_a_promoted_ask_is_served_by_its_age_among_those_of_its_new_payer() -> None:
    core = scheduler()
    prefetch, training = Leaf("rec", "prefetch"), Leaf("rec", "training")
    early = [core.ask(training, 60_000, 0.0) for _ in range(3)]
    promoted = core.ask(prefetch, 60_000, 0.0)
    late = [core.ask(training, 60_000, 0.0) for _ in range(20)]

    core.promote(promoted, training)

    assert drain(core) == [*early, promoted, *late]


def test_promoting_what_was_served_changes_nothing() -> None:
    core = scheduler()
    ask = core.ask(Leaf("rec", "prefetch"), 60_000, 0.0)
    core.granted(0.0)

    core.promote(ask, Leaf("rec", "training"))

    assert core.granted(1.0) == []
    assert core.next_at(1.0) is None


def test_a_withdrawn_ask_is_never_served() -> None:
    core = scheduler()
    first, second = (core.ask(Leaf("rec", "training"), 60_000, 0.0) for _ in range(2))

    assert core.withdraw(first)
    assert drain(core) == [second]
    assert not core.withdraw(second)


def test_control_traffic_does_not_wait_behind_a_full_line() -> None:
    core = scheduler()
    for _ in range(500):
        core.ask(Leaf("rec", "training"), 60_000, 0.0)
    core.granted(0.0)

    listing = core.ask(Leaf("rec", "training"), 50_000, 0.0, control=True)

    assert core.granted(0.0) == [listing]


def test_control_traffic_beyond_its_part_goes_first_among_its_payers() -> None:
    core = scheduler()
    data = [core.ask(Leaf("rec", "training"), 60_000, 0.0) for _ in range(10)]
    listings = [core.ask(Leaf("rec", "training"), 60_000, 0.0, control=True) for _ in range(10)]

    served = drain(core)

    assert set(served) == {*data, *listings}
    assert served[:10] == listings


# ---- another policy ----


def test_another_policy_refills_no_bucket() -> None:
    core = scheduler()
    for _ in range(10):
        core.ask(Leaf("rec", "training"), 60_000, 0.0)
    core.granted(0.0)
    before = core.statistics(0.0).debited

    core.adopt(Terms.of(policy("200Mbps", tenants=TENANTS)), 0.0)
    core.granted(0.0)

    assert core.statistics(0.0).debited == before


def test_a_policy_that_drops_a_tenant_keeps_what_it_waits_for() -> None:
    core = scheduler(policy(tenants=TENANTS))
    asks = [core.ask(Leaf("rec", "training"), 60_000, 0.0) for _ in range(10)]

    core.adopt(Terms.of(policy()), 0.0)

    assert {ask.leaf for ask in asks} == {Leaf("other", "training")}
    assert drain(core) == asks


def test_a_lower_quota_holds_from_the_moment_it_is_adopted() -> None:
    leaf = Leaf("rec", "training")
    simulation = Simulation(scheduler(), [Source(leaf, 8)]).run(5)

    simulation.core.adopt(Terms.of(policy("20Mbps")), 5.0)
    simulation.run(15)

    assert simulation.rate(leaf, 5.0001, 15) <= 2_500_000 + 262_144 / 9


# ---- what may be expected ----


def test_an_idle_line_is_expected_to_serve_at_once() -> None:
    assert scheduler().expected(Leaf("rec", "training"), 100_000, 0.0) == 0


def test_what_is_expected_is_about_what_comes() -> None:
    core = scheduler(policy(tenants=TENANTS))
    for _ in range(400):
        core.ask(Leaf("rec", "training"), 60_000, 0.0)
        core.ask(Leaf("search", "training"), 60_000, 0.0)
    core.granted(0.0)

    expected = core.expected(Leaf("search", "training"), 60_000, 0.0)

    last, now = core.ask(Leaf("search", "training"), 60_000, 0.0), 0.0
    while last.state != "granted":
        now = core.next_at(now) or now
        for ask in core.granted(now):
            if ask.leaf.tenant == "rec":
                core.ask(ask.leaf, 60_000, now)
    assert expected == pytest.approx(now, rel=0.2)


def test_a_line_of_many_leaves_forgets_those_that_are_gone() -> None:
    tenants = {f"t{n}": {"weight": 1} for n in range(200)}
    sources = [Source(Leaf(name, "training"), rate=1e6, begin=0.0, end=0.1) for name in tenants]

    core = Simulation(scheduler(policy(tenants=tenants)), [*sources, Source(Leaf("t0", "backfill"), 2)]).run(30).core

    assert len(core.statistics(30.0).rates) < 5


def test_repr_says_what_waits() -> None:
    core = scheduler()
    for _ in range(10):
        core.ask(Leaf("rec", "training"), 60_000, 0.0)

    assert repr(core) == "<Scheduler 25000000 B/s, 10 waiting of 1 leaves>"
