"""`lines`: how lines fare now, and who moved what over them in a time."""

import csv
import sys
from datetime import UTC, datetime
from typing import Any

import click

from gateway.cli.client import AdminClient
from gateway.cli.reach import reaching
from gateway.cli.show import json_option, parsed, patience, print_json, print_table, show_moment
from policy.units import show_size

GB = 10**9


@click.command()
@reaching
@click.option("--ledger", is_flag=True, help="Also who moved what, ever: tenant, class, bucket, kind.")
@click.option("--since", metavar="TIME", help="Who moved what since then: 1h, 30d, a day or a moment (UTC).")
@click.option("--until", metavar="TIME", help="With --since: up to then; a day is meant to its end. Default: now.")
@click.option(
    "--by",
    metavar="NAMES",
    help="With --since: grouped by line, direction, tenant, class, bucket, kind, slot, node, with commas between."
    " Default: line,tenant,class,bucket.",
)
@click.option("--csv", "as_csv", is_flag=True, help="With --since: print CSV, bytes and moments unrounded.")
@json_option
def lines(
    client: AdminClient,
    ledger: bool,
    since: str | None,
    until: str | None,
    by: str | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Show lines: quota, rate, once ratio; with --since who moved what in a time, and what it cost.

    The past is kept in slots of five minutes, and the slots in which TIME lies are shown whole. All nodes of the
    region are in the figures; one that cannot be asked is named. Bytes are payload.
    """
    if since is not None:
        _check(since, until, by, as_csv and as_json)
        _past(client, {"since": since, "until": until or "", "by": by or ""}, as_csv, as_json)
    elif until is not None or by is not None or as_csv:
        raise click.UsageError("--until, --by and --csv are of a time: say --since too, as --since 1h")
    else:
        _now(client, ledger, as_json)


def _now(client: AdminClient, ledger: bool, as_json: bool) -> None:
    from gateway.admin.answers import LineStatus
    from gateway.cli.pictures import LEDGER_HEADINGS, LINE_HEADINGS, ledger_rows, line_row

    with patience("asking the node"):
        plain = client.get("lines")
    if as_json:
        print_json(plain)
        return
    known = parsed(tuple[LineStatus, ...], plain)
    if not known:
        click.echo("no line of the topology ends in this node's region")
        return
    print_table(LINE_HEADINGS, [line_row(line) for line in known])
    if ledger:
        click.echo()
        print_table(LEDGER_HEADINGS, [row for line in known for row in ledger_rows(line)])


def _check(since: str, until: str | None, by: str | None, both: bool) -> None:
    """What can be known to be wrong before a node is asked is wrong usage. The node's clock says what the times are."""
    from gateway.accounts import Period

    if both:
        raise click.UsageError("--csv and --json are two forms of one answer; choose one")
    try:
        Period.of(since, until or "", by or "", datetime.now(UTC).timestamp())
    except ValueError as wrong:
        raise click.UsageError(str(wrong)) from wrong


def _past(client: AdminClient, question: dict[str, str], as_csv: bool, as_json: bool) -> None:
    from gateway.admin.answers import Moved

    with patience("asking the nodes of the region"):
        plain = client.get("lines", {name: text for name, text in question.items() if text})
    if as_json:
        print_json(plain)
    else:
        (_print_csv if as_csv else _print)(parsed(Moved, plain))
    for node, why in plain["unasked"]:
        click.echo(f"! not in these figures: {node}: {why}", err=True)


def _print(moved: Any) -> None:
    click.echo(f"from {show_moment(moved.since)} to {show_moment(moved.until)}, nodes: {', '.join(moved.nodes)}")
    if not moved.rows:
        click.echo("nothing was moved")
        return
    whole = ("sum", *("" for _ in moved.by[1:]), *_figures(moved.whole))
    rows = [(*(_shown(name, row.names[name]) for name in moved.by), *_figures(row)) for row in moved.rows]
    print_table((*moved.by, ">moved", ">GB", ">cost", ">once"), [*rows, whole])


def _figures(row: Any) -> tuple[str, ...]:
    return (
        show_size(row.nbytes),
        f"{row.nbytes / GB:.3f}",
        "-" if row.cost is None else f"{row.cost:.2f}",
        "-" if row.once_ratio is None else f"{row.once_ratio:.3f}",
    )


def _print_csv(moved: Any) -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow((*moved.by, "bytes", "gb", "cost", "once_ratio"))
    for row in moved.rows:
        names = (_shown(name, row.names[name]) for name in moved.by)
        # Empty where it is not known: a program must not take it for nothing.
        unknown = ("" if value is None else repr(value) for value in (row.cost, row.once_ratio))
        out.writerow((*names, row.nbytes, repr(row.nbytes / GB), *unknown))


def _shown(name: str, value: str | int) -> str:
    if name != "slot":
        return str(value)
    return "before" if value == 0 else show_moment(float(value))
