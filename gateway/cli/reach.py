"""Which node a command talks to, and with which token.

URL: --admin (--to, where it may be given again), CAUSEWAY_ADMIN, the admin listener of --config, else 127.0.0.1:9200.
Token: --token-file, CAUSEWAY_TOKEN, `admin.token` in the first cache path of --config. It never stands on a command
line, where `ps` shows it.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.cli.client import AdminClient
from gateway.cli.faults import CommandFault

DEFAULT_CONFIG = Path("/etc/causeway/node.yaml")
DEFAULT_URL = "http://127.0.0.1:9200"

Command = TypeVar("Command", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Node:
    """What a node.yaml says of the way to its admin port."""

    url: str | None
    token_file: Path


def config_option(command: Command) -> Command:
    """Adds --config."""
    return click.option(
        "--config",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="CAUSEWAY_CONFIG",
        help=f"The node's settings. Default: CAUSEWAY_CONFIG, else {DEFAULT_CONFIG}.",
    )(command)


def nodes_options(command: Command) -> Command:
    """Adds --to (or --admin, as everywhere) and --token-file of commands that may go to several nodes."""
    command = click.option(
        "--to",
        "--admin",
        "urls",
        multiple=True,
        metavar="URL",
        help="A node's admin port; again for each region. Default: CAUSEWAY_ADMIN, else the node of --config.",
    )(command)
    return click.option(
        "--token-file",
        "token_files",
        multiple=True,
        type=click.Path(dir_okay=False, path_type=Path),
        help="File with the token for each --to, in the same order; one for all if given once.",
    )(command)


def reaching(command: Callable[..., None]) -> Callable[..., None]:
    """Adds --admin, --token-file and --config; the command's first argument is the client they lead to."""

    @wraps(command)
    def reached(admin: str | None, token_file: Path | None, config: Path | None, **arguments: Any) -> None:
        command(client(admin, token_file, config), **arguments)

    for option in (
        click.option("--admin", metavar="URL", envvar="CAUSEWAY_ADMIN", help="The node's admin port."),
        click.option(
            "--token-file",
            type=click.Path(dir_okay=False, path_type=Path),
            help="File with the administrators' token. Default: CAUSEWAY_TOKEN, else admin.token of the node.",
        ),
    ):
        reached = option(reached)
    return config_option(reached)


def client(admin: str | None, token_file: Path | None, config: Path | None) -> AdminClient:
    """Returns a client for one node. Raises CommandFault naming what is missing."""
    token = token_of(token_file)
    node = None if admin and token else read_node(config)
    return AdminClient(
        admin or (node.url if node and node.url else DEFAULT_URL),
        token or _node_token(node),
        os.environ.get("CAUSEWAY_CA"),
    )


def token_of(token_file: Path | None) -> str | None:
    """Returns the token in the file, else in CAUSEWAY_TOKEN, else None. Raises CommandFault."""
    if token_file is not None:
        return _read_token(token_file)
    return os.environ.get("CAUSEWAY_TOKEN", "").strip() or None


def read_node(config: Path | None) -> Node | None:
    """Returns what --config says, None where there is none and the default place is empty. Raises CommandFault."""
    if config is None and not DEFAULT_CONFIG.exists():
        return None
    from gateway.config import load
    from policy.errors import Faults

    try:
        settings = load(config or DEFAULT_CONFIG)
    except Faults as faults:
        raise CommandFault(str(faults)) from faults
    listener = settings.listen.admin
    if not listener.address.port:
        return Node(None, settings.token_file)
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(listener.address.host)  # noqa: S104
    url = listener.url if host is None else f"{listener.url.split('//')[0]}//{host}:{listener.address.port}"
    return Node(url, settings.token_file)


def _node_token(node: Node | None) -> str:
    if node is None:
        raise CommandFault("no administrators' token: set CAUSEWAY_TOKEN, or name the node's settings by --config")
    return _read_token(node.token_file)


def _read_token(path: Path) -> str:
    from gateway.admin.token import TokenUnusable, read

    try:
        return read(path)
    except FileNotFoundError as absent:
        raise CommandFault(f"there is no token at {path}: `causeway up` writes it at its first start") from absent
    except TokenUnusable as unusable:
        raise CommandFault(str(unusable)) from unusable
