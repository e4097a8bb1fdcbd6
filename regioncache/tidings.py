"""What an operator shall hear of: a warning when something is away or wants mending, news when it is well again."""

from collections.abc import Callable
from dataclasses import dataclass


def _unheard(_: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Tidings:
    """Where the tidings go: to the log. Each is one sentence that names the thing and what is done meanwhile."""

    warning: Callable[[str], None] = _unheard
    news: Callable[[str], None] = _unheard


UNHEARD = Tidings()
"""For parts that nobody listens to."""
