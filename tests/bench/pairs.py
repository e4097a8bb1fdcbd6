"""Pairs in turns: ours, theirs, ours, theirs, five times; medians with spread, and the lines of build/bench.json."""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

TURNS = 5
# Above this the server's core is the limit, and rates compare; below it only CPU per request does.
BUSY = 0.95


@dataclass(frozen=True, slots=True)
class Run:
    """One measured run of one side: `requests` answered in `seconds` of wall for `cpu` seconds of the server."""

    requests: float
    seconds: float
    cpu: float
    note: str = ""

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def busy(self) -> float:
        """How much of its core the server used."""
        return self.cpu / self.seconds

    @property
    def cpu_each(self) -> float:
        """Server CPU (user + system) microseconds per request."""
        return self.cpu / self.requests * 1e6


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the extremes around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        return f"{_shown(self.median)} ({_shown(self.low)}..{_shown(self.high)})"


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line of build/bench.json: ours, and what it is measured beside, in the same unit."""

    name: str
    value: float
    unit: str
    beside: float
    ratio: float


Sides = Mapping[str, Callable[[int], Run]]
"""By name, what runs a side's turn; the first is ours, the second what it is measured beside."""


def in_turns(sides: Sides, turns: int) -> dict[str, list[Run]]:
    """Runs every side once a turn, so that a slow minute of the machine hits all of them."""
    runs: dict[str, list[Run]] = {name: [] for name in sides}
    for turn in range(turns):
        for name, side in sides.items():
            runs[name].append(side(turn))
    return runs


def compare_rates(name: str, runs: Mapping[str, Sequence[Run]]) -> Outcome:
    """Ratio of rates where both servers kept their core busy, else of CPU per request; higher is better."""
    ours, theirs = list(runs.values())[:2]
    if all(statistics.median(run.busy for run in side) >= BUSY for side in (ours, theirs)):
        value, beside = (statistics.median(run.rate for run in side) for side in (ours, theirs))
        return Outcome(name, value, "requests/s", beside, value / beside)
    value, beside = (statistics.median(run.cpu_each for run in side) for side in (ours, theirs))
    return Outcome(name, value, "us CPU/request", beside, beside / value)


def compare_walls(name: str, runs: Mapping[str, Sequence[Run]]) -> Outcome:
    """Ratio of wall seconds; lower is better."""
    ours, theirs = list(runs.values())[:2]
    value, beside = (statistics.median(run.seconds for run in side) for side in (ours, theirs))
    return Outcome(name, value, "s", beside, value / beside)


def show(outcome: Outcome, wanted: str, runs: Mapping[str, Sequence[Run]]) -> None:
    """Prints every side's medians with spread, and the ratio beside what is wanted."""
    title = f"{outcome.name}: ratio {outcome.ratio:.2f} of {outcome.unit}, wanted {wanted}"
    table = Table("", "rate /s", "wall s", "CPU us/request", "core busy", "note", title=title, title_justify="left")
    for side, each in runs.items():
        figures = ([run.rate for run in each], [run.seconds for run in each], [run.cpu_each for run in each])
        busy = statistics.median(run.busy for run in each)
        notes = "; ".join(dict.fromkeys(run.note for run in each if run.note))
        table.add_row(side, *(str(Spread.of(values)) for values in figures), f"{busy:.0%}", notes)
    Console(width=160, soft_wrap=True).print(table)


def write(outcomes: Sequence[Outcome], path: Path) -> None:
    """Writes build/bench.json; lines of benches that were not run this time stay as they were."""
    path.parent.mkdir(exist_ok=True)
    kept = {line["name"]: line for line in json.loads(path.read_text())} if path.exists() else {}
    kept |= {outcome.name: asdict(outcome) for outcome in outcomes}
    path.write_text(json.dumps(list(kept.values()), indent=2) + "\n")
