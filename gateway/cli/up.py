"""`up`: runs this machine's node until it is told to stop."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.check import PATHS
from gateway.cli.faults import CommandFault
from gateway.cli.reach import DEFAULT_CONFIG

if TYPE_CHECKING:
    from gateway.config import NodeSettings
    from gateway.redact import Redactor


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
    "--adopt",
    is_flag=True,
    help="Take over the namespace that etcd or the service has, whatever this node knew before.",
)
def up(
    config: Path,
    topology: Path | None,
    policy: Path | None,
    log_format: str,
    log_level: str,
    access_log: int,
    roles: str | None,
    adopt: bool,
) -> None:
    """Run this machine's node.

    SIGTERM, SIGHUP or Ctrl-C stop it, and running replies are finished; a second SIGTERM or Ctrl-C cuts them.
    """
    from functools import partial

    from gateway.app import Node
    from gateway.cli.files import read
    from gateway.cli.running import Start, run
    from gateway.logs import configure
    from gateway.roles import RoleFault, chosen

    if policy is not None and topology is None:
        raise click.UsageError("--policy goes with --topology")
    settings = _settings(config)
    redactor = _redactor(settings)
    configure("json" if log_format == "json" else "console", log_level, redactor)
    first = read([path for path in (topology, policy) if path is not None])
    try:
        what = chosen(roles, settings)
    except RoleFault as fault:
        raise CommandFault(str(fault)) from fault
    start: Start = partial(Node.start, access_every=access_log, adopt=adopt, roles=what)
    if what == {"namespace"}:
        from gateway.servicenode import ServiceNode

        start = ServiceNode.start
    raise click.exceptions.Exit(run(start, settings, first))


def _settings(config: Path) -> "NodeSettings":
    from gateway.config import load
    from policy.errors import Faults

    try:
        return load(config)
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
