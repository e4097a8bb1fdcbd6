"""What can be wrong with a policy, said so that an operator can mend it where it stands."""

from collections.abc import Sequence
from dataclasses import dataclass


class PolicyError(Exception):
    """Base of all faults of this package."""


class UnitError(PolicyError, ValueError):
    """A quantity is not written as one; the message says what is accepted."""


class PatternError(PolicyError, ValueError):
    """A pattern of a cache rule cannot match any path; the message says how it must look."""


class WindowError(PolicyError, ValueError):
    """A window is not written as one, or can never occur; the message says what is accepted."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One fault of a file. `line` and `column` count from 1; `path` names the place in the document."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.path}: {self.message}"


class Faults(PolicyError):
    """All faults of a file at once, in the order of the file; `str()` has one line for each."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(str(fault) for fault in self.faults))


def shown(value: object) -> str:
    """Returns a value as a message repeats it: on one line, and never long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


class Superseded(PolicyError):
    """A newer lease office grants on this line: the older one stops at once. `epoch` is the newer one's."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        super().__init__(f"a node holds a grant of the lease office with epoch {epoch}, which is newer than this one")
