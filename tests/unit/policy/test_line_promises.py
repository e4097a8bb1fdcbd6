"""The promises of a line in virtual time: Q1, Q4, Q5 and Q6 of the line rules, and the bound of the burst."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_simulator import TICK, Demand, LineSimulator, always, between, phases

from policy.model import CLASSES, LinePolicy
from policy.shares import Leaf

GREEDY = math.inf
MBIT = 1e6 / 8
POLICY = LinePolicy(
    quota="400Mbps",
    tenants={
        "rec": {"assured": "150Mbps", "ceil": "350Mbps", "weight": 3},
        "search": {"assured": "100Mbps", "weight": 2},
    },
)
PLAIN = LinePolicy(quota="400Mbps", tenants={"rec": {"weight": 3}})
LEAVES = tuple(Leaf(tenant, cls) for tenant in ("rec", "search", "x") for cls in CLASSES)


rates = st.one_of(st.just(0.0), st.just(GREEDY), st.floats(1e4, POLICY.quota))
schedules = st.dictionaries(st.sampled_from(LEAVES), st.lists(rates, min_size=3, max_size=3), min_size=1, max_size=6)


@settings(max_examples=12)
@given(schedules)
def test_q1_what_anybody_wants_and_may_have_is_used_three_seconds_after_a_change(
    schedule: dict[Leaf, list[float]],
) -> None:
    line = LineSimulator(POLICY, {leaf: phases(rates, 5) for leaf, rates in schedule.items()})

    line.run(15)

    for phase in range(3):
        wanted = 0.0
        for tenant, ceil in (("rec", 350 * MBIT), ("search", GREEDY), ("x", GREEDY)):
            wanted += min(ceil, sum(rates[phase] for leaf, rates in schedule.items() if leaf.tenant == tenant))
        assert line.rate(phase * 5 + 3, phase * 5 + 5) >= 0.95 * min(POLICY.quota, wanted)


@settings(max_examples=12)
@given(schedules)
def test_no_interval_moves_more_than_quota_and_burst(schedule: dict[Leaf, list[float]]) -> None:
    line = LineSimulator(POLICY, {leaf: phases(rates, 5) for leaf, rates in schedule.items()})

    line.run(15)

    assert line.overshoot() <= POLICY.burst_bytes + POLICY.quota * TICK + 1


@pytest.mark.parametrize("returning", ["interactive", "training", "prefetch", "backfill"])
@pytest.mark.parametrize("holder", ["interactive", "training"])
def test_q4_an_assured_share_is_back_three_seconds_after_its_demand(returning: str, holder: str) -> None:
    back = Leaf("search", returning)
    line = LineSimulator(
        POLICY,
        {back: between(10, 20, GREEDY), Leaf("rec", holder): always(GREEDY), Leaf("x", holder): always(GREEDY)},
    )

    line.run(20)

    assert line.rate(3, 10) >= 0.95 * POLICY.quota
    for second in range(13, 20):
        assert line.rate(second, second + 1, back) >= 0.97 * 100 * MBIT


@settings(max_examples=4)
@given(st.sampled_from(CLASSES), st.data())
def test_q5_every_leaf_with_demand_moves_its_floor_in_each_minute(cls: str, data: st.DataObject) -> None:
    schedule = data.draw(schedules)
    leaf = Leaf("x", cls)
    demands: dict[Leaf, Demand] = {other: phases(rates, 7) for other, rates in schedule.items()}
    line = LineSimulator(PLAIN, {**demands, leaf: always(GREEDY)})

    line.run(70)

    beside = {3.0 if other.tenant == "rec" else 1.0 for other in schedule if other.cls == cls and other.tenant != "x"}
    weight = 1 / (1 + sum(beside))
    floor = PLAIN.quota * PLAIN.classes[cls].floor * weight
    for start in range(0, 10, 2):
        assert line.rate(start, start + 60, leaf) >= 0.98 * floor


@pytest.mark.parametrize("asked", [0, 100, 200, 350, 380, GREEDY])
@pytest.mark.parametrize(("upper", "lower"), [("interactive", "training"), ("training", "backfill")])
def test_q6_a_lower_class_gets_its_floor_and_what_is_left(upper: str, lower: str, asked: float) -> None:
    above, below = Leaf("a", upper), Leaf("b", lower)
    line = LineSimulator(PLAIN, {above: always(asked * MBIT), below: always(GREEDY)})

    # What the upper class could not move in its first second is its demand too: it is moved first.
    line.run(40)

    floor = PLAIN.quota * PLAIN.classes[lower].floor
    expected = max(floor, PLAIN.quota - asked * MBIT)
    assert line.rate(30, 40, below) == pytest.approx(expected, rel=0.02)
    assert line.rate(30, 40, above) == pytest.approx(PLAIN.quota - expected, rel=0.02)


def test_two_tenants_of_weights_three_and_one_share_three_to_one() -> None:
    rec, other = Leaf("rec", "training"), Leaf("anyone", "training")
    line = LineSimulator(PLAIN, {rec: always(GREEDY), other: always(GREEDY)})

    line.run(13)

    assert line.rate(3, 13, rec) / line.rate(3, 13, other) == pytest.approx(3, rel=0.02)
