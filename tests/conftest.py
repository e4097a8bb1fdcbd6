"""What every test stands on: asyncio by anyio, deterministic hypothesis, and what is left out by default."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.fakes.clock import FakeClock
from tests.fakes.loop import TestLoop

# A loaded machine is slow at times: no asserted timings, so no deadlines. Derandomized: the same run every time.
_QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("test", deadline=None, derandomize=True, database=None, suppress_health_check=_QUIET)
settings.register_profile("soak", parent=settings.get_profile("test"), derandomize=False, max_examples=10_000)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("soak" if _soaking(config) else "test")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves soak and bench out unless asked for, and skips by name what needs root where there is none."""
    dropped = [item for item in items if not _soaking(config) and item.get_closest_marker("soak")]
    config.hook.pytest_deselected(items=dropped)
    items[:] = [item for item in items if item not in dropped]
    reason = _no_root()
    if reason:
        for item in items:
            if item.get_closest_marker("root"):
                item.add_marker(pytest.mark.skip(reason=reason))


def _soaking(config: pytest.Config) -> bool:
    return "soak" in config.option.markexpr.split() and "not soak" not in config.option.markexpr


def _no_root() -> str | None:
    if os.geteuid() != 0:
        return "needs root: network namespaces and TUN devices"
    if not Path("/dev/net/tun").exists():
        return "needs /dev/net/tun: load the tun module (modprobe tun)"
    return None


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": TestLoop}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Callable[[str, str, str], None]:
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
