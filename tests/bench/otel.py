"""What telemetry costs a hit: 1 % of the reads traced and sent to a collector, beside none, in one process.

Two nodes of the same settings differ by more than what is looked for, by where their memory lies. So the same node is
asked with and without: each hundredth request bears a `traceparent` that is sampled. A second node, without telemetry,
shows what its presence costs; a third list of requests, all of them traced, what one traced read costs.
"""

import contextlib
import json
import statistics
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.bench.hits import HITS, Hit, Side, warm
from tests.bench.pairs import Outcome, Run, show
from tests.bench.stage import CLIENT_CORE, SERVER_CORE, origin, own_region, put_many
from tests.bench.wrk import Wrk
from tests.real.lab.load import get
from tests.real.lab.nodes import Node, Place, node
from tests.real.lab.process import answers, child, free_port
from tests.real.lab.regions import BUCKET, HOME, credentials
from tests.real.lab.s3 import S3Server

EVERY = 100
"""One request in so many is traced."""
TRACED = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
BENCHES = {f"otel_{hit.name.removeprefix('hit_')}": hit for hit in HITS if hit.name in {"hit_4k", "hit_100k"}}
WANTED = "<= 1.03"
PAIRS_EACH = 3
"""Pairs for each turn of the other benches, of short rides: what is looked for is smaller than what pairs differ by."""
RIDE_SECONDS = 2.0


def run(names: Sequence[str], directory: Path, turns: int) -> Iterator[Outcome]:
    """Yields the outcome of each bench that is named."""
    chosen = {name: hit for name, hit in BENCHES.items() if name in names}
    if not chosen:
        return
    with origin(directory) as store, _collector(directory) as url:
        # Who is traced is said by the requests alone.
        settings = {"telemetry": {"otlp": url, "sample": "0%", "asked": 1_000_000}}
        with _node(directory / "telling", store, settings) as telling, _node(directory / "silent", store, {}) as silent:
            for name, hit in chosen.items():
                made = put_many(store, f"{hit.name}/", hit.count, hit.size, different=hit.count)
                sides = {
                    "1 % traced": _side(telling, hit, made, EVERY),
                    "none traced": _side(telling, hit, made, 0),
                    "no telemetry": _side(silent, hit, made, 0),
                    "all traced": _side(telling, hit, made, 1),
                }
                yield _compared(name, sides, turns * PAIRS_EACH)
            reads, sent, dropped = _posted(telling)
            print(f"  {reads:.0f} reads, {sent:.0f} spans sent by now, {dropped:.0f} dropped")
        print(f"  {_counted(url)}")


@contextlib.contextmanager
def _collector(directory: Path) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with child(
        "collector", [sys.executable, "-m", "tests.fakes.collector", str(port)], directory, cpu=CLIENT_CORE
    ) as up:
        up.wait_until(answers(url))
        yield url


@contextlib.contextmanager
def _node(directory: Path, store: S3Server, settings: Mapping[str, Any]) -> Iterator[Node]:
    place = Place(HOME, directory)
    with node(place, memory="1GiB", cache="40GiB", cpu=SERVER_CORE, env=credentials(), settings=settings) as running:
        running.apply(own_region(store.url))
        yield running


def _side(at: Node, hit: Hit, made: list[tuple[str, int]], every: int) -> Side:
    """Loads a node; one request in `every` is traced, none where that is 0."""
    directory, key = at.place.directory, at.key(f"{hit.name}-{every}", "bench", "/ns/data")
    warm(at.address, key, made, hit, directory)
    gets = [get(at.address, BUCKET, name, key, size=hit.size, shift=shift) for name, shift in made]
    if every:
        gets = [
            replace(one, headers={**one.headers, **TRACED}) if not number % every else one
            for number, one in enumerate(gets)
        ]
    return Side(Wrk(gets, directory, f"{hit.name}-{every}"), hit, at.address, at.process, RIDE_SECONDS)


def _compared(name: str, sides: Mapping[str, Side], pairs: int) -> Outcome:
    runs: dict[str, list[Run]] = {each: [] for each in sides}
    for pair in range(pairs):
        for each in sides if pair % 2 else reversed(sides):
            runs[each].append(sides[each](pair))
    traced, none, silent, every = ([run.cpu_each for run in some] for some in runs.values())
    ratios = [a / b for a, b in zip(traced, none, strict=True)]
    outcome = Outcome(
        name, statistics.median(traced), "us CPU/request", statistics.median(none), statistics.median(ratios)
    )
    show(outcome, WANTED, {each: [replace(run, note="") for run in some] for each, some in runs.items()})
    low, _, high = statistics.quantiles(ratios, n=4)
    print(f"  1 % beside none, {pairs} pairs: {outcome.ratio:.3f}, half of them in {low:.3f}..{high:.3f}")
    present = statistics.median(a / b for a, b in zip(none, silent, strict=True))
    print(f"  none beside a node without telemetry: {present:.3f}; two like nodes differ by 0.03 too")
    each_read = statistics.median(a - b for a, b in zip(every, none, strict=True))
    share = each_read / outcome.beside / EVERY
    print(f"  a traced read costs {each_read:.0f} us more: 1 % of them {share:.1%} of a read that is not traced")
    return outcome


def _posted(at: Node) -> tuple[float, float, float]:
    """Reads, spans sent, and what was dropped."""
    reads = at.metric("causeway_requests_total", door="s3", operation="GetObject")
    sent = at.metric("causeway_telemetry_total", signal="traces", outcome="sent")
    return reads, sent, at.metric("causeway_telemetry_total", outcome="dropped")


def _counted(url: str) -> str:
    """What the collector has when the nodes have ended and told their last."""
    with urllib.request.urlopen(url, timeout=10) as reply:
        counted = json.loads(reply.read())
    if not counted["spans"].get("s3.GetObject") or not counted["metrics"]:
        raise AssertionError(f"the collector has {counted}: nothing was told, so nothing was measured")
    return f"the collector has {counted['spans']['s3.GetObject']} traced reads and {counted['metrics']} metrics"
