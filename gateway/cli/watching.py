"""`status`, `explain`, `history`: how a node fares, and why."""

import click

from gateway.cli.client import AdminClient
from gateway.cli.reach import reaching
from gateway.cli.show import json_option, parsed, patience, print_json, print_pairs, print_table, show_moment


@click.command()
@reaching
@json_option
def status(client: AdminClient, as_json: bool) -> None:
    """Show the node at a glance."""
    from gateway.admin.answers import Status
    from gateway.cli.pictures import picture_of

    with patience("asking the node"):
        plain = client.get("status")
    if as_json:
        print_json(plain)
        return
    now = parsed(Status, plain)
    print_pairs(picture_of(now))
    for fault in now.faults:
        click.echo(f"! {fault}")


@click.command()
@click.argument("path")
@reaching
@json_option
def explain(client: AdminClient, path: str, as_json: bool) -> None:
    """Say why PATH is served as it is: mount, version, source, line, rule, pages, waiting."""
    from gateway.admin.answers import Explanation
    from gateway.cli.paths import ns_path
    from gateway.cli.pictures import NODE_HEADINGS, WAY_HEADINGS, explained, node_rows, way_row

    with patience(f"asking about {path}"):
        plain = client.get("explain", {"path": ns_path(path)})
    if as_json:
        print_json(plain)
        return
    found = parsed(Explanation, plain)
    print_pairs(explained(found))
    click.echo()
    print_table(WAY_HEADINGS, [way_row(way) for way in found.ways])
    if nodes := node_rows(found.ways):
        click.echo()
        print_table(NODE_HEADINGS, nodes)


@click.command()
@reaching
@json_option
def history(client: AdminClient, as_json: bool) -> None:
    """Show who applied what, and when."""
    from namespace.store.base import Revision

    with patience("asking the node"):
        plain = client.get("history")
    if as_json:
        print_json(plain)
        return
    rows = [
        (str(kept.number), show_moment(kept.at), kept.author, kept.digest[:12])
        for kept in parsed(tuple[Revision, ...], plain)
    ]
    print_table((">revision", "applied", "by", "digest"), rows)
