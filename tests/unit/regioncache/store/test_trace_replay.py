"""What the cache hits of zipf, loop and scan, beside plain LRU: five points more, wherever the optimum leaves room."""

import pytest

from tests.bench.replay import Trace, belady, lru, s3fifo, traces, two_tiers

SEEDS = (1, 2)
TRACES = [trace for weighted in (False, True) for seed in SEEDS for trace in traces(2000, seed, weighted=weighted)]


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: f"{trace.name}, seed {trace.seed}")
def test_a_trace_is_hit_five_points_better_than_by_lru(trace: Trace) -> None:
    ours, plain, best = s3fifo(trace), lru(trace), belady(trace)

    print(f"{trace.name}, seed {trace.seed}: {ours}, LRU {plain}, optimum {best}")
    assert best.reads >= plain.reads + 0.05, "the trace leaves no room"
    assert plain.reads + 0.05 <= ours.reads <= best.reads
    assert ours.bytes >= plain.bytes + 0.05


@pytest.mark.parametrize("trace", TRACES[:3], ids=lambda trace: trace.name)
def test_two_tiers_hit_as_one_of_both_sizes_and_move_little(trace: Trace) -> None:
    tiers, one, plain = two_tiers(trace), s3fifo(trace), lru(trace)

    print(f"{trace.name}, seed {trace.seed}: {tiers}")
    assert tiers.both.reads >= max(one.reads - 0.02, plain.reads + 0.05)
    assert tiers.up <= 0.05
    assert tiers.down <= 1 - tiers.both.reads
