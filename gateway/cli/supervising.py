"""A node of several workers from its start to its end: the supervisor's process, and how it reads its settings again.

Loaded in the supervisor, which serves nothing: neither the node's parts nor what they stand on are imported here.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import structlog

from gateway.cli.faults import CommandFault
from gateway.config import NodeSettings, parse
from gateway.workers.locks import NodeRuns, held
from gateway.workers.shares import leftover
from gateway.workers.sockets import AddressTaken, Sockets
from gateway.workers.supervisor import Plan, SettingsRefused, Supervisor
from policy.errors import Faults

Arguments = Callable[[int, bool], Sequence[str]]
Check = Callable[[NodeSettings], object]
FIXED = ("region", "node", "workers", "listen", "etcd")
"""Settings of the supervisor, or of all workers together: a reload cannot change them one by one."""


def supervise(config: Path, workers: int | None, arguments: Arguments, check: Check) -> int:
    """Runs the node; returns its exit code. `check` raises CommandFault for settings that cannot be gone by.

    Raises: CommandFault.
    """
    plan = plan_of(config, workers, arguments)
    paths = plan.settings.cache.directories
    try:
        kept = held(paths)
        sockets = Sockets.open(plan.settings.listen, plan.settings.workers)
    except (NodeRuns, AddressTaken) as fault:
        raise CommandFault(f"node {plan.settings.node} cannot start: {fault}") from fault
    tell_leftovers(plan.settings)

    def again() -> Plan:
        try:
            newer = plan_of(config, workers, arguments)
            check(newer.settings)
        except (CommandFault, OSError) as wrong:
            raise SettingsRefused(str(wrong)) from wrong
        if changed := fixed_changes(plan.settings, newer.settings):
            raise SettingsRefused(
                f"{', '.join(changed)} cannot change while the node runs: stop it, and start it again"
            )
        return newer

    async def supervised() -> int:
        return await Supervisor(plan, again, sockets, kept, click.echo).run()

    return asyncio.run(supervised())


def plan_of(config: Path, workers: int | None, arguments: Arguments) -> Plan:
    """Reads and checks the settings. Raises CommandFault, OSError."""
    try:
        text = config.read_text("utf-8")
        return Plan(parse(text, str(config), config.resolve().parent, workers=workers), text, str(config), arguments)
    except Faults as faults:
        raise CommandFault(str(faults)) from faults
    except UnicodeDecodeError as fault:
        raise CommandFault(f"{config}: not UTF-8; save the file as UTF-8") from fault


def fixed_changes(before: NodeSettings, after: NodeSettings) -> list[str]:
    """Returns the names of settings that a reload cannot change, and that differ."""
    changed = [name for name in FIXED if getattr(before, name) != getattr(after, name)]
    if before.cache.directories != after.cache.directories:
        changed.append("cache.paths")
    return changed


def tell_leftovers(settings: NodeSettings) -> None:
    """Tells an operator of what workers left that the node has no more: it counts in no size. Blocks."""
    for path in settings.cache.directories:
        for folder in leftover(path, settings.workers):
            structlog.stdlib.get_logger("causeway").warning(
                f"{folder} is of a worker that this node has no more: nothing uses what it holds; remove it, or start"
                " with as many workers as before"
            )
