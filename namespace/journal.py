"""The last changes of a namespace, so that who was away for a moment gets what it missed and not everything again."""

from collections import deque

from namespace.items import Difference

MOST_CHANGES = 1000
MOST_ITEMS = 100_000
"""Bounds of what is remembered; who missed more gets a snapshot, which is then not much more."""


class Journal:
    """Differences by the serial they lead to, oldest first. Mutable state: them, and the serial the first begins at."""

    def __init__(self, serial: int = 0) -> None:
        self._changes: deque[tuple[int, Difference]] = deque()
        self._items = 0
        self._begin = serial
        self._serial = serial

    def __repr__(self) -> str:
        return f"<Journal from {self._begin} to {self._serial}: {len(self._changes)} changes, {self._items} items>"

    def add(self, serial: int, difference: Difference) -> None:
        """Notes what led from the newest serial to this one."""
        self._changes.append((serial, difference))
        self._items += _size(difference)
        self._serial = serial
        while len(self._changes) > MOST_CHANGES or (self._items > MOST_ITEMS and self._changes):
            self._begin, gone = self._changes.popleft()
            self._items -= _size(gone)

    def begin_anew(self, serial: int) -> None:
        """Forgets all: what is newest now was not made by a difference."""
        self._changes.clear()
        self._items, self._begin, self._serial = 0, serial, serial

    def since(self, serial: int) -> Difference | None:
        """Returns what was changed after `serial`, None where that is not remembered."""
        if not self._begin <= serial <= self._serial:
            return None
        whole = Difference()
        for at, difference in self._changes:
            if at > serial:
                whole = whole.then(difference)
        return whole


def _size(difference: Difference) -> int:
    return len(difference.put) + len(difference.gone)
