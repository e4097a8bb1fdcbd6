"""The arithmetic of one request on a line connection: what must be debited before what may be read.

Invariant (line-rules, Before it arrives): debited - read >= min(bytes left in the reply, receive buffer). All figures
are payload bytes. What was debited is remembered in order with the ledger's entry, since who pays and what for may
change under way, and bytes that are given back or spoiled must be taken from where they were counted.
"""

from collections import deque
from dataclasses import dataclass

from regioncache.ledger import Entry
from regioncache.lines.buffers import quantum

_REMEMBERED = 64
"""Runs of bytes already read that can still be spoiled; payer and kind change a few times in a request."""

Runs = list[tuple[Entry, int]]


@dataclass(frozen=True, slots=True)
class Closing:
    """What becomes of the debited, unread bytes of a request that is over."""

    credited: Runs
    over_read: Runs


class Account:
    """Mutable state: length, debited, read, whether the request was sent, and the runs of entries."""

    __slots__ = ("_behind", "_unread", "buffer", "debited", "length", "read", "sent")

    def __init__(self, length: int, buffer: int) -> None:
        """A reply of at most `length` bytes on a socket of `buffer` bytes as read back; 0 = it may hold everything."""
        if length < 0 or buffer < 0:
            raise ValueError(f"a reply cannot have {length} bytes, nor a socket a buffer of {buffer}")
        self.length = length
        self.buffer = buffer or length
        self.debited = 0
        self.read = 0
        self.sent = False
        self._unread: deque[tuple[Entry, int]] = deque()
        self._behind: deque[tuple[Entry, int]] = deque(maxlen=_REMEMBERED)

    def __repr__(self) -> str:
        return f"<Account {self.read} read, {self.debited} debited of {self.length} B>"

    @property
    def left(self) -> int:
        """Bytes still to be read."""
        return self.length - self.read

    @property
    def prepaid(self) -> int:
        """Bytes debited and not read."""
        return self.debited - self.read

    @property
    def first(self) -> int:
        """What must be debited before the request is sent."""
        return min(self.length, self.buffer)

    @property
    def reserve(self) -> int:
        """The room that the request holds: its buffer and the least that it must be able to read at once."""
        return max(self.prepaid, min(self.left, self.buffer + quantum(self.buffer)))

    def missing(self, nbytes: int) -> int:
        """Returns what must be debited before `nbytes` may be read."""
        return max(0, min(self.length, self.read + nbytes + self.buffer) - self.debited)

    def readable(self, nbytes: int) -> int:
        """Returns how many of `nbytes` may be read now."""
        covered = self.left if self.debited >= self.length else self.prepaid - self.buffer
        return max(0, min(nbytes, self.left, covered))

    def debit(self, entry: Entry, nbytes: int) -> None:
        """`nbytes` more were debited and counted under `entry`."""
        self.debited += nbytes
        _append(self._unread, entry, nbytes)

    def receive(self, nbytes: int, kind: str) -> Runs:
        """`nbytes` were read, and are of `kind`; returns the runs that were counted as another kind."""
        if nbytes > self.prepaid:
            raise ValueError(f"{nbytes} bytes read, but only {self.prepaid} debited: ask for room before reading")
        self.read += nbytes
        other: Runs = []
        for entry, count in _take_first(self._unread, nbytes):
            if entry.kind != kind:
                other.append((entry, count))
                entry = entry.of_kind(kind)  # noqa: PLW2901
            _append(self._behind, entry, count)
        return other

    def resize(self, length: int) -> Runs:
        """The reply has `length` bytes; returns the runs that were debited beyond it, to be credited."""
        self.length = max(length, self.read)
        beyond = max(0, self.debited - self.length)
        self.debited -= beyond
        return _take_last(self._unread, beyond)

    def spoil(self, nbytes: int) -> Runs:
        """Returns the runs of the last `nbytes` read: they are thrown away."""
        return _take_last(self._behind, nbytes)

    def close(self) -> Closing:
        """The request is over: what never was sent is credited, what may have been sent to us is lost."""
        unread = list(self._unread)
        self._unread.clear()
        self.debited = self.read
        return Closing([], unread) if self.sent else Closing(unread, [])


def _append(runs: deque[tuple[Entry, int]], entry: Entry, nbytes: int) -> None:
    if runs and runs[-1][0] == entry:
        runs[-1] = entry, runs[-1][1] + nbytes
    elif nbytes:
        runs.append((entry, nbytes))


def _take_first(runs: deque[tuple[Entry, int]], nbytes: int) -> Runs:
    taken: Runs = []
    while nbytes and runs:
        entry, count = runs.popleft()
        part = min(count, nbytes)
        if count > part:
            runs.appendleft((entry, count - part))
        taken.append((entry, part))
        nbytes -= part
    return taken


def _take_last(runs: deque[tuple[Entry, int]], nbytes: int) -> Runs:
    taken: Runs = []
    while nbytes and runs:
        entry, count = runs.pop()
        part = min(count, nbytes)
        if count > part:
            runs.append((entry, count - part))
        taken.append((entry, part))
        nbytes -= part
    return taken
