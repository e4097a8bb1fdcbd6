"""Kept connections: which one to use next, and who waits for a turn. No connection is made or closed here."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from regioncache.http.ask import Base


class Kept(Protocol):
    """What the pool keeps."""

    @property
    def base(self) -> Base: ...
    @property
    def wanted_buffer(self) -> int: ...
    @property
    def broken(self) -> bool: ...


K = TypeVar("K", bound=Kept)


@dataclass(slots=True)
class Turn(Generic[K]):
    """Somebody who waits. `told` is called once, with a connection or with None: room to open one; False: gone."""

    base: Base
    buffer: int
    told: Callable[[K | None], bool]


class Pool(Generic[K]):
    """Bounded per base; the newest idle connection is used first, so that the others age and go.

    All of its state: `_idle` by (base, buffer), newest last, with the time they came; `_open` how many there are per
    base, in use, idle or being opened; `_turns` who waits, in order.
    """

    def __init__(self, connections: int, idle: int, idle_seconds: float) -> None:
        self._connections = connections
        self._idle_limit = idle
        self._idle_seconds = idle_seconds
        self._idle: dict[tuple[Base, int], deque[tuple[float, K]]] = {}
        self._open: dict[Base, int] = {}
        self._turns: dict[Base, deque[Turn[K]]] = {}

    def take(self, base: Base, buffer: int) -> tuple[K | None, list[K]]:
        """Returns an idle connection, if there is a sound one, and the broken ones found, to be closed."""
        broken: list[K] = []
        kept = self._idle.get((base, buffer))
        while kept:
            _, connection = kept.pop()
            if not connection.broken:
                return connection, broken
            broken.append(connection)
        return None, broken

    def claim(self, base: Base) -> bool:
        """Counts a connection that the caller will open now; False if there is no room."""
        if self._turns.get(base) or self._open.get(base, 0) >= self._connections:
            return False
        self._open[base] = self._open.get(base, 0) + 1
        return True

    def oldest_idle(self, base: Base) -> K | None:
        """Takes out the idle connection of `base` that nobody used for longest, of any buffer."""
        kept = [(queue[0][0], key) for key, queue in self._idle.items() if key[0] == base and queue]
        if not kept:
            return None
        _, key = min(kept, key=lambda found: found[0])
        return self._idle[key].popleft()[1]

    def wait(self, turn: Turn[K]) -> None:
        """Puts a waiter behind the others of its base."""
        self._turns.setdefault(turn.base, deque()).append(turn)

    def give_up(self, turn: Turn[K]) -> None:
        """The waiter goes; it was told nothing yet."""
        turns = self._turns.get(turn.base)
        if turns is not None and turn in turns:
            turns.remove(turn)

    def give(self, connection: K, now: float) -> list[K]:
        """Takes back a sound connection; returns those that are to be closed (and then to be told by `left`)."""
        turns = self._turns.get(connection.base)
        while turns:
            if turns[0].buffer != connection.wanted_buffer:
                return [connection]
            if turns.popleft().told(connection):
                return []
        queue = self._idle.setdefault((connection.base, connection.wanted_buffer), deque())
        queue.append((now, connection))
        return [queue.popleft()[1]] if len(queue) > self._idle_limit else []

    def left(self, base: Base) -> None:
        """A connection of `base` was closed, or never came to be: its room goes to who waits first."""
        turns = self._turns.get(base)
        while turns:
            if turns.popleft().told(None):
                return
        self._open[base] -= 1
        if not self._open[base]:
            del self._open[base]

    def expire(self, now: float) -> list[K]:
        """Takes out the connections that are broken or were idle for too long, to be closed."""
        old: list[K] = []
        for key, queue in list(self._idle.items()):
            keep = deque((since, kept) for since, kept in queue if not self._is_old(since, kept, now))
            old += [kept for since, kept in queue if self._is_old(since, kept, now)]
            if keep:
                self._idle[key] = keep
            else:
                del self._idle[key]
        return old

    def empty(self) -> list[K]:
        """Takes out all idle connections, to be closed."""
        all_idle = [kept for queue in self._idle.values() for _, kept in queue]
        self._idle.clear()
        return all_idle

    def counts(self) -> tuple[int, int, int]:
        """(open, idle, waiting)."""
        idle = sum(len(queue) for queue in self._idle.values())
        return sum(self._open.values()), idle, sum(len(turns) for turns in self._turns.values())

    def _is_old(self, since: float, kept: K, now: float) -> bool:
        return kept.broken or now - since >= self._idle_seconds
