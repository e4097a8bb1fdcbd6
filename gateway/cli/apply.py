"""`apply`: the same files in force everywhere, or an honest account of where they are and where not.

Every node is asked for a dry run first: when one refuses or is away, none is changed. What fails after that is told
node by node.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.check import PATHS
from gateway.cli.client import AdminClient, Refusal
from gateway.cli.faults import CommandFault
from gateway.cli.reach import client as reach
from gateway.cli.reach import config_option, nodes_options
from gateway.cli.show import json_option, parsed, patience, print_json

if TYPE_CHECKING:
    from gateway.applying import Applied, Change


CHECK_SECONDS = 600.0
"""That long a node may check files: 100,000 mounts take some 10 s of a core, which may have other things to do."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one node said: plain data of `Applied`, or a fault."""

    url: str
    applied: dict[str, Any] | None
    fault: str = ""


@click.command()
@click.argument("files", nargs=-1, required=True, type=PATHS)
@nodes_options
@config_option
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option(
    "--made-from",
    type=click.IntRange(0),
    metavar="REVISION",
    help="The revision that FILES were made from; refused if another is the newest. Default: the one that they are"
    " checked against first.",
)
@json_option
def apply(
    files: tuple[Path, ...],
    urls: tuple[str, ...],
    token_files: tuple[Path, ...],
    config: Path | None,
    dry_run: bool,
    made_from: int | None,
    as_json: bool,
) -> None:
    """Put topology and policy FILES in force, checked whole, as one revision.

    Without --to the node of --config, or of CAUSEWAY_ADMIN, gets them.
    """
    from gateway.cli.files import read

    given = read(files)
    clients = clients_of(urls, token_files, config)
    body = {"files": [{"name": file.name, "text": file.text} for file in given]}
    put_in_force(clients, "apply", body, dry_run, made_from, as_json)


@click.command()
@click.argument("revision", type=click.IntRange(1))
@nodes_options
@config_option
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@json_option
def rollback(
    revision: int,
    urls: tuple[str, ...],
    token_files: tuple[Path, ...],
    config: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put the files of an older REVISION in force again, as a new revision.

    `causeway history` shows them. Keys and pins stay as they are.
    """
    put_in_force(clients_of(urls, token_files, config), "rollback", {"revision": revision}, dry_run, None, as_json)


def put_in_force(
    clients: Sequence[AdminClient],
    question: str,
    body: dict[str, Any],
    dry_run: bool,
    made_from: int | None,
    as_json: bool,
) -> None:
    """Asks every node for a dry run, then for the change itself, and tells what came of it.

    Each node is told the revision that its dry run was checked against: who came between is not written over. Raises
    CommandFault.
    """
    tried = _ask_each(clients, question, body, [made_from] * len(clients), dry_run=True)
    _refuse_if_any_failed(tried, "nothing was changed on any node")
    seen = [made_from if at.applied is None else at.applied.get("made_from") for at in tried]
    done = tried if dry_run else _ask_each(clients, question, body, seen, dry_run=False)
    if as_json:
        print_json([{"url": at.url, "applied": at.applied, "fault": at.fault} for at in done])
    else:
        _tell(done)
    _refuse_if_any_failed(done, _where(done))


def clients_of(urls: Sequence[str], token_files: Sequence[Path], config: Path | None) -> list[AdminClient]:
    """Returns a client for each URL with its token; without URLs one for the node that is meant by default.

    Raises CommandFault; click.UsageError where URLs and tokens do not pair.
    """
    if len(token_files) not in {0, 1, len(urls) or 1}:
        raise click.UsageError("give --token-file once for all, or once for each --to, in the same order")
    targets: list[str | None] = [*urls] or [os.environ.get("CAUSEWAY_ADMIN")]
    tokens: list[Path | None] = [*token_files] or [None]
    return [reach(url, tokens[at % len(tokens)], config) for at, url in enumerate(targets)]


def each(clients: Sequence[AdminClient], ask: Callable[[AdminClient], Any], waiting_for: str) -> list[Outcome]:
    """Asks every node, one after the other, and returns what each said; one that fails keeps no other from it."""
    outcomes = []
    for node in clients:
        try:
            with patience(f"{waiting_for} {node.url}"):
                outcomes.append(Outcome(node.url, ask(node)))
        except Refusal as refused:
            outcomes.append(Outcome(node.url, None, str(refused)))
        except CommandFault as fault:
            outcomes.append(Outcome(node.url, None, str(fault)))
    return outcomes


def _ask_each(
    clients: Sequence[AdminClient],
    question: str,
    body: dict[str, Any],
    made_from: Sequence[int | None],
    *,
    dry_run: bool,
) -> list[Outcome]:
    seen = iter(made_from)

    def ask(node: AdminClient) -> Any:
        return node.post(question, {**body, "made_from": next(seen), "dry_run": dry_run}, seconds=CHECK_SECONDS)

    return each(clients, ask, "checking with" if dry_run else "applying to")


def _refuse_if_any_failed(outcomes: Sequence[Outcome], what_then: str) -> None:
    # The same file has the same faults everywhere: each is told once.
    faults = list(dict.fromkeys(at.fault for at in outcomes if at.fault))
    if faults:
        raise CommandFault("\n".join((*faults, what_then)))


def _where(outcomes: Sequence[Outcome]) -> str:
    has = ", ".join(at.url for at in outcomes if at.applied is not None) or "none"
    lacks = ", ".join(at.url for at in outcomes if at.applied is None)
    return f"in force at: {has}; not at: {lacks}; apply again, what has it stays as it is"


def _tell(done: Sequence[Outcome]) -> None:
    from gateway.applying import Applied

    for at in done:
        if at.applied is not None:
            _tell_one(at.url, parsed(Applied, at.applied))


def _tell_one(url: str, applied: "Applied") -> None:
    for warning in applied.warnings:
        click.echo(f"warning: {warning}", err=True)
    for note in applied.notes:
        click.echo(f"note: {note}", err=True)
    count = applied.count or len(applied.changes)
    what = f"{count} change{'' if count == 1 else 's'}" if count else "no change"
    stands = "would be" if applied.dry_run else "is"
    click.echo(f"{url}: revision {applied.revision} {stands} in force, digest {applied.digest[:12]}, {what}")
    for change in applied.changes:
        click.echo(f"  {show_change(change)}")
    if count > len(applied.changes):
        click.echo(f"  and {count - len(applied.changes)} more")


def show_change(change: "Change") -> str:
    """Returns one line: + added, - removed, ~ changed."""
    if change.before is None:
        return f"+ {change.path} = {change.after}"
    if change.after is None:
        return f"- {change.path} = {change.before}"
    return f"~ {change.path} = {change.after} (was {change.before})"
