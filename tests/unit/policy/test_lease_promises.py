"""What readers get of a line whose quota many nodes keep, in virtual time (Q1, Q4 to Q6, Q8, Q9)."""

import pytest

from policy.leases.holding import Allowance
from policy.model import LinePolicy
from policy.shares import Leaf
from tests.unit.policy.lease_readers import ReadingNode
from tests.unit.policy.lease_simulator import Lab

QUOTA = 25e6
ALL = 1e9
INTERACTIVE, TRAINING, BACKFILL = (Leaf("other", cls) for cls in ("interactive", "training", "backfill"))
LEASE = 10.0


class Region(Lab):
    """Six members that read, all heard; the first office has nothing to learn."""

    def __init__(self, policy: LinePolicy | None = None, members: int = 6) -> None:
        policy = policy if policy is not None else LinePolicy(quota=f"{QUOTA}B/s", burst="100ms")
        super().__init__(1, policy, members, tick=0.02, make_node=ReadingNode)
        self.run(3)

    def read(self, member: int, leaf: Leaf, rate: float = ALL) -> None:
        node = self.nodes[f"node-{member}"]
        assert isinstance(node, ReadingNode)
        node.read(leaf, rate)

    def rate(self, seconds: float, *leaves: Leaf, member: int | None = None) -> float:
        """Runs for a while; the part of the quota that was debited (for leaves, at a member)."""
        before = self._moved(leaves, member)
        self.run(seconds)
        return (self._moved(leaves, member) - before) / seconds / QUOTA

    def _moved(self, leaves: tuple[Leaf, ...], member: int | None) -> float:
        nodes = list(self.nodes.values()) if member is None else [self.nodes[f"node-{member}"]]
        return sum(
            one.moved
            for node in nodes
            if isinstance(node, ReadingNode)
            for leaf, one in node.readers.items()
            if not leaves or leaf in leaves
        )

    def allowances(self) -> list[Allowance]:
        return [node.allowance for node in self.nodes.values()]


def test_one_node_that_wants_all_has_95_of_100_within_3_seconds() -> None:
    region = Region()
    region.read(0, TRAINING)
    region.run(3)

    assert region.rate(5) >= 0.95
    assert not region.faults


def test_demand_that_moves_between_six_members_every_2_seconds_uses_85_of_100() -> None:
    region = Region()

    used = 0.0
    for turn in range(18):
        for member in range(6):
            region.read(member, TRAINING, ALL if member == turn % 6 else 0.0)
        used += region.rate(2) / 18

    assert used >= 0.85
    assert not region.faults


def test_demand_that_begins_is_served_within_a_second() -> None:
    region = Region()
    region.read(0, TRAINING)
    region.run(5)
    region.read(1, TRAINING)
    region.run(1)

    assert region.rate(2, member=1) >= 0.4


def test_an_assured_share_is_back_within_3_seconds() -> None:
    policy = LinePolicy.model_validate(
        {"quota": f"{QUOTA}B/s", "burst": "100ms", "tenants": {"rec": {"assured": f"{QUOTA / 2}B/s"}}}
    )
    region = Region(policy)
    for member in range(5):
        region.read(member, INTERACTIVE)
    region.run(5)
    region.read(5, Leaf("rec", "training"))
    region.run(3)

    assert region.rate(2, Leaf("rec", "training")) >= 0.45
    assert not region.faults


def test_an_assured_share_is_back_within_two_leases_though_its_debtors_are_cut_off() -> None:
    policy = LinePolicy.model_validate(
        {"quota": f"{QUOTA}B/s", "burst": "100ms", "tenants": {"rec": {"assured": f"{QUOTA / 4}B/s"}}}
    )
    region = Region(policy)
    region.read(0, TRAINING)
    region.run(5)
    for office in region.candidates:
        region.world.cut("node-0", office)
    region.read(5, Leaf("rec", "training"))
    region.run(2 * LEASE)

    assert region.rate(2, Leaf("rec", "training")) >= 0.24
    assert not region.faults


def test_nobody_starves() -> None:
    region = Region()
    for member in range(6):
        region.read(member, INTERACTIVE)
    region.read(5, BACKFILL)

    assert region.rate(60, BACKFILL) >= 0.01 * 0.9


def test_a_lower_class_has_its_floor_and_what_is_left() -> None:
    region = Region()
    region.read(0, INTERACTIVE, 0.3 * QUOTA)
    region.read(1, TRAINING)
    region.run(5)

    assert region.rate(5, INTERACTIVE) == pytest.approx(0.3, abs=0.02)
    assert region.rate(5, TRAINING) >= 0.63


def test_without_an_office_nodes_go_on_at_their_safe_rates_and_interactive_before_others() -> None:
    region = Region()
    for member in range(6):
        region.read(member, INTERACTIVE)
        region.read(member, BACKFILL)
    region.run(5)
    for member in range(6):
        for office in region.candidates:
            region.world.cut(f"node-{member}", office)
    region.run(LEASE + 30 + 1)

    assert region.rate(30, INTERACTIVE) == pytest.approx(0.99 * 0.5 / 0.99, rel=0.02)
    assert region.rate(10, BACKFILL) == 0
    assert not region.faults


def test_what_is_granted_to_nobody_is_used_by_nobody_after_static_for() -> None:
    region = Region(LinePolicy(quota=f"{QUOTA}B/s", burst="100ms", static_for="1m"))
    region.read(0, INTERACTIVE)
    region.run(5)
    for office in region.candidates:
        region.world.cut("node-0", office)
    region.run(LEASE + 30 + 60 + 1)

    assert region.nodes["node-0"].allowance.state == "over"
    assert region.rate(5, member=0) == 0


def test_after_a_change_of_office_no_rate_more_than_doubles_in_the_first_lease() -> None:
    region = Region()
    for member in range(6):
        region.read(member, TRAINING, ALL if member < 3 else 0.02 * QUOTA)
    region.run(5)
    before = [node.allowance.rate for node in region.nodes.values()]
    region.elect_another()
    region.run(0.5)
    region.read(5, TRAINING)

    for _ in range(18):
        region.run(0.5)
        assert all(now <= 2 * then for now, then in zip((a.rate for a in region.allowances()), before, strict=True))


def test_a_node_that_dies_with_the_office_and_is_back_has_the_room_it_left_in_the_first_lease() -> None:
    region = Region(members=3)
    for member in range(3):
        region.read(member, TRAINING)
    region.run(5)
    others = [region.nodes[name].allowance.rate for name in ("node-1", "node-2")]
    region.elect_another()
    region.start("node-0")
    region.read(0, TRAINING)
    region.run(3)

    assert region.rate(5, member=0) >= 0.30
    assert [region.nodes[name].allowance.rate for name in ("node-1", "node-2")] == pytest.approx(others, rel=0.05)
    assert not region.faults


def test_a_new_office_leaves_a_node_that_had_little_the_safe_rate_that_it_rose_to() -> None:
    region = Region(members=3)
    region.read(0, TRAINING)
    region.run(5)
    for one in [*region.nodes, "etcd"]:
        for office in region.candidates:
            region.world.cut(one, office)
    region.run(60)
    before = [node.allowance for node in region.nodes.values()]
    region.world.heal()

    region.run(LEASE / 2)

    assert [allowed.state for allowed in before] == ["static"] * 3
    assert [now.state for now in region.allowances()] == ["leased"] * 3
    assert [now.rate for now in region.allowances()] == pytest.approx([then.rate for then in before], rel=0.05)
    assert not region.faults


def test_90_of_100_are_used_within_two_leases_after_all_was_cut() -> None:
    region = Region()
    for member in range(6):
        region.read(member, TRAINING)
    region.run(5)
    for one in [*region.nodes, "etcd"]:
        for office in region.candidates:
            region.world.cut(one, office)
    region.run(60)
    region.world.heal()
    region.run(2 * LEASE)

    assert region.rate(5) >= 0.90
    assert not region.faults
