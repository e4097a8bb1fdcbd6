"""`namespace restore`: what etcd has lost is put back from the snapshot on a node's disk."""

import asyncio
import getpass
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.check import PATHS
from gateway.cli.faults import CommandFault
from gateway.cli.reach import config_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.config import NodeSettings
    from namespace.items import Snapshot
    from namespace.store.base import Revision


@click.group()
def namespace() -> None:
    """Look after the namespace where it lies in etcd."""


@namespace.command()
@click.argument("snapshot", type=PATHS)
@config_option
@click.option(
    "--of",
    "region",
    metavar="REGION",
    help="The region whose node kept SNAPSHOT, where the namespace service had told it: its keys are sealed for it.",
)
def restore(snapshot: Path, config: Path | None, region: str | None) -> None:
    """Put back a namespace that etcd has lost, from the SNAPSHOT on a node's disk.

    Run it where --config names that etcd and the seal of its keys. An etcd whose namespace is not empty is refused.
    """
    from gateway import config as settings_of
    from gateway.cli.reach import DEFAULT_CONFIG
    from namespace.errors import NamespaceError
    from namespace.items import Garbled
    from namespace.references import SecretUnreadable
    from namespace.snapshots import snapshot_of

    settings = settings_of.load(config or DEFAULT_CONFIG)
    if settings.etcd is None:
        raise CommandFault("node.yaml names no `etcd`: an embedded namespace is one file, put that back from a copy")
    try:
        found = snapshot_of(snapshot.read_bytes())
        revision, keys, pins = asyncio.run(_refilled(settings, found, region))
    except Garbled as wrong:
        raise CommandFault(f"{snapshot}: {wrong}; the one before is {snapshot}.before") from wrong
    except (NamespaceError, SecretUnreadable) as wrong:
        raise CommandFault(str(wrong)) from wrong
    click.echo(f"revision {revision.number} is in force, with {keys} keys and {pins} pins of {snapshot}")
    click.echo(
        "start each node once by `causeway up --adopt`, and apply topology and policy again: their texts are gone"
    )


async def _refilled(settings: "NodeSettings", found: "Snapshot", region: str | None) -> "tuple[Revision, int, int]":
    from namespace.etcdclient.client import Etcd
    from namespace.etcdclient.errors import EtcdError
    from namespace.store.refilling import refill

    assert settings.etcd is not None
    sealed, author = _sealing(settings, region), f"{getpass.getuser()} (causeway namespace restore)"
    async with Etcd(settings.etcd.access()) as etcd:
        try:
            return await refill(etcd, found, author, time.time(), sealed)
        except EtcdError as fault:
            raise CommandFault(f"etcd: {fault}; run it again") from fault


def _sealing(settings: "NodeSettings", region: str | None) -> "Callable[[str], str]":
    """What a key's item becomes: checked to open, and sealed anew where it was sealed for a region."""
    from namespace import contents
    from namespace.sealing import KEYS, Seal

    reference = settings.namespace.seal or settings.secrets.get(settings.region)
    if reference is None:
        raise CommandFault("node.yaml names no secret that seals keys: name the one of the nodes, as `namespace.seal`")
    closing = Seal(reference.read(), KEYS)
    if region is None:
        opening = closing
    elif region in settings.secrets:
        opening = Seal(settings.secrets[region].read(), KEYS)
    else:
        raise CommandFault(
            f"there is no secret of region {region!r} under `secrets`; known: {', '.join(settings.secrets)}"
        )
    return lambda item: contents.resealed(item, opening, closing)
