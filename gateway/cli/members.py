"""`members`, `members remove`, `drain`: the region's cluster."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from gateway.cli.client import AdminClient
from gateway.cli.faults import CommandFault
from gateway.cli.reach import reaching
from gateway.cli.show import json_option, parsed, patience, print_json, print_table

LOOK_SECONDS = 0.5
HEADINGS = ("member", "state", ">process", "peer", "s3", "admin", ">capacity", ">owns", ">heard", ">its view")


def _unless_more_is_asked(command: Callable[..., None]) -> Callable[..., None]:
    """Of a group: the command is what it does without a subcommand."""

    @wraps(command)
    def shown(**arguments: Any) -> None:
        if click.get_current_context().invoked_subcommand is None:
            command(**arguments)

    return shown


@click.group(invoke_without_command=True)
@_unless_more_is_asked
@reaching
@json_option
def members(client: AdminClient, as_json: bool) -> None:
    """Show the members of the region's cluster: state, addresses, what each owns, when it was last heard."""
    from gateway.admin.clusteranswers import MembersShown
    from gateway.cli.pictures import member_row

    with patience("asking the node"):
        plain = client.get("members")
    if as_json:
        print_json(plain)
        return
    found = parsed(MembersShown, plain)
    print_table(HEADINGS, [member_row(one) for one in found.members])
    if found.epoch:
        click.echo(f"\nview epoch {found.epoch} of cluster {found.cluster} in {found.region}")
    if found.away:
        click.echo(f"! {found.away}")


@members.command("remove")
@click.argument("name")
@reaching
def remove(client: AdminClient, name: str) -> None:
    """Take the dead member NAME out: what it owned is others', and its room on lines is free again.

    One that is alive is refused: `causeway drain` lets it leave. One whose machine is only cut off from the network may
    go on using its lines for as long as its grants last; be sure that it is dead.
    """
    with patience("asking the node"):
        removed = client.delete("members", {"name": name})
    if removed["was"]:
        click.echo(f"{name}: removed; it joins again when it is started")
    else:
        click.echo(f"{name}: was no member any more; its room on lines is free again")


@click.command()
@click.argument("node", required=False, default="")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until it has left.")
@reaching
@json_option
def drain(client: AdminClient, node: str, wait: bool, as_json: bool) -> None:
    """Have NODE (default: the one that is asked) hand over what it owns, and leave the cluster.

    Nothing of it is brought over a line again. The node goes on serving its clients through the others; once it has
    left it may be stopped, and it joins again when it is started. Ctrl-C ends the waiting, not the leaving.
    """
    with patience("asking the node"):
        draining = client.post("drain", query={"node": node})
    names = draining["members"]
    if wait:
        with patience(f"{', '.join(names)} hands over what it owns"):
            _wait(client, names)
    if as_json:
        print_json(draining)
        return
    click.echo(f"{draining['node']}: {'has left; it may be stopped' if wait else 'is leaving; see `causeway members`'}")


def _wait(client: AdminClient, names: list[str]) -> None:
    """Returns once none of them is a member; raises CommandFault where one has given up leaving."""
    seen: set[str] = set()
    while True:
        states = {one["name"]: one["state"] for one in client.get("members")["members"]}
        if not any(name in states for name in names):
            return
        seen |= {name for name in names if states.get(name) == "leaving"}
        if given_up := [name for name in seen if states.get(name) == "active"]:
            raise CommandFault(f"{', '.join(given_up)} could not leave, and owns what it did: see its log")
        time.sleep(LOOK_SECONDS)
