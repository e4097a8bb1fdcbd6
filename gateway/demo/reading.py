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

LOOK_SECONDS = 0.25
# line-rules, Before it arrives: prepaid bytes <= quota x (round trip + 100 ms), two steps of 256 KiB at least.
PREPAID_SECONDS = 0.1
LEAST_PREPAID = 512 * 1024


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
    crossed: int
    slots: int


def read_everything(family: Family, stage: Stage, plan: Path, name: str, told: Callable[[Glance], None]) -> Pass:
    """Reads what is planned by sixteen readers at once and returns what that showed.

    Args:
        family: takes the reader's process.
        stage: the two regions.
        plan: the file made by `write_plan`.
        name: the pass, for people.
        told: is told how it is getting on, four times a second.

    Raises:
        ChildEnded: a process of the demonstration ended.
    """
    before = _counted(stage)
    start = time.monotonic()
    reader = family.start(f"reader {name}", [sys.executable, "-m", "gateway.demo.reader", str(plan)], _keys(stage.key))
    progress = _watched(family, stage, reader, told)
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
    trips = [peer["round_trip_seconds"] or 0.0 for peer in stage.away.client().get("status")["peers"]]
    prepaid = max(LEAST_PREPAID, round(line["quota"] * (max(trips, default=0.0) + PREPAID_SECONDS)))
    return Terms(line["quota"], OVERHEAD, line["burst_bytes"], prepaid)


def _watched(family: Family, stage: Stage, reader: Child, told: Callable[[Glance], None]) -> dict[str, Any]:
    last = stage.line.ask()
    while True:
        progress: dict[str, Any] = reader.ask()
        now = stage.line.ask()
        family.check()
        rate = (now["payload"] - last["payload"]) / max(1e-6, now["at"] - last["at"])
        told(Glance(progress["read_bytes"], progress["objects"], progress["answers"], progress["hits"], rate))
        if progress["done"]:
            return progress
        last = now
        time.sleep(LOOK_SECONDS)


def _counted(stage: Stage) -> Counted:
    line = stage.line.ask("slots")
    read = _read_bytes(stage.away.admin)
    return Counted(sum(read.values()), read.get("page", 0), line["payload"], len(line["slots"]))


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
