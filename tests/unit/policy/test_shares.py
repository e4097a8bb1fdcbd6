"""Q3 and what follows from it: shares equals the passes of the rules done by brute force, exactly, on small trees."""

import math
from collections.abc import Mapping
from fractions import Fraction
from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.model import LinePolicy
from policy.shares import OTHER_CLASS, ClassShare, Leaf, TenantShare, Tree, fill, shares

CLASS_NAMES = ("interactive", "training", "backfill")
TENANT_NAMES = ("rec", "search", "other")
ENDLESS = 10**9  # more than any quota below: stands for inf where fractions are exact

amounts = st.integers(0, 1000)
ceils = st.one_of(st.just(math.inf), amounts)


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    quota = draw(st.integers(1, 1000))
    floors = [draw(st.integers(0, quota // 4)) for _ in CLASS_NAMES]
    classes = [ClassShare(name, floor, draw(ceils)) for name, floor in zip(CLASS_NAMES, floors, strict=True)]
    left = quota - sum(floors)
    tenants = {}
    for name in TENANT_NAMES:
        assured = draw(st.integers(0, left))
        left -= assured
        ceil = draw(st.one_of(st.just(math.inf), st.integers(assured, 2000)))
        tenants[name] = TenantShare(assured, ceil, draw(st.integers(1, 9)))
    return Tree(quota, (*classes, ClassShare(OTHER_CLASS, 0)), tenants)


leaves = st.builds(
    Leaf,
    st.sampled_from((*TENANT_NAMES, "stranger")),
    st.sampled_from((*CLASS_NAMES, "unheard-of")),
    st.sampled_from(("", "load-1", "load-2")),
)
demands = st.dictionaries(leaves, st.one_of(st.just(math.inf), amounts), max_size=6)


def exact(amount: float) -> Fraction:
    return Fraction(ENDLESS) if math.isinf(amount) else Fraction(amount)


def brute_max_min(total: Fraction, caps: list[Fraction], weights: list[int]) -> list[Fraction]:
    """Tries every set of those who are held by their cap; the right one leaves the others even and below theirs."""
    everyone = range(len(caps))
    if sum(caps) <= total:
        return caps
    for capped in chain.from_iterable(combinations(everyone, size) for size in range(len(caps))):
        free = [at for at in everyone if at not in capped]
        level = (total - sum(caps[at] for at in capped)) / sum(weights[at] for at in free)
        if all(level * weights[at] >= caps[at] for at in capped) and all(
            level * weights[at] <= caps[at] for at in free
        ):
            return [caps[at] if at in capped else level * weights[at] for at in everyone]
    raise AssertionError("there is always such a set")


def brute_shares(tree: Tree, demands: Mapping[Leaf, float]) -> dict[Leaf, Fraction]:
    """The four passes as the rules tell them, each written out, on exact fractions."""
    names = [item.name for item in tree.classes]
    homes: dict[Leaf, tuple[str, str]] = {}
    for leaf in demands:
        tenant = leaf.tenant if leaf.tenant in tree.tenants else "other"
        homes[leaf] = (tenant, leaf.cls if leaf.cls in names else OTHER_CLASS)
    cells = sorted(set(homes.values()))
    want = {cell: sum((exact(demands[leaf]) for leaf in homes if homes[leaf] == cell), Fraction(0)) for cell in cells}
    got = {cell: Fraction(0) for cell in cells}

    def of_tenant(tenant: str) -> Fraction:
        return sum((got[cell] for cell in cells if cell[0] == tenant), Fraction(0))

    def of_class(cls: str) -> Fraction:
        return sum((got[cell] for cell in cells if cell[1] == cls), Fraction(0))

    for stage in ("floors", "assured", "rest"):
        for item in tree.classes:
            row = [cell for cell in cells if cell[1] == item.name]
            room = exact(item.ceil) - of_class(item.name)
            total = min(Fraction(tree.quota) - sum(got.values()), room)
            if stage == "floors":
                total = min(total, Fraction(item.floor))
            caps = []
            for cell in row:
                share = tree.tenants[cell[0]]
                limit = exact(share.ceil)
                if stage == "assured":
                    limit = min(limit, Fraction(share.assured))
                caps.append(max(Fraction(0), min(want[cell] - got[cell], limit - of_tenant(cell[0]))))
            weights = [int(tree.tenants[cell[0]].weight) for cell in row]
            for cell, more in zip(row, brute_max_min(max(Fraction(0), total), caps, weights), strict=True):
                got[cell] += more
    rates: dict[Leaf, Fraction] = {}
    for cell in cells:
        loads = [leaf for leaf in homes if homes[leaf] == cell]
        parts = brute_max_min(got[cell], [exact(demands[leaf]) for leaf in loads], [1] * len(loads))
        rates.update(zip(loads, parts, strict=True))
    return rates


@given(trees(), demands)
def test_q3_shares_equal_a_brute_force_solution(tree: Tree, demands: dict[Leaf, float]) -> None:
    expected = brute_shares(tree, demands)

    found = shares(tree, demands)

    assert found == pytest.approx({leaf: float(rate) for leaf, rate in expected.items()}, abs=1e-6)


@given(trees(), demands)
def test_nothing_is_given_beyond_quota_demand_or_ceil(tree: Tree, demands: dict[Leaf, float]) -> None:
    rates = shares(tree, demands)

    assert sum(rates.values()) <= tree.quota * (1 + 1e-9)
    assert all(0 <= rate <= demands[leaf] for leaf, rate in rates.items())
    for name, tenant in tree.tenants.items():
        assert sum(rate for leaf, rate in rates.items() if tree.home(leaf)[0] == name) <= tenant.ceil + 1e-6
    for item in tree.classes:
        assert sum(rate for leaf, rate in rates.items() if tree.home(leaf)[1] == item.name) <= item.ceil + 1e-6


@given(trees(), demands)
def test_what_is_left_over_is_wanted_by_nobody_who_may_have_it(tree: Tree, demands: dict[Leaf, float]) -> None:
    rates = shares(tree, demands)

    left = tree.quota - sum(rates.values())
    classes = {item.name: item for item in tree.classes}
    for leaf, rate in rates.items():
        tenant, cls = tree.home(leaf)
        tenant_room = tree.tenants[tenant].ceil - sum(rates[at] for at in rates if tree.home(at)[0] == tenant)
        class_room = classes[cls].ceil - sum(rates[at] for at in rates if tree.home(at)[1] == cls)
        assert min(left, demands[leaf] - rate, tenant_room, class_room) <= 1e-6


@given(trees(), demands)
def test_a_tenant_that_no_window_holds_gets_what_it_wants_up_to_its_assured_rate(
    tree: Tree, demands: dict[Leaf, float]
) -> None:
    free = Tree(tree.quota, tuple(ClassShare(item.name, item.floor) for item in tree.classes), tree.tenants)

    rates = shares(free, demands)

    for name, tenant in free.tenants.items():
        wanted = sum(demands[leaf] for leaf in demands if free.home(leaf)[0] == name)
        has = sum(rates[leaf] for leaf in demands if free.home(leaf)[0] == name)
        assert has >= min(wanted, tenant.assured) - 1e-6


@given(
    st.floats(0, 1e12),
    st.lists(st.tuples(st.one_of(st.just(math.inf), st.floats(0, 1e12)), st.floats(0.001, 1e6)), max_size=6),
)
def test_fill_gives_all_there_is_or_all_that_is_wanted_and_never_more(
    total: float, takers: list[tuple[float, float]]
) -> None:
    caps, weights = [cap for cap, _ in takers], [weight for _, weight in takers]

    given_out = fill(total, caps, weights)

    assert all(0 <= part <= cap for part, cap in zip(given_out, caps, strict=True))
    assert sum(given_out) == pytest.approx(min(total, sum(caps)) if takers else 0.0)


def test_a_tree_takes_floors_of_what_there_is_to_share_and_leaves_rates_as_written() -> None:
    policy = LinePolicy(quota="1000B/s", tenants={"rec": {"assured": "300B/s", "ceil": "400B/s", "weight": 3}})

    tree = Tree.of(policy, 500, {"backfill": 7})

    assert [(item.name, item.floor, item.ceil) for item in tree.classes] == [
        ("interactive", 50, math.inf),
        ("training", 50, math.inf),
        ("prefetch", 10, math.inf),
        ("backfill", 5, 7),
        (OTHER_CLASS, 0, math.inf),
    ]
    assert tree.tenants == {"rec": TenantShare(300, 400, 3), "other": TenantShare()}


def test_classes_are_served_in_the_order_of_the_policy() -> None:
    policy = LinePolicy(quota="1000B/s", classes={"backfill": {"order": 0, "floor": "0%"}, "interactive": {"order": 9}})
    wants = {Leaf("a", "interactive"): 1000.0, Leaf("a", "backfill"): 1000.0}

    rates = shares(Tree.of(policy, 1000), wants)

    assert rates == pytest.approx({Leaf("a", "interactive"): 100, Leaf("a", "backfill"): 900})


def test_tenants_that_are_not_listed_share_one_leaf() -> None:
    tree = Tree.of(LinePolicy(quota="1000B/s", tenants={"rec": {}}), 1000)

    rates = shares(tree, {Leaf(name, "training"): math.inf for name in ("rec", "guest", "visitor")})

    assert [rates[Leaf(name, "training")] for name in ("rec", "guest", "visitor")] == pytest.approx([500, 250, 250])


def test_loads_of_a_tenant_share_equally_and_leave_what_they_do_not_want_to_each_other() -> None:
    tree = Tree.of(LinePolicy(quota="900B/s"), 900)

    rates = shares(tree, {Leaf("a", "prefetch", load): want for load, want in (("1", 100), ("2", 900), ("3", 900))})

    assert list(rates.values()) == pytest.approx([100, 400, 400])


def test_nobody_who_wants_nothing_gets_anything() -> None:
    assert shares(Tree.of(LinePolicy(quota="1Gbps"), 1e8), {Leaf("a", "training"): 0.0}) == {Leaf("a", "training"): 0}
