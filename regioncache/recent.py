"""What the last reads of some paths waited for: a bounded memory for `explain`, nothing else reads it."""

from collections import OrderedDict
from dataclasses import dataclass

from regioncache.opened import Waited

PATHS = 4096
"""Enough for an operator who asks about a read that was slow a moment ago."""


@dataclass(frozen=True, slots=True)
class LastRead:
    """Where the first page of the last read came from, and what it waited for."""

    source: str
    waited: Waited | None


class Recent:
    """The last read of each of the paths read last."""

    def __init__(self, limit: int = PATHS) -> None:
        self._limit = limit
        self._reads: OrderedDict[str, LastRead] = OrderedDict()

    def read(self, path: str, source: str, waited: Waited | None) -> None:
        """Notes a read of `path`."""
        self._reads[path] = LastRead(source, waited)
        self._reads.move_to_end(path)
        if len(self._reads) > self._limit:
            self._reads.popitem(last=False)

    def of(self, path: str) -> LastRead | None:
        """The last read of `path`, if it was among the last ones."""
        return self._reads.get(path)
