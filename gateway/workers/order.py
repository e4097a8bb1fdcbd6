"""What a supervisor tells a worker at its start, by its environment: which it is, and the descriptors it inherits."""

import json
import os
from dataclasses import asdict, dataclass

VARIABLE = "CAUSEWAY_WORKER"


@dataclass(frozen=True, slots=True)
class Order:
    """One worker's. Numbers of descriptors but for the first three; `process` is random and told to the cluster."""

    number: int
    process: str
    file: str
    """Names the settings in faults; relative paths in them begin at its directory."""
    settings: int
    """The text of the settings, as they were checked."""
    link: int
    """To the supervisor; it ends when that does."""
    s3: int
    admin: int
    peer: int
    """Shared by all workers."""
    own: int
    """This worker's own address for peers."""

    def environment(self) -> dict[str, str]:
        """Returns this process's environment with the order."""
        return {**os.environ, VARIABLE: json.dumps(asdict(self))}

    @property
    def descriptors(self) -> tuple[int, ...]:
        """All that the worker inherits."""
        return (self.settings, self.link, self.s3, self.admin, self.peer, self.own)


def taken() -> Order | None:
    """Takes the order out of the environment; None: this process is nobody's worker."""
    text = os.environ.pop(VARIABLE, None)
    return None if text is None else Order(**json.loads(text))


def settings_text(order: Order) -> str:
    """Returns the settings that the supervisor checked, and closes their descriptor."""
    try:
        # At a place, not from where the last worker stopped: all share the open file.
        return os.pread(order.settings, os.fstat(order.settings).st_size, 0).decode("utf-8")
    finally:
        os.close(order.settings)
