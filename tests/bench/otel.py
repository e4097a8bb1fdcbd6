"""What telemetry costs a hit: the same node with and without it, 1 % of the reads traced and sent to a collector.

In pairs, in both orders by turns: what is compared is the server's CPU for each request within a pair. On a machine
that others use the pairs differ by more than what is looked for; so a third node traces all of its reads, which shows
what one traced read costs a hundred times as clearly.
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

from tests.bench.hits import HITS, Hit, Side, side, warm
from tests.bench.pairs import Outcome, Run, show
from tests.bench.stage import CLIENT_CORE, SERVER_CORE, origin, own_region, put_many
from tests.real.lab.nodes import Node, Place, node
from tests.real.lab.process import answers, child, free_port
from tests.real.lab.regions import HOME, credentials
from tests.real.lab.s3 import S3Server

SAMPLE = "1%"
BENCHES = {f"otel_{hit.name.removeprefix('hit_')}": hit for hit in HITS if hit.name in {"hit_4k", "hit_100k"}}
WANTED = "<= 1.03"
PAIRS_EACH = 4
"""Pairs for each turn of the other benches, of short rides: what is looked for is smaller than what pairs differ by."""
RIDE_SECONDS = 2.0


def run(names: Sequence[str], directory: Path, turns: int) -> Iterator[Outcome]:
    """Yields the outcome of each bench that is named."""
    chosen = {name: hit for name, hit in BENCHES.items() if name in names}
    if not chosen:
        return
    with origin(directory) as store, _collector(directory) as url:
        with contextlib.ExitStack() as stack:
            settings = {"with": _telemetry(url, SAMPLE), "without": {}, "all": _telemetry(url, "100%")}
            nodes = {each: stack.enter_context(_node(directory / each, store, said)) for each, said in settings.items()}
            for name, hit in chosen.items():
                made = put_many(store, f"{hit.name}/", hit.count, hit.size, different=hit.count)
                sides = {each: _side(at, hit, made) for each, at in nodes.items()}
                yield _compared(name, sides, turns * PAIRS_EACH)
            told = {each: _posted(nodes[each]) for each in ("with", "all")}
            for each, (reads, sent, dropped) in told.items():
                print(f"  {each}: {reads:.0f} reads, {sent:.0f} spans sent by now, {dropped:.0f} dropped")
        print(f"  {_counted(url)}")


def _telemetry(url: str, sample: str) -> dict[str, Any]:
    return {"telemetry": {"otlp": url, "sample": sample}}


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


def _side(at: Node, hit: Hit, made: list[tuple[str, int]]) -> Side:
    key = at.key(hit.name, "bench", "/ns/data")
    directory = at.place.directory
    warm(at.address, key, made, hit, directory)
    return replace(side(directory, hit, made, at.address, key, at.process), seconds=RIDE_SECONDS)


def _compared(name: str, sides: Mapping[str, Side], pairs: int) -> Outcome:
    runs: dict[str, list[Run]] = {each: [] for each in sides}
    for pair in range(pairs):
        for each in sides if pair % 2 else reversed(sides):
            runs[each].append(sides[each](pair))
    ratios = [ours.cpu_each / plain.cpu_each for ours, plain in zip(runs["with"], runs["without"], strict=True)]
    value, beside = (statistics.median(run.cpu_each for run in runs[each]) for each in ("with", "without"))
    outcome = Outcome(name, value, "us CPU/request", beside, statistics.median(ratios))
    show(outcome, WANTED, {each: [replace(run, note="") for run in some] for each, some in runs.items()})
    low, _, high = statistics.quantiles(ratios, n=4)
    print(f"  with / without of {pairs} pairs: {statistics.median(ratios):.3f}, half of them in {low:.3f}..{high:.3f}")
    each_read = statistics.median(a.cpu_each - b.cpu_each for a, b in zip(runs["all"], runs["without"], strict=True))
    share = each_read / beside / 100
    print(f"  a traced read costs {each_read:.0f} us more: {SAMPLE} of them {share:.1%} of a read that is not traced")
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
