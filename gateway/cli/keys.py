"""`keys add`, `keys ls`, `keys rm`: who may read what."""

from pathlib import Path
from typing import Any

import click

from gateway.cli.apply import clients_of, each
from gateway.cli.faults import CommandFault
from gateway.cli.reach import config_option, nodes_options, reaching
from gateway.cli.show import json_option, parsed, patience, print_json, print_table, show_moment


@click.group()
def keys() -> None:
    """Add, list and remove access keys."""


@keys.command("add")
@click.argument("name")
@click.option("--tenant", required=True, help="Who pays.")
@click.option(
    "--read", multiple=True, metavar="PATH", help="Opens PATH and all beneath it for reading; again for more."
)
@click.option("--write", multiple=True, metavar="PATH", help="For writing; this version serves no writes yet.")
@click.option("--class", "cls", default="training", show_default=True, help="What the key's traffic is for.")
@click.option("--may-class", multiple=True, metavar="CLASS", help="Class that a request may ask for instead.")
@click.option(
    "--region",
    "regions",
    multiple=True,
    metavar="REGION",
    help="Opens anything in REGION alone, a granted one too; again for more. Default: in every trusted region.",
)
@click.option("--until", metavar="DATE", help="Day to whose end (UTC), or moment until which the key opens anything.")
@nodes_options
@config_option
@json_option
def add(urls: tuple[str, ...], token_files: tuple[Path, ...], config: Path | None, as_json: bool, **asked: Any) -> None:
    """Make an access key and print its secret, once.

    Each node of --to gets the same key. The two lines are variables as S3 clients read them.
    """
    from namespace import keys as drawn

    asked["until"] = _moment(asked["until"])
    # Drawn here where several nodes get it: they must not draw one each.
    pair = {"id": drawn.new_id(), "secret": drawn.new_secret()} if len(urls) > 1 else {}
    done = each(clients_of(urls, token_files, config), lambda node: node.post("keys", {**asked, **pair}), "asking")
    made = next((at.applied for at in done if at.applied is not None), None)
    if made is not None and as_json:
        print_json(made)
    elif made is not None:
        click.echo(f"AWS_ACCESS_KEY_ID={made['id']}\nAWS_SECRET_ACCESS_KEY={made['secret']}")
    failed = [at for at in done if at.fault]
    if failed:
        has = ", ".join(at.url for at in done if not at.fault) or "none"
        where = [f"the key is at: {has}"] if len(done) > 1 else []
        raise CommandFault("\n".join((*dict.fromkeys(at.fault for at in failed), *where)))


@keys.command("ls")
@reaching
@json_option
def ls(client: Any, as_json: bool) -> None:
    """List keys, without their secrets."""
    from gateway.admin.answers import KeyShown

    with patience("asking the node"):
        plain = client.get("keys")
    if as_json:
        print_json(plain)
        return
    headings = ("name", "id", "tenant", "class", "may be", "reads", "writes", "regions", "until")
    print_table(headings, [_row(key) for key in parsed(tuple[KeyShown, ...], plain)])


@keys.command("rm")
@click.argument("name")
@reaching
def rm(client: Any, name: str) -> None:
    """Remove the key of this NAME or id; it opens nothing from here on."""
    with patience("asking the node"):
        removed = client.delete("keys", {"name": name})
    click.echo(f"{removed['name']}: key {removed['id']} removed")


def _row(key: Any) -> tuple[str, ...]:
    places = (", ".join(key.may_class), ", ".join(key.read), ", ".join(key.write), ", ".join(key.regions))
    return (key.name, key.id, key.tenant, key.cls, *places, show_moment(key.until))


def _moment(written: str | None) -> float | None:
    from namespace.keys import until

    try:
        return None if written is None else until(written)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong), param_hint="--until") from wrong
