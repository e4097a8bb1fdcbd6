"""How the demonstration ends: SIGTERM and SIGHUP as by Ctrl-C, and once it is being taken down no signal is heard.

A second Ctrl-C would otherwise leave processes, files or objects behind.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ending:
    """Hears the first signal and no other. Mutable: whether it is deaf."""

    def __init__(self) -> None:
        self._deaf = False

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """For the length of the `with` a signal raises KeyboardInterrupt or SystemExit in the main thread, once."""
        before = {number: signal.signal(number, self._signalled) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def deaf_afterwards(self) -> Iterator[None]:
        """From the end of the `with` no signal is heard."""
        try:
            yield
        finally:
            self._deaf = True

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if self._deaf:
            return
        self._deaf = True
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)
