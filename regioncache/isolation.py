"""Isolation: what one way to a bucket may take of this node, so that a slow or dead one takes nothing from the others.

Each way has its own share: requests under way, requests that wait for one of these places, and no more than that; who
comes beyond is told to slow down. A way that owes answers and gives none gets no further requests until it has spoken.
So a dead origin holds a bounded part of the memory for flights, of the connections and of the descriptors. A core: it
is told the time.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

Kind = Literal["read", "question"]
"""A read brings pages and may last; a question (HEAD, a list) is short, and must not wait for reads."""

SILENT_SECONDS = 1.0
"""An answer owed for longer is a sign: of healthy stores, 99 % of the first bytes come within half a second."""
PARTS = (1.0, 5 / 6, 2 / 3, 2 / 3)
"""Of the places for reads, what each class may fill, the most urgent first: many loads must not shut out a person."""
OLDEST_EVERY = 8
"""Every so often the one goes first that has waited longest, whatever its class: nobody starves."""
DELAYS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds: upper bounds of the buckets of the time to an answer; 2 s is where silence counts against a way."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one way may take."""

    reads: int = 192
    """Reads under way: each holds 768 KiB and a connection. 192 and 64 are the 256 connections kept to one host."""
    questions: int = 64
    """Questions under way."""
    unheard: int = 16
    """Of requests without an answer for `SILENT_SECONDS`: while there are so many, no other one is sent after them."""
    waiting: int = 512
    """Requests that wait for a place, of each kind; more are refused. At 192 reads in 100 ms they wait 0.3 s."""
    guests: int = 2048
    """Readers of one bucket that wait for their first byte: half of the connections of a door."""

    @classmethod
    def of(cls, flight_bytes: int, one_flight: int, descriptors: int) -> "Bounds":
        """Returns the bounds for a node.

        Args:
            flight_bytes: what all flights together may hold of the memory budget; one way gets half of it at most.
            one_flight: what one flight holds.
            descriptors: what may be open at once towards origins and nodes; one way gets half of it at most.
        """
        usual = cls()
        return replace(usual, reads=max(8, min(usual.reads, flight_bytes // 2 // one_flight, descriptors // 2)))


@dataclass(slots=True, eq=False)
class Turn:
    """One request's place among those of its way."""

    kind: Kind
    rank: int
    order: int
    state: Literal["waiting", "active", "over"] = "waiting"


class Waiting(Protocol):
    """What knows how long a question has waited for its line (a crossing)."""

    @property
    def waited(self) -> float:
        """Seconds so far."""
        ...


@dataclass(slots=True, eq=False)
class Asking:
    """A question that has no answer yet. What its line made it wait does not count."""

    since: float
    line: Waiting
    counted: bool = False
    """Whether its silence was counted against the way already."""

    def age(self, now: float) -> float:
        """Seconds for which the way itself has owed the answer."""
        return now - self.since - self.line.waited


@dataclass(slots=True)
class Delays:
    """How long answers took: `counts[i]` took at most `DELAYS[i]` seconds, the last more; `total` is their sum."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(DELAYS) + 1))
    total: float = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(DELAYS, seconds)] += 1
        self.total += seconds


@dataclass(frozen=True, slots=True)
class ShareStatistics:
    """One way's share now, and its counters."""

    reads: int
    questions: int
    waiting: int
    refused: int
    unanswered: int
    """Questions that have no answer yet."""
    silent_seconds: float
    """Seconds since the last answer; since the first question where none came yet; 0 before it."""
    delays: Delays


class Share:
    """One way's share.

    Mutable state: who is active, who waits (by kind and class, `waiting` of them), what is asked, when it answered.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._active: dict[Kind, int] = {"read": 0, "question": 0}
        self._waiting: dict[Kind, list[deque[Turn]]] = {kind: [deque() for _ in PARTS] for kind in self._active}
        self._asking: dict[Asking, None] = {}
        self._answered_at = self._begun_at = float("-inf")
        self._order = self._grants = 0
        self.waiting = 0
        self.refused = 0
        self.delays = Delays()

    def __repr__(self) -> str:
        return f"<Share {self._active}, {self.waiting} waiting, {len(self._asking)} unanswered>"

    @property
    def idle(self) -> bool:
        """Whether nobody has or wants anything of it."""
        return not self._asking and not any(self._active.values()) and not self.waiting

    # ---- places --------------------------------------------------------------------------------------------------

    def come(self, kind: Kind, rank: int, now: float) -> Turn | None:
        """A request comes, of the `rank`-th class (0 the most urgent): its turn, active or waiting; None: refused."""
        self._order += 1
        turn = Turn(kind, min(rank, len(PARTS) - 1), self._order)
        queues = self._waiting[kind]
        if self._has_place(turn) and not any(queues[: turn.rank + 1]) and not self.holds_back(now):
            self._let_in(turn)
        elif sum(map(len, queues)) >= self._bounds.waiting:
            self.refused += 1
            return None
        else:
            queues[turn.rank].append(turn)
            self.waiting += 1
        return turn

    def admitted(self, now: float) -> list[Turn]:
        """Those that waited and may go on now."""
        let_in: list[Turn] = []
        if not self.waiting or self.holds_back(now):
            return let_in
        for queues in self._waiting.values():
            while (queue := self._next(queues)) is not None:
                self._let_in(queue[0])
                let_in.append(queue.popleft())
                self.waiting -= 1
        return let_in

    def leave(self, turn: Turn) -> None:
        """A request is over, or does not wait any more. Safe to call twice."""
        if turn.state == "active":
            self._active[turn.kind] -= 1
        elif turn.state == "waiting":
            self._waiting[turn.kind][turn.rank].remove(turn)
            self.waiting -= 1
        turn.state = "over"

    def dismissed(self) -> list[Turn]:
        """All that wait: there is nothing to wait for."""
        sent: list[Turn] = []
        for queues in self._waiting.values():
            for queue in queues:
                sent += queue
                queue.clear()
        for turn in sent:
            turn.state = "over"
        self.waiting = 0
        return sent

    def _next(self, queues: list[deque[Turn]]) -> deque[Turn] | None:
        waiting = [queue for queue in queues if queue]
        if not waiting:
            return None
        if self._grants % OLDEST_EVERY == OLDEST_EVERY - 1:
            oldest = min(waiting, key=lambda queue: queue[0].order)
            return oldest if self._active[oldest[0].kind] < self._most(oldest[0].kind) else None
        return waiting[0] if self._has_place(waiting[0][0]) else None

    def _has_place(self, turn: Turn) -> bool:
        part = PARTS[turn.rank] if turn.kind == "read" else 1.0
        return self._active[turn.kind] < self._most(turn.kind) * part

    def _most(self, kind: Kind) -> int:
        return self._bounds.reads if kind == "read" else self._bounds.questions

    def _let_in(self, turn: Turn) -> None:
        turn.state = "active"
        self._active[turn.kind] += 1
        self._grants += 1

    # ---- answers -------------------------------------------------------------------------------------------------

    def asked(self, now: float, line: Waiting) -> Asking:
        """A question goes out."""
        if self._begun_at == float("-inf"):
            self._begun_at = now
        asking = Asking(now, line)
        self._asking[asking] = None
        return asking

    def answered(self, asking: Asking, now: float) -> None:
        """Somebody is there: any answer will do, an error too."""
        self._answered_at = now
        self.delays.observe(max(0.0, asking.age(now)))

    def over(self, asking: Asking) -> None:
        """The question is over, answered or not."""
        del self._asking[asking]

    def asking(self) -> Iterator[Asking]:
        """The questions without an answer."""
        yield from self._asking

    def overdue(self, now: float, seconds: float) -> list[Asking]:
        """The questions that have had no answer for so long and were not counted yet; they are counted by that."""
        late = [asking for asking in self._asking if not asking.counted and asking.age(now) >= seconds]
        for asking in late:
            asking.counted = True
        return late

    def silent_for(self, now: float) -> float:
        """Seconds for which it has owed an answer and given none; 0 where nothing is asked."""
        quiet = now - self._answered_at
        if quiet <= 0 or not self._asking:
            return 0.0
        return max(0.0, min(quiet, max(asking.age(now) for asking in self._asking)))

    def holds_back(self, now: float) -> bool:
        """Whether so many questions are without an answer for so long that no other one is sent after them."""
        if len(self._asking) < self._bounds.unheard or now - self._answered_at < SILENT_SECONDS:
            return False
        return sum(asking.age(now) >= SILENT_SECONDS for asking in self._asking) >= self._bounds.unheard

    def statistics(self, now: float) -> ShareStatistics:
        since = max(self._answered_at, self._begun_at)
        quiet = 0.0 if since == float("-inf") else max(0.0, now - since)
        active = self._active
        return ShareStatistics(
            active["read"], active["question"], self.waiting, self.refused, len(self._asking), quiet, self.delays
        )
