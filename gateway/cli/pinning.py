"""`pin`, `unpin`, `free`: what may not leave the cache, and what shall leave it now."""

from typing import TYPE_CHECKING

import click

from gateway.cli.client import AdminClient
from gateway.cli.paths import ns_path
from gateway.cli.reach import reaching
from gateway.cli.show import json_option, parsed, patience, print_json, print_table, show_moment

if TYPE_CHECKING:
    from gateway.admin.answers import Pins


@click.command()
@click.argument("path", required=False)
@reaching
@json_option
def pin(client: AdminClient, path: str | None, as_json: bool) -> None:
    """Keep what is cached of PATH, and all beneath it, from leaving the cache; without PATH list what is pinned.

    What is not cached yet is pinned as it comes. It is refused where more lies there than may be pinned.
    """
    if path is None:
        _list(client, as_json)
        return
    from gateway.admin.answers import Pinned
    from policy.units import show_size

    with patience(f"summing what lies beneath {path}"):
        plain = client.post("cache/pins", query={"path": ns_path(path)})
    if as_json:
        print_json(plain)
        return
    made = parsed(Pinned, plain)
    for warning in made.warnings:
        click.echo(f"warning: {warning}", err=True)
    there = "" if made.pin.nbytes is None else f", {show_size(made.pin.nbytes)} at the origin"
    click.echo(f"{made.pin.path}: pinned{there}; what comes of it stays until `causeway unpin`")


def _list(client: AdminClient, as_json: bool) -> None:
    from gateway.admin.answers import Pins
    from policy.units import show_size

    with patience("asking the node"):
        plain = client.get("cache/pins")
    if as_json:
        print_json(plain)
        return
    pins = parsed(Pins, plain)
    print_table(("pinned", "by", "when", ">at the origin"), _rows(pins))
    click.echo(f"{show_size(pins.held_bytes)} of pinned paths are here; {show_size(pins.room_bytes)} may be")


def _rows(pins: "Pins") -> list[tuple[str, ...]]:
    from policy.units import show_size

    rows: list[tuple[str, ...]] = []
    for rule in pins.rules:
        rows.append((f"{rule.match} ({rule.pin})" if rule.pin != "true" else rule.match, rule.at, "", ""))
        rows += [(f"  {partition}", "", "", "") for partition in rule.newest]
    for made in pins.commands:
        rows.append(
            (made.path, made.author, show_moment(made.at), "?" if made.nbytes is None else show_size(made.nbytes))
        )
    return rows


@click.command()
@click.argument("path")
@reaching
@json_option
def unpin(client: AdminClient, path: str, as_json: bool) -> None:
    """Take the pin of PATH back; what it kept may leave the cache when room is needed."""
    from gateway.admin.answers import Unpinned

    with patience("asking the node"):
        plain = client.delete("cache/pins", {"path": ns_path(path)})
    if as_json:
        print_json(plain)
        return
    done = parsed(Unpinned, plain)
    click.echo(f"{done.pin.path}: not pinned by a command any more")
    if done.still:
        click.echo(f"it is still pinned {done.still}")


@click.command()
@click.argument("path")
@reaching
@click.option("--pinned", is_flag=True, help="Also what is pinned; the pin stays, for what comes again.")
@json_option
def free(client: AdminClient, path: str, pinned: bool, as_json: bool) -> None:
    """Drop what is cached of PATH, and all beneath it, now; the next read brings it again."""
    from gateway.admin.answers import FreedShown
    from policy.units import show_size

    with patience(f"freeing {path}"):
        plain = client.post("cache/free", query={"path": ns_path(path), "pinned": "1" if pinned else "0"})
    if as_json:
        print_json(plain)
        return
    done = parsed(FreedShown, plain)
    click.echo(f"{done.path}: {show_size(done.nbytes)} freed, {done.objects} objects")
    if done.pinned_bytes:
        click.echo(f"{show_size(done.pinned_bytes)} stay because they are pinned; --pinned drops them too")
    for out in done.paths_out:
        click.echo(f"cache path {out} is out: what it holds of this comes back with it; free it again then")
