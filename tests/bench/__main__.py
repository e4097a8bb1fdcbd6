"""`make bench`: runs the benches in turns, prints medians with spread, writes build/bench.json.

`python -m tests.bench 'hit_*' list_cold` runs a part; CAUSEWAY_BENCH_TURNS changes how many turns (5).
"""

import fnmatch
import os
import sys
from pathlib import Path

import pytest

from tests.bench import hits, lists, misses, otel, peers, traces, workers
from tests.bench.pairs import TURNS, Outcome, write
from tests.bench.stage import scratch

NAMES = (
    *(hit.name for hit in hits.HITS),
    *(miss.name for miss in misses.MISSES),
    *lists.NAMES,
    *traces.NAMES,
    *otel.BENCHES,
    *(read.name for read in peers.READS),
    *(hit.name for hit in workers.HITS),
)
RESULT = Path("build/bench.json")


def main(patterns: list[str]) -> int:
    """Returns the exit status: 1 where a bench could not be run."""
    names = [name for name in NAMES if any(fnmatch.fnmatch(name, pattern) for pattern in patterns or ["*"])]
    if not names:
        print(f"no bench is called {' or '.join(patterns)}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    turns = int(os.environ.get("CAUSEWAY_BENCH_TURNS", TURNS))
    outcomes: list[Outcome] = []
    failed = 0
    for part in (hits, misses, lists, traces, otel, peers, workers):
        try:
            with scratch() as directory:
                for outcome in part.run(names, directory, turns):
                    outcomes.append(outcome)
                    write(outcomes, RESULT)
        except (pytest.skip.Exception, AssertionError, ChildProcessError, TimeoutError) as fault:
            print(f"{part.__name__}: not run to its end: {fault}", file=sys.stderr)
            failed = 1
    for outcome in outcomes:
        print(f"{outcome.name:12} {outcome.value:12.4g} {outcome.unit:16} beside {outcome.beside:12.4g}", end="")
        print(f"  ratio {outcome.ratio:.2f}")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
