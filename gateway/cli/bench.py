"""`bench`: the reader's own view of a path, cold and warm."""

import asyncio
import os
import signal
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.faults import CommandFault
from gateway.cli.paths import ns_path
from gateway.cli.reach import DEFAULT_CONFIG, client, config_option
from gateway.cli.show import Seconds, json_option, patience, print_json, print_table

if TYPE_CHECKING:
    from gateway.bench.passes import Bounds
    from gateway.bench.plan import Pass
    from regioncache.http.client import Base
    from regioncache.http.sigv4 import Credentials

INTERRUPTED = 130
DEFAULT_URL = "http://127.0.0.1:9000"
MOST_OBJECTS = 10_000
"""That are listed beneath a path."""
HEADINGS = ("pass", ">reads", ">bytes", ">rate", ">first p50", ">p99", ">whole p50", ">p99", "from", "waited for lines")


def _size(_ctx: click.Context, option: click.Parameter, text: str | None) -> int | None:
    from policy.errors import UnitError
    from policy.units import size

    if text is None:
        return None
    try:
        found = size(text)
    except UnitError as wrong:
        raise click.BadParameter(str(wrong), param=option) from wrong
    if found <= 0:
        raise click.BadParameter("a size above 0", param=option)
    return found


def _class(_ctx: click.Context, option: click.Parameter, name: str) -> str:
    from namespace.keys import CLASSES

    if name and name not in CLASSES:
        raise click.BadParameter(f"{name!r} is not known; known: {', '.join(CLASSES)}", param=option)
    return name


@click.command()
@click.argument("path")
@click.option(
    "--s3", metavar="URL", envvar="CAUSEWAY_S3", help=f"The S3 door. Default: --config's, else {DEFAULT_URL}."
)
@click.option(
    "--access-key", metavar="ID", envvar="AWS_ACCESS_KEY_ID", help="The key to read with; its secret is taken from"
    " AWS_SECRET_ACCESS_KEY or --secret-file, never from the command line.",
)  # fmt: skip
@click.option("--secret-file", type=click.Path(dir_okay=False, path_type=Path), help="File with the key's secret.")
@click.option("--readers", type=click.IntRange(1, 256), default=4, show_default=True, help="Reads at the same time.")
@click.option("--range", "range_bytes", metavar="SIZE", callback=_size, help="Read in ranges of SIZE, as 64KiB.")
@click.option("--random", "at_random", is_flag=True, help="In a random order, the same each time.")
@click.option("--seconds", type=Seconds(0.1, 3600), default=10.0, show_default=True, help="Longest pass.")
@click.option(
    "--bytes", "most", metavar="SIZE", default="1GiB", show_default=True, callback=_size, help="Largest pass."
)
@click.option("--free", is_flag=True, help="First drop what is cached of PATH, pinned or not, as an administrator.")
@click.option("--admin", metavar="URL", envvar="CAUSEWAY_ADMIN", help="The node's admin port, for --free.")
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the token, for --free.",
)
@click.option(
    "--class", "cls", default="", callback=_class, help="Class to ask for, if the key may. Default: the key's own."
)
@config_option
@json_option
def bench(path: str, config: Path | None, as_json: bool, **asked: Any) -> None:
    """Read PATH as it is now, or freed (cold), then again (warm), and show what a reader sees.

    PATH is an object, or the beginning of some. Reads go through the S3 door like any client's and are billed to the
    key's tenant. Ctrl-C ends it and shows what was seen so far.
    """
    import uvloop

    from gateway.bench.passes import Bounds
    from gateway.bench.reader import DoorFault

    base, key = _base(asked["s3"], config), _key(asked["access_key"], asked["secret_file"])
    if asked["free"]:
        node = client(asked["admin"], asked["token_file"], config)
        with patience(f"freeing {path}"):
            node.post("cache/free", query={"path": ns_path(path), "pinned": "1"})
    bounds = Bounds(asked["readers"], asked["seconds"], asked["most"])
    reading = _run(ns_path(path), base, key, bounds, asked)
    try:
        with patience(f"reading {path}"), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            passes, stopped = runner.run(reading)
    except DoorFault as fault:
        raise CommandFault(str(fault)) from fault
    if as_json:
        print_json(
            {"path": ns_path(path), "s3": str(base), "readers": bounds.readers, "passes": list(map(asdict, passes))}
        )
    else:
        _show(passes)
    if stopped:
        raise click.exceptions.Exit(INTERRUPTED)
    judge(passes, bounds.seconds)


def judge(passes: "Sequence[Pass]", seconds: float) -> None:
    """Raises CommandFault where reads failed, or nothing came within the `seconds` of a pass."""
    failed = sum(one.failed for one in passes)
    if not failed and not any(one.nbytes or one.reads for one in passes):
        slowed = sum(one.slowed_down for one in passes)
        raise CommandFault(f"nothing came within {seconds:g} s, {slowed} times told to come again: see the node's log")
    if failed:
        raise CommandFault(f"{failed} reads failed; the first: {next(one.fault for one in passes if one.fault)}")


async def _run(
    path: str, base: "Base", key: "Credentials", bounds: "Bounds", asked: dict[str, Any]
) -> "tuple[list[Pass], bool]":
    from gateway.bench.passes import Bench
    from gateway.bench.plan import planned
    from gateway.bench.reader import Door, DoorFault
    from regioncache.http.client import Client
    from regioncache.http.limits import ClientLimits

    client = Client(
        ClientLimits(connections=bounds.readers + 1, idle=bounds.readers + 1),
        tls=_authorities() if base.scheme == "https" else None,
    )
    try:
        run = Bench(Door(base, key, client, asked["cls"]), bounds)
        found = [one async for one in run.door.find(path, MOST_OBJECTS)]
        reads = planned(found, asked["range_bytes"], bounds.nbytes, bounds.readers, at_random=asked["at_random"])
        if not reads:
            raise DoorFault(f"{path} is not there, or the key may not see it")
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, run.stop.set)
        return await run.run(reads), run.stop.is_set()
    finally:
        client.close()


def _authorities() -> Any:
    import ssl

    context = ssl.create_default_context()
    named = os.environ.get("CAUSEWAY_CA")
    try:
        if named:
            context.load_verify_locations(named)
    except OSError as fault:
        raise CommandFault(f"CAUSEWAY_CA {named} cannot be used ({fault}); name a PEM file") from fault
    return context


def _base(url: str | None, config: Path | None) -> "Base":
    from regioncache.http.client import Base

    try:
        return Base.parse(url or _of_config(config) or DEFAULT_URL)
    except ValueError as wrong:
        raise CommandFault(f"{wrong}; name the S3 door by --s3 or CAUSEWAY_S3") from wrong


def _of_config(config: Path | None) -> str | None:
    if config is None and not DEFAULT_CONFIG.exists():
        return None
    from gateway.config import load
    from policy.errors import Faults

    try:
        listener = load(config or DEFAULT_CONFIG).listen.s3
    except Faults as faults:
        raise CommandFault(str(faults)) from faults
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(listener.address.host)  # noqa: S104
    if not listener.address.port:
        return None
    return listener.url if host is None else f"{listener.url.split('//')[0]}//{host}:{listener.address.port}"


def _key(access_key: str | None, secret_file: Path | None) -> "Credentials":
    from regioncache.http.sigv4 import Credentials

    secret = secret_file.read_text().strip() if secret_file is not None else os.environ.get("AWS_SECRET_ACCESS_KEY", "")
    if not access_key or not secret:
        raise CommandFault(
            "bench reads with an access key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as `causeway keys add`"
            " prints them, or name them by --access-key and --secret-file"
        )
    return Credentials(access_key, secret)


def _show(passes: "list[Pass]") -> None:
    print_table(HEADINGS, [_row(one) for one in passes])
    for one in passes:
        if one.cut_off:
            click.echo(f"{one.name}: {_reads(one.cut_off)} cut off when the pass was over")
        if one.slowed_down:
            click.echo(f"{one.name}: told {one.slowed_down} times to come again, which counts as waiting")


def _row(one: "Pass") -> tuple[str, ...]:
    from policy.units import show_duration, show_rate, show_size

    share = {source: count / sum(one.sources.values()) for source, count in one.sources.items()}
    waited = f"{_reads(one.waited)}, {show_duration(one.waited_seconds.most)} at most: {', '.join(one.lines)}"
    times = (one.first.p50, one.first.p99, one.whole.p50, one.whole.p99)
    return (
        one.name,
        str(one.reads),
        show_size(one.nbytes),
        show_rate(one.rate),
        *(show_duration(seconds) if seconds else "-" for seconds in times),
        ", ".join(f"{source} {part:.0%}" for source, part in share.items()) or "-",
        waited if one.waited else "-",
    )


def _reads(count: int) -> str:
    return "1 read" if count == 1 else f"{count} reads"
