"""How commands show what they know: tables and JSON on standard output, waiting on standard error.

A table is for people and may change; `--json` is for programs and does not without a note in the changelog.
"""

import json
import math
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeVar

import click

Value = TypeVar("Value")
Option = TypeVar("Option")

# Below this a person has not begun to wonder.
PATIENCE_SECONDS = 2.0
# Wide enough that no name is cut where the output is read by a program or a pager.
UNBOUNDED = 4096

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Seconds(click.FloatRange):
    """Seconds within bounds. `nan` is within any, and no time to wait for."""

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType`. Raises BadParameter, which ends the command with 2."""
        found: float = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value} is no number of seconds", param, ctx)
        return found


def parsed(kind: type[Value], plain: object) -> Value:
    """Returns plain data of the admin port as the value it stands for; what a newer node says beyond is passed over."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind).validate_python(plain)


def print_json(plain: object) -> None:
    """Prints plain data as JSON."""
    click.echo(json.dumps(plain, indent=2, ensure_ascii=False))


def print_json_each(items: Iterable[object]) -> None:
    """Prints items as one JSON array, each as it comes: a list of a million needs no more memory than one of ten."""
    between = "["
    for item in items:
        text = json.dumps(item, indent=2, ensure_ascii=False).replace("\n", "\n  ")
        click.echo(f"{between}\n  {text}", nl=False)
        between = ","
    click.echo("[]" if between == "[" else "\n]")


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows under headings; a heading that begins with `>` stands over figures."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(
            heading.removeprefix(">"), justify="right" if heading.startswith(">") else "left", overflow="fold"
        )
    for row in rows:
        # As text: names may hold what rich would read as markup.
        table.add_row(*map(Text, row))
    Console(width=None if sys.stdout.isatty() else UNBOUNDED, highlight=False).print(table)


def print_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Prints (name, value) lines, values beneath one another."""
    width = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        click.echo(f"{name:<{width}}  {value}")


def show_moment(seconds: float | None) -> str:
    """Returns a moment (seconds since the epoch) as `2026-03-06 18:00:00Z`, `never` for None."""
    if seconds is None:
        return "never"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


@contextmanager
def patience(waiting_for: str) -> Iterator[None]:
    """Says on a terminal what is waited for, once it takes longer than two seconds."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    shown = threading.Thread(target=_spin, args=(waiting_for, done), daemon=True)
    shown.start()
    try:
        yield
    finally:
        done.set()
        shown.join()


class Bar:
    """A bar of bytes on standard error; shows nothing where that is no terminal, or the bytes themselves go to one."""

    def __init__(self, text: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.progress import TransferSpeedColumn as SpeedColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), SpeedColumn())
        seen = sys.stderr.isatty() and not sys.stdout.isatty()
        self._progress = Progress(
            *columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True, disable=not seen
        )
        self._task = self._progress.add_task(text, total=total)
        self._progress.start()

    def at(self, nbytes: int) -> None:
        """So many bytes have come."""
        self._progress.update(self._task, completed=nbytes)

    def close(self) -> None:
        """Takes the bar away."""
        self._progress.stop()


def _spin(waiting_for: str, done: threading.Event) -> None:
    if done.wait(PATIENCE_SECONDS):
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(escape(waiting_for)):
        done.wait()
