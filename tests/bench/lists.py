"""Lists: 100,000 keys under one prefix by a raw client, beside the origin's own list; then the same list again."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.bench.pairs import Outcome, Run, compare_walls, in_turns, show
from tests.bench.stage import causeway, origin, origin_keys, put_many
from tests.real.lab.load import list_all
from tests.real.lab.process import Child
from tests.real.lab.regions import BUCKET
from tests.real.lab.sign import Keys

KEYS = 100_000
NAMES = ("list_cold", "list_again")


def run(names: Sequence[str], directory: Path, turns: int) -> Iterator[Outcome]:
    """Yields the outcome of each bench that is named. Each turn's cold list is of a prefix no cache has seen."""
    chosen = [name for name in NAMES if name in names]
    if not chosen:
        return
    with origin(directory) as store, causeway(directory, store) as ours:
        key = ours.key("bench", "bench", "/ns/data")
        for turn in range(turns):
            put_many(store, f"list{turn}/", KEYS, 16, different=4)
        side = listing(ours.address, key, ours.process)
        beside = listing(store.address, origin_keys(store), store.process)
        # Again right after: what all turns list is more than the lists' store holds.
        runs = in_turns({"list_cold": side, "list_again": side, "origin": beside}, turns)
        for name, wanted in (("list_cold", "<= 1.2"), ("list_again", "<= 1 s")):
            if name in chosen:
                pair = {"causeway": runs[name], "origin": runs["origin"]}
                outcome = compare_walls(name, pair)
                show(outcome, wanted, pair)
                yield outcome


def listing(address: str, key: Keys, server: Child) -> Callable[[int], Run]:
    """One side: lists a turn's prefix whole and compares the keys."""

    def list_one(turn: int) -> Run:
        before = server.cpu_seconds()
        found, seconds = list_all(address, BUCKET, f"list{turn}/", key)
        if found != [f"list{turn}/{number:06}".encode() for number in range(KEYS)]:
            raise AssertionError(f"{address} lists {len(found)} keys, wanted {KEYS} in order")
        return Run(1, seconds, server.cpu_seconds() - before)

    return list_one
