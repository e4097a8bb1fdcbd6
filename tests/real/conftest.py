"""Figures that the real tests saw: each test notes rows, and the run ends with a table of them."""

from collections.abc import Callable

import pytest

Note = Callable[[str, str, str], None]


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Note:
    """Notes one row of the table: what was measured, the figure, and what is asked of it."""

    def row(what: str, figure: str, wanted: str) -> None:
        record_property("figure", (what, figure, wanted))

    return row


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.getreports(kind)]
    rows = [row for one in reports if one.when == "call" for name, row in one.user_properties if name == "figure"]
    if not rows:
        return
    terminalreporter.section("figures")
    rows.insert(0, ("what", "figure", "wanted"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        terminalreporter.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
