"""`up`: runs this machine's node until it is told to stop."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli import garbage
from gateway.cli.check import PATHS
from gateway.cli.faults import CommandFault
from gateway.cli.reach import DEFAULT_CONFIG

if TYPE_CHECKING:
    from gateway.config import NodeSettings
    from gateway.redact import Redactor
    from gateway.workers.order import Order
    from namespace.keeping import Adopt

FIRST_FILES = ("--topology", "--policy")


@click.command()
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="CAUSEWAY_CONFIG",
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The node's settings.",
)
@click.option("--topology", type=PATHS, help="Topology to put in force at the first start.")
@click.option("--policy", type=PATHS, help="Policy to put in force with it.")
@click.option("--log-format", type=click.Choice(["json", "console"]), default="console", show_default=True)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.option(
    "--access-log",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    metavar="N",
    help="Log one answered request in N, and every fault of ours; 0 = only those.",
)
@click.option(
    "--roles",
    metavar="ROLES",
    help="Of cache, s3, admin, namespace, with commas; `namespace` alone is a service without a cache. Default: all"
    " that node.yaml makes sense of.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Processes of this node under a supervisor; more than one want `etcd`. Default: what node.yaml says, else 1.",
)
@click.option(
    "--adopt",
    is_flag=True,
    help="Take over the namespace that etcd or the service has, whatever this node knew before, unless it is empty.",
)
@click.option(
    "--adopt-empty",
    is_flag=True,
    help="Take it over even if it is empty: paths, keys and pins that this node knew are gone then.",
)
def up(
    *,
    config: Path,
    topology: Path | None,
    policy: Path | None,
    log_format: str,
    log_level: str,
    access_log: int,
    roles: str | None,
    workers: int | None,
    adopt: bool,
    adopt_empty: bool,
) -> None:
    """Run this machine's node.

    SIGTERM, SIGHUP or Ctrl-C stop it, and running replies are finished; a second SIGTERM or Ctrl-C cuts them. With
    several workers SIGHUP reads the settings again and restarts the workers one by one.
    """
    garbage.hold_off()
    from gateway.logs import configure
    from gateway.workers import order

    if policy is not None and topology is None:
        raise click.UsageError("--policy goes with --topology")
    given = order.taken()
    settings = _settings(config, workers) if given is None else _as_checked(given, workers)
    redactor = _redactor(settings)
    configure(
        "json" if log_format == "json" else "console",
        log_level,
        redactor,
        worker=None if given is None else given.number,
    )
    if settings.workers > 1 and given is None:
        raise click.exceptions.Exit(_supervise(config, workers, settings, roles))
    files = [path for path in (topology, policy) if path is not None]
    taking: Adopt = "empty" if adopt_empty else "filled" if adopt else ""
    raise click.exceptions.Exit(_serve(settings, given, files, roles, access_log, taking))


def _serve(
    settings: "NodeSettings",
    given: "Order | None",
    files: list[Path],
    roles: str | None,
    access_log: int,
    adopt: "Adopt",
) -> int:
    """Runs the node, or a worker of it, until its end."""
    from functools import partial

    from gateway.app import Node
    from gateway.cli.files import read
    from gateway.cli.running import Start, announced, ready_line, run
    from gateway.roles import RoleFault, chosen
    from gateway.workers.shares import leftover

    first = read(files)
    try:
        what = chosen(roles, settings)
    except RoleFault as fault:
        raise CommandFault(str(fault)) from fault
    if given is not None:
        from gateway.workers.part import Part

        part = Part(given, settings)
        # One process of a node serves the namespace: at `listen.control` as it is said.
        mine = what if not given.number else what - {"namespace"}
        worker = partial(Node.start, access_every=access_log, adopt=adopt, roles=mine, part=part)
        return run(worker, part.settings, first, lambda _, asked: part.link.ready(ready_line(settings, asked)))
    for path in settings.cache.directories:
        if leftover(path, 1):
            _tell_leftovers(settings)
    start: Start = partial(Node.start, access_every=access_log, adopt=adopt, roles=what)
    if what == {"namespace"}:
        from gateway.servicenode import ServiceNode

        start = ServiceNode.start
    return run(start, settings, first, announced)


def _supervise(config: Path, workers: int | None, settings: "NodeSettings", roles: str | None) -> int:
    from gateway.cli.supervising import supervise

    if roles is not None or not settings.cache.paths:
        raise CommandFault(
            "several workers have all roles that node.yaml makes sense of: leave --roles out, and name `cache`, or say"
            " --workers 1"
        )
    return supervise(config, workers, _arguments, _redactor)


def _arguments(number: int, first: bool) -> list[str]:
    """The command line of a worker: the supervisor's own; files for the first start go to the first worker alone."""
    return sys.argv[1:] if first and not number else _without_files(sys.argv[1:])


def _without_files(arguments: list[str]) -> list[str]:
    kept: list[str] = []
    of_file = False
    for one in arguments:
        if of_file:
            of_file = False
        elif one in FIRST_FILES:
            of_file = True
        elif one.partition("=")[0] not in FIRST_FILES:
            kept.append(one)
    return kept


def _as_checked(given: "Order", workers: int | None) -> "NodeSettings":
    """The settings of a worker: as its supervisor checked them, whatever the file says by now."""
    from gateway.config import parse
    from gateway.workers.order import settings_text

    return parse(settings_text(given), given.file, Path(given.file).resolve().parent, workers=workers)


def _tell_leftovers(settings: "NodeSettings") -> None:
    from gateway.cli.supervising import tell_leftovers

    tell_leftovers(settings)


def _settings(config: Path, workers: int | None) -> "NodeSettings":
    from gateway.config import load
    from policy.errors import Faults

    try:
        return load(config, workers)
    except FileNotFoundError as absent:
        raise CommandFault(
            f"{config}: no such file; write the node's settings there, or name them by --config"
        ) from absent
    except Faults as faults:
        raise CommandFault(str(faults)) from faults


def _redactor(settings: "NodeSettings") -> "Redactor":
    """Reads every secret once: the log must hide it, and an unreadable one is a fault now rather than at night."""
    from gateway.admin.token import TokenUnusable, read_or_draw
    from gateway.redact import Redactor
    from namespace.references import SecretUnreadable

    redactor = Redactor()
    try:
        for region, secret in settings.secrets.items():
            try:
                redactor.learn(secret.read())
            except SecretUnreadable as fault:
                raise CommandFault(f"secrets.{region}: {fault}") from fault
        for header, secret in (settings.telemetry.headers if settings.telemetry else {}).items():
            try:
                redactor.learn(secret.read())
            except SecretUnreadable as fault:
                raise CommandFault(f"telemetry.headers.{header}: {fault}") from fault
        if settings.cache.paths:
            redactor.learn(read_or_draw(settings.token_file))
        if settings.namespace.seal is not None:
            redactor.learn(settings.namespace.seal.read())
    except TokenUnusable as fault:
        raise CommandFault(str(fault)) from fault
    return redactor
