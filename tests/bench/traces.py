"""What S3-FIFO hits of zipf, loop and zipf + scan, beside plain LRU and the optimum. No disk, no clock: arithmetic."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.pairs import Outcome
from tests.bench.replay import Hits, TwoTiers, belady, lru, s3fifo, traces, two_tiers

NAMES = ("traces",)
PLACES = 4000
"""Objects that the cache can hold: of whole extents, 250 GB of disk."""
SEEDS = (1, 2, 3)


def run(names: Sequence[str], directory: Path, turns: int) -> Iterator[Outcome]:
    """Yields one outcome for each trace: the share of reads that miss, beside LRU's. Turns would all be the same."""
    if not set(NAMES) & set(names):
        return
    title = f"hit ratios in reads (in bytes), a cache of {PLACES} objects; wanted: 5 points above LRU"
    headings = ("trace", "seed", "S3-FIFO", "LRU", "optimum", "points above LRU", "two tiers")
    table = Table(*headings, title=title, title_justify="left")
    for weighted in (False, True):
        for seed in SEEDS:
            for trace in traces(PLACES, seed, weighted=weighted):
                ours, plain, best = s3fifo(trace), lru(trace), belady(trace)
                points = f"{100 * (ours.reads - plain.reads):.1f} ({100 * (ours.bytes - plain.bytes):.1f})"
                tiers = _moves(two_tiers(trace))
                table.add_row(trace.name, str(seed), *map(_shown, (ours, plain, best)), points, tiers)
                missed, beside = 1 - ours.reads, 1 - plain.reads
                yield Outcome(f"traces {trace.name} {seed}", missed, "missed/read", beside, missed / beside)
    Console(width=160, soft_wrap=True).print(table)


def _moves(tiers: TwoTiers) -> str:
    moves = f"{1000 * tiers.down:.0f} down, {1000 * tiers.up:.0f} up in 1000 reads"
    return f"{tiers.both.reads:.1%}, {tiers.fast:.1%} in the fast one, {moves}"


def _shown(hits: Hits) -> str:
    return f"{hits.reads:.1%} ({hits.bytes:.1%})"
