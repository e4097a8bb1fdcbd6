"""One pass over everything: the reader is started, watched and judged by what the proxy and the node counted."""

import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from gateway.cli.client import AdminClient
from gateway.demo.children import Child, Family
from gateway.demo.documents import DIRECTION, OVERHEAD
from gateway.demo.reader import Plan
from gateway.demo.stage import Key, Stage
from gateway.demo.verdict import Pass, Terms

LOOK_SECONDS = 0.1
# Looks over which the line's rate is shown: a second's.
RATE_LOOKS = 10


@dataclass(frozen=True, slots=True)
class Glance:
    """How a pass is getting on: bytes and objects read, reads answered and how many of them from the cache, bytes/s of
    payload on the line."""

    read_bytes: int
    objects: int
    answers: int
    hits: int
    line_rate: float


@dataclass(frozen=True, slots=True)
class Counted:
    """What the node of aws-use1 and the proxy had counted at one moment."""

    asked: int
    held: int
    ledger: int
    crossed: int
    slots: int


def read_everything(family: Family, stage: Stage, plan: Path, name: str, told: Callable[[Glance], None]) -> Pass:
    """Reads what is planned by sixteen readers at once and returns what that showed.

    Args:
        family: takes the reader's process.
        stage: the two regions.
        plan: the file made by `write_plan`.
        name: the pass, for people.
        told: is told how it is getting on, ten times a second.

    Raises:
        ChildEnded: a process of the demonstration ended.
    """
    before = _counted(stage)
    start = time.monotonic()
    reader = family.start(f"reader {name}", [sys.executable, "-m", "gateway.demo.reader", str(plan)], _keys(stage.key))
    progress, prepaid = _watched(family, stage, reader, told)
    seconds = time.monotonic() - start
    family.dismiss(reader)
    now = _counted(stage)
    told_by_line = stage.line.ask("slots")
    faults = [*progress["faults"], *(f"the proxy could not count: {fault}" for fault in told_by_line["faults"])]
    return Pass(
        name,
        seconds,
        progress["objects"],
        now.asked - before.asked,
        now.held - before.held,
        now.ledger - before.ledger,
        prepaid,
        now.crossed - before.crossed,
        tuple(map(tuple, told_by_line["slots"][before.slots :])),
        _line(stage)["once_ratio"],
        tuple(faults),
    )


def write_plan(path: Path, plan: Plan) -> Path:
    """Writes what the reader is to read; returns the path."""
    path.write_text(json.dumps(asdict(plan)), "utf-8")
    return path


def terms(stage: Stage) -> Terms:
    """Returns what the line may carry, as aws-use1's node exports it."""
    line = _line(stage)
    return Terms(line["quota"], OVERHEAD, line["burst_bytes"])


class Looks:
    """The node's word on prepaid bytes, look by look. Mutable: the last look, and the most there can have been.

    Between two looks it grows by what may be debited meanwhile, at most: the quota, and a burst.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._at = time.monotonic()
        self._prepaid = 0
        self.most = 0
        self.look()

    def look(self) -> None:
        """Asks the node."""
        asked_at = time.monotonic()
        line = _line(self._stage)
        grown = line["quota"] * (time.monotonic() - self._at) + line["burst_bytes"]
        self.most = max(self.most, line["prepaid_bytes"], self._prepaid + round(grown))
        self._at, self._prepaid = asked_at, line["prepaid_bytes"]


def _watched(family: Family, stage: Stage, reader: Child, told: Callable[[Glance], None]) -> tuple[dict[str, Any], int]:
    """Returns the reader's last word, and the most bytes that can have been prepaid at any moment."""
    # Answered once it has loaded what it reads with: from here on the looks are close together.
    progress: dict[str, Any] = reader.ask()
    seen, looks = [stage.line.ask()], Looks(stage)
    while True:
        progress = reader.ask()
        seen = [*seen[-RATE_LOOKS:], stage.line.ask()]
        looks.look()
        family.check()
        rate = (seen[-1]["payload"] - seen[0]["payload"]) / max(1e-6, seen[-1]["at"] - seen[0]["at"])
        told(Glance(progress["read_bytes"], progress["objects"], progress["answers"], progress["hits"], rate))
        if progress["done"]:
            return progress, looks.most
        time.sleep(LOOK_SECONDS)


def _counted(stage: Stage) -> Counted:
    line = stage.line.ask("slots")
    read = _read_bytes(stage.away.admin)
    ledger = sum(entry["nbytes"] for entry in _line(stage)["ledger"])
    return Counted(sum(read.values()), read.get("page", 0), ledger, line["payload"], len(line["slots"]))


def _read_bytes(admin: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{admin}/metrics", timeout=10) as reply:  # noqa: S310
        families = text_string_to_metric_families(reply.read().decode())
    samples = (sample for family in families for sample in family.samples)
    return {one.labels["source"]: int(one.value) for one in samples if one.name == "causeway_read_bytes_total"}


def _line(stage: Stage) -> dict[str, Any]:
    client: AdminClient = stage.away.client()
    return next(line for line in client.get("lines") if line["direction"] == DIRECTION)


def _keys(key: Key) -> dict[str, str]:
    none = os.devnull
    given = {"AWS_ACCESS_KEY_ID": key.id, "AWS_SECRET_ACCESS_KEY": key.secret, "AWS_EC2_METADATA_DISABLED": "true"}
    return {**given, "AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none}
