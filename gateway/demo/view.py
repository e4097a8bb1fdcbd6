"""What a person sees while the demonstration runs: a live line for each step on a terminal, a plain one elsewhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from gateway.demo.reading import Glance
from gateway.demo.verdict import Pass, Terms, rows
from policy.units import show_rate


class View:
    """The terminal. Entered once, for the length of the demonstration."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (TextColumn("{task.description}"), BarColumn(16), DownloadColumn(), TimeElapsedColumn())
        note = TextColumn("{task.fields[note]}")
        plain = not console.is_terminal
        self._progress = Progress(SpinnerColumn(), *columns, note, console=console, disable=plain, transient=True)

    def __enter__(self) -> "View":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        """Prints a line above what is live."""
        self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def step(self, text: str, total: int) -> Iterator["Step"]:
        """A step of `total` bytes, seen until it ends; then its outcome stays."""
        task = self._progress.add_task(text, total=total, note="")
        step = Step(self._progress, task)
        try:
            yield step
        finally:
            self._progress.remove_task(task)
        self.say(f"{text}: {step.outcome}")

    def table(self, passes: Sequence[Pass], terms: Terms) -> None:
        """Prints what was shown."""
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        table.add_column("", no_wrap=True)
        for one in passes:
            table.add_column(one.name, justify="right", no_wrap=True)
        for row in rows(passes, terms):
            table.add_row(*row)
        self._progress.stop()
        self._console.print()
        self._console.print(table, highlight=False)
        self._console.print()


class Step:
    """A step under way. `outcome` is what its last line says."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self.outcome = ""

    def advance(self, nbytes: int) -> None:
        """So many bytes more are done."""
        self._progress.advance(self._task, nbytes)

    def glance(self, now: Glance, terms: Terms) -> None:
        """A pass is so far."""
        hits = f"{now.hits / now.answers:.0%}" if now.answers else "-"
        note = f"line {show_rate(now.line_rate * terms.overhead)}, {hits} hits"
        self._progress.update(self._task, completed=now.read_bytes, note=note)
