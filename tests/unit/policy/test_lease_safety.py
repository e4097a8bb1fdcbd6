"""All nodes together never debit more than the quota, whatever is lost, late, cut, killed or elected (Q2)."""

from dataclasses import replace

import pytest

from policy.leases.book import LeaseBook
from policy.model import LinePolicy
from tests.unit.policy.lease_faults import NODES, OFFICES
from tests.unit.policy.lease_schedules import least, run, schedule
from tests.unit.policy.lease_simulator import Lab, Node

MOST_SCHEDULES = 250


def _holds(seeds: range) -> None:
    for seed in seeds:
        lab = run(schedule(seed))
        assert not lab.faults, f"{lab.faults[0]}; the least that fails so: {least(schedule(seed))}"


@pytest.mark.parametrize("block", range(4))
def test_debits_of_all_nodes_stay_within_quota_and_burst_in_any_interval(block: int) -> None:
    _holds(range(block * 50, block * 50 + 50))


@pytest.mark.soak
@pytest.mark.parametrize("block", range(100))
def test_debits_of_all_nodes_stay_within_quota_and_burst_in_ten_thousand_schedules(block: int) -> None:
    _holds(range(1000 + block * 100, 1100 + block * 100))


@pytest.mark.parametrize("planted", OFFICES, ids=lambda kind: kind.__name__)
def test_a_fault_planted_in_the_office_is_found(planted: type[LeaseBook]) -> None:
    assert any(run(schedule(seed), make_book=planted).faults for seed in range(MOST_SCHEDULES))


@pytest.mark.parametrize("planted", NODES, ids=lambda kind: kind.__name__)
def test_a_fault_planted_in_a_node_is_found(planted: type[Node]) -> None:
    late = (replace(schedule(seed), late=0.3, loss=0.0) for seed in range(MOST_SCHEDULES))

    assert any(run(plan, make_node=planted).faults for plan in late)


@pytest.mark.parametrize("pause", [0.05, 0.5, 0.95])
def test_ten_kills_of_one_node_within_one_lease_stay_within_the_quota_and_it_is_served_again(pause: float) -> None:
    lab = Lab(1, LinePolicy(quota="100MB/s", burst="100ms"), 3)
    lab.run(12)

    for _ in range(10):
        lab.start("node-0")
        lab.run(pause)
    last = lab.nodes["node-0"]
    lab.run(20)

    assert not lab.faults
    assert last.moved > 0
    assert last.allowance.rate > 0


def test_schedules_move_bytes_and_change_offices() -> None:
    labs = [run(schedule(seed)) for seed in range(20)]

    assert sum(lab.meter.total for lab in labs) > 20 * 60 * 0.2 * 100e6
    assert sum(lab.etcd.revision for lab in labs) > 30
