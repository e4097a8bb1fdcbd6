"""What takes longer than a person's patience says on the terminal what it waits for; programs never see it."""

import io
import sys
import threading

import pytest

from gateway.cli.show import patience


class Screen(io.StringIO):
    """Standard error as a terminal, or not one. `told` is set once something was written."""

    def __init__(self, terminal: bool = True) -> None:
        super().__init__()
        self.terminal = terminal
        self.told = threading.Event()

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        written = super().write(text)
        if "asking bj" in self.getvalue():
            self.told.set()
        return written


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def test_what_takes_long_says_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr("gateway.cli.show.PATIENCE_SECONDS", 0.0)

    with patience("asking bj"):
        assert screen.told.wait(60)


@pytest.mark.parametrize(("terminal", "seconds"), [(True, 3600.0), (False, 0.0)], ids=["quick", "no terminal"])
def test_what_is_quick_or_read_by_a_program_says_nothing(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, seconds: float
) -> None:
    screen = Screen(terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr("gateway.cli.show.PATIENCE_SECONDS", seconds)

    with patience("asking bj"):
        pass

    assert screen.getvalue() == ""
