"""`demo`: two regions on this machine, a line of 200 Mbit/s between them, and the promises shown on real bytes."""

import json
import os
import secrets
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.faults import CommandFault

if TYPE_CHECKING:
    from gateway.demo.children import Family
    from gateway.demo.documents import Store
    from gateway.demo.ending import Ending
    from gateway.demo.samples import Sample
    from gateway.demo.stage import Stage
    from gateway.demo.view import View

MOST_FILES = 1500
"""As many as moto_server, one slow process, answers in the time that 300 MB take on the line."""
PARQUET = "table"
# What a file system takes for the smallest file.
BLOCK_BYTES = 4096


class Size(click.ParamType[int]):
    """A number of bytes with its unit."""

    name = "size"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parses `300MB`."""
        from policy.errors import UnitError
        from policy.units import size

        try:
            return size(value)
        except UnitError as wrong:
            self.fail(str(wrong), param, ctx)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asked for. Sizes are bytes."""

    seed: int
    files: int
    size: int
    table: int
    origin: str | None
    bucket: str | None
    keep: bool


@click.command()
@click.option("--seed", type=int, default=1, show_default=True, help="Chooses the files and fills the table.")
@click.option("--files", type=click.IntRange(1, MOST_FILES), default=MOST_FILES, show_default=True, help="At most.")
@click.option("--size", type=Size(), default="300MB", show_default=True, help="Bytes of all files, at most.")
@click.option("--table", type=Size(), default="50MB", show_default=True, help="Bytes of the Parquet dataset.")
@click.option(
    "--origin",
    metavar="URL",
    help="Your own S3 store instead of moto_server; keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
)
@click.option("--bucket", metavar="NAME", help="A bucket that exists there; default: one is made, and removed.")
@click.option("--keep", is_flag=True, help="Leave everything running until Ctrl-C, and say how to try it by hand.")
def demo(**asked: object) -> None:
    """Show two regions, a line and a quota on this machine.

    Starts a bucket and a node as region idc-bj, a node as region aws-use1, and a line of 200 Mbit/s between them by
    policy. Files and a Parquet dataset are put into the bucket and read through aws-use1, cold and then warm, by boto3
    and pyarrow; every byte is compared. A proxy outside the program counts what crosses the line. Nothing is left
    behind.
    """
    wish = Wish(**asked)  # type: ignore[arg-type]
    if wish.bucket and not wish.origin:
        raise click.UsageError("--bucket goes with --origin")
    missing = [name for name in ("pyarrow", "moto") if find_spec(name) is None and not (name == "moto" and wish.origin)]
    if missing:
        raise CommandFault(f"the demonstration needs {' and '.join(missing)}: pip install 'causeway[demo]'")
    from gateway.demo.ending import Ending

    ending = Ending()
    with ending.hearing(), tempfile.TemporaryDirectory(prefix="causeway-demo-") as directory:
        _run(wish, Path(directory), ending)


def _run(wish: Wish, directory: Path, ending: "Ending") -> None:
    from rich.console import Console

    from gateway.demo import samples
    from gateway.demo.children import ChildEnded, Family
    from gateway.demo.view import View

    files = samples.choose(samples.installed(), wish.files, wish.size, wish.seed)
    table = samples.write_table(directory / PARQUET, wish.table, wish.seed)
    try:
        with View(Console()) as view, Family(directory) as family:
            store = _store(wish, family)
            with _filled(view, family, store, [*files, *table]), ending.deaf_afterwards():
                regions = _two_regions(view, family, directory, store, [*files, *table])
                faults = _shown(view, family, regions, _plan(directory, regions, files, table))
                if wish.keep:
                    _keep(view, family, regions, directory, faults)
                if faults:
                    raise CommandFault("\n".join(faults))
    except ChildEnded as ended:
        raise CommandFault(str(ended)) from ended


@contextmanager
def _filled(view: "View", family: "Family", store: "Store", objects: "Sequence[Sample]") -> Iterator[None]:
    from gateway.demo.store import filled

    total = sum(sample.size for sample in objects)
    with ExitStack() as stack:
        with view.step("idc-bj, its bucket", total) as step:
            stack.enter_context(filled(store, objects, step.advance, family.check))
            step.outcome = f"{len(objects):,} objects, {total:,} bytes put straight into {store.url}/{store.bucket}"
        yield


def _two_regions(
    view: "View", family: "Family", directory: Path, store: "Store", objects: "Sequence[Sample]"
) -> "Stage":
    from gateway.demo.documents import QUOTA
    from gateway.demo.stage import build

    # A page of each small object is a file system's block at least.
    room = sum(sample.size + BLOCK_BYTES for sample in objects)
    regions = build(family, directory, store, room)
    view.say(f"idc-bj, its node: {regions.home.s3}")
    view.say(f"aws-use1, its node: {regions.away.s3}, over a line of {QUOTA}")
    return regions


def _shown(view: "View", family: "Family", regions: "Stage", plan: Path) -> list[str]:
    """Reads everything cold and warm and shows the figures; returns a line for each promise that did not hold."""
    from gateway.demo.reading import read_everything, terms
    from gateway.demo.verdict import broken

    allowed = terms(regions)
    total = json.loads(plan.read_text("utf-8"))["total_bytes"]
    passes = []
    for name in ("cold", "warm"):
        with view.step(f"aws-use1, read {name}", total) as step:
            done = read_everything(family, regions, plan, name, partial(step.glance, terms=allowed))
            step.outcome = f"16 readers, {done.seconds:.1f} s, {done.crossed:,} bytes crossed the line"
        passes.append(done)
    view.table(passes, allowed)
    faults = broken(passes, allowed)
    if faults:
        for node in (regions.home, regions.away):
            faults += [f"{node.region} says: {fault}" for fault in node.client().get("status")["faults"]]
    return faults


def _store(wish: Wish, family: "Family") -> "Store":
    from gateway.demo.documents import Store
    from gateway.demo.stage import start_store

    name = f"causeway-demo-{secrets.token_hex(4)}"
    if wish.origin is None:
        return start_store(family, name)
    try:
        keys = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    except KeyError as absent:
        raise CommandFault(f"--origin {wish.origin}: set {absent.args[0]} in the environment") from absent
    exists = wish.bucket is not None
    return Store(wish.origin.rstrip("/"), wish.bucket or name, f"{name}/", *keys, exists=exists, lasts=True)


def _plan(directory: Path, regions: "Stage", files: "Sequence[Sample]", table: "Sequence[Sample]") -> Path:
    from gateway.demo.documents import MOUNT
    from gateway.demo.reader import Plan
    from gateway.demo.reading import write_plan

    beneath = MOUNT.removeprefix("/ns/")
    plan = Plan(
        regions.away.s3,
        "ns",
        tuple((f"{beneath}/{sample.key}", str(sample.file), sample.size) for sample in files),
        f"{beneath}/{PARQUET}",
        str(directory / PARQUET),
        sum(sample.size for sample in table),
        sum(sample.size for sample in (*files, *table)),
    )
    return write_plan(directory / "plan.json", plan)


def _keep(view: "View", family: "Family", regions: "Stage", directory: Path, faults: Sequence[str]) -> None:
    """Leaves everything running until Ctrl-C, or the end of a process."""
    from gateway.demo.hints import by_hand

    for fault in faults:
        view.say(f"! {fault}")
    view.say(by_hand(regions, directory))
    nap = threading.Event()
    try:
        while not nap.wait(0.5):
            family.check()
    except KeyboardInterrupt:
        view.say("ending everything")
