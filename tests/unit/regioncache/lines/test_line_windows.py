"""Ceils that come and go by the clock on the wall, and policies that change under load (Q10 of the line rules)."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.shares import Leaf
from regioncache.ledger import Ledger
from regioncache.lines.calendar import Calendar, until_next
from regioncache.lines.line import Line
from regioncache.lines.scheduler import Scheduler
from regioncache.lines.terms import Terms
from regioncache.origins.base import Payer
from regioncache.pages import MIB
from tests.fakes.hearing import Heard
from tests.fakes.line_world import EPOCH, world
from tests.fakes.scheduling import QUOTA, TENANTS, Simulation, Source, close, policy

CEIL = 5_000_000.0
MONDAYS = policy(windows=[{"when": "Mon 00:00-00:01", "ceil": {"backfill": "40Mbps"}}])
BACKFILL = Payer("rec", "backfill")


def held(ceils: dict[str, float], **more: object) -> Scheduler:
    return Scheduler(Terms.of(policy(**more), ceils), 0.0)


def test_a_class_alone_on_the_line_is_held_to_its_window() -> None:
    sources = [Source(Leaf(tenant, "backfill"), 4) for tenant in ("rec", "search", "x")]

    done = Simulation(held({"backfill": CEIL}, tenants=TENANTS), sources).run(10)

    assert 0.95 * CEIL <= done.total(1, 10) <= 1.01 * CEIL


def test_other_classes_take_what_a_window_withholds_from_one() -> None:
    sources = [Source(Leaf("rec", "interactive"), 4), Source(Leaf("search", "prefetch"), 4)]

    done = Simulation(held({"interactive": CEIL}), sources).run(10)

    assert close(done.rate(Leaf("rec", "interactive"), 3, 10), CEIL)
    assert done.total(3, 10) >= 0.95 * QUOTA


def test_a_tenants_ceil_and_a_window_hold_both() -> None:
    sources = [Source(Leaf(tenant, "backfill"), 4) for tenant in ("rec", "search")]

    done = Simulation(held({"backfill": CEIL}, tenants={"rec": {"ceil": "8Mbps"}, "search": {}}), sources).run(10)

    assert done.rate(Leaf("rec", "backfill"), 1, 10) <= 1.01 * 1_000_000
    assert 0.95 * CEIL <= done.total(2, 10) <= 1.01 * CEIL


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from([None, 2.5e6, 5e6, 2e7])), min_size=1, max_size=8))
def test_no_interval_within_a_window_moves_more_of_its_class_than_ceil_and_burst(
    changes: list[tuple[float, float | None]],
) -> None:
    leaf = Leaf("rec", "backfill")
    simulation = Simulation(held({}), [Source(leaf, 8), Source(Leaf("x", "training"), 1)])
    now = 0.0

    for seconds, ceil in changes:
        begin = len(simulation.moved[leaf])
        simulation.core.adopt(Terms.of(policy(), {} if ceil is None else {"backfill": ceil}), now)
        started, now = now, now + seconds
        simulation.run(now)
        ahead, lowest = 0.0, 0.0
        for at, nbytes in simulation.moved[leaf][begin:]:
            before = ahead - (ceil or QUOTA) * (at - started)
            lowest = min(lowest, before)
            ahead += nbytes
            assert before + nbytes - lowest <= Terms.of(policy()).burst + 1


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.floats(0, 2), st.sampled_from(["1Mbps", "40Mbps", "200Mbps", "1Gbps"]), st.booleans()),
        min_size=1,
        max_size=12,
    )
)
def test_q10_policies_reloaded_under_load_reset_no_bucket(reloads: list[tuple[float, str, bool]]) -> None:
    sources = [Source(Leaf("rec", "training"), 4), Source(Leaf("search", "backfill"), 2), Source(Leaf("x", "y"), 1)]
    simulation = Simulation(Scheduler(Terms.of(policy("40Mbps")), 0.0), sources)
    allowed, quota, now, lowest = 0.0, Terms.of(policy("40Mbps")).quota, 0.0, 0.0
    most = max(Terms.of(policy(text)).burst for text in ("1Gbps", "1Mbps"))

    for seconds, text, listed in reloads:
        simulation.run(now + seconds)
        now, allowed = now + seconds, allowed + quota * seconds
        ahead = simulation.core.statistics(now).debited - allowed
        lowest = min(lowest, ahead)
        assert ahead - lowest <= most + 1
        terms = Terms.of(policy(text, tenants=TENANTS if listed else {}))
        simulation.core.adopt(terms, now)
        quota = terms.quota
        # Nobody who waited is lost: whatever was asked and not served is still asked.
        assert simulation.core.statistics(now).waiting == len(simulation._of)


@pytest.mark.anyio
async def test_a_window_that_begins_and_ends_holds_for_as_long(tmp_path: Path) -> None:
    heard = Heard()
    async with world(tmp_path, MONDAYS, tidings=heard.tidings()) as at:
        for _ in range(4):
            at.start(at.stream(BACKFILL, 1 << 40))

        async def span(seconds: float) -> float:
            at.line.keep_windows()
            begun = at.line.statistics().debited
            await at.alarms.run_for(seconds)
            return (at.line.statistics().debited - begun) / seconds

        before, within, after = await span(5), await span(60), await span(5)

    assert before >= 0.9 * QUOTA
    # A debit may be granted one round trip before it is covered.
    assert within <= CEIL + (at.line.statistics().burst + CEIL * at.line.statistics().round_trip) / 60
    assert after >= 0.9 * QUOTA
    assert heard.news == [
        "line bj-use1: a window holds backfill to 40 Mbit/s",
        "line bj-use1: no window holds any more",
    ]


@pytest.mark.anyio
async def test_a_line_that_starts_within_a_window_is_held_from_its_first_byte(tmp_path: Path) -> None:
    of = policy(windows=[{"when": "Sun 23:00-24:00", "ceil": {"backfill": "40Mbps"}}])
    async with world(tmp_path, of) as at:
        at.start(at.stream(BACKFILL, 64 * MIB))
        await at.alarms.run_for(5)

        assert at.line.statistics().debited <= CEIL * 5 + at.line.statistics().burst


@pytest.mark.anyio
async def test_of_windows_that_overlap_the_strictest_holds(tmp_path: Path) -> None:
    of = policy(
        windows=[
            {"when": "00:00-24:00", "ceil": {"backfill": "80Mbps", "prefetch": "8Mbps"}},
            {"when": "Sun 23:00-24:00", "ceil": {"backfill": "40Mbps"}},
            {"when": "Mon 00:00-01:00", "ceil": {"backfill": "1Mbps"}},
        ]
    )
    async with world(tmp_path, of) as at:
        assert at.line.statistics().class_ceils == {"backfill": CEIL, "prefetch": 1_000_000}


@pytest.mark.anyio
async def test_a_calendar_looks_at_every_line_by_the_clock_as_it_stands(tmp_path: Path) -> None:
    ledger, wall = Ledger.open(tmp_path / "ledger"), [EPOCH + 1000]
    lines = [Line(name, "a>b", MONDAYS, ledger, wall=lambda: wall[0]) for name in ("one", "two")]
    calendar = Calendar(lambda: lines, lambda: wall[0])

    wall[0] += 60
    calendar.look()
    within = [dict(line.statistics().class_ceils) for line in lines]
    wall[0] -= 2 * 86_400  # somebody set the clock back by two days
    calendar.look()

    assert within == [{"backfill": CEIL}] * 2
    assert [dict(line.statistics().class_ceils) for line in lines] == [{}, {}]
    ledger.close()


@pytest.mark.parametrize(("second", "seconds"), [(0.0, 10.0), (35.0, 10.0), (55.0, 5.0), (59.75, 0.25)])
def test_a_calendar_sleeps_until_the_next_full_minute_and_never_long(second: float, seconds: float) -> None:
    assert math.isclose(until_next(29_933_266 * 60 + second), seconds)
