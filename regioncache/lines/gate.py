"""Where the requests of one direction of a line wait: wakes who may go on, by what the cores say.

The shell of the scheduler and of the prepaid room: one future for each that waits, one timer for all.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from policy.leases.messages import Want
from policy.shares import Leaf
from policy.units import show_rate
from regioncache.errors import NotSoon, SlowDown
from regioncache.lines import buffers
from regioncache.lines.demand import Demand, unheard, wanted
from regioncache.lines.prepaid import Prepaid, PrepaidStatistics, Room
from regioncache.lines.roundtrip import RoundTrip
from regioncache.lines.scheduler import LEAST_PART, Scheduler, SchedulerStatistics
from regioncache.lines.terms import Terms
from regioncache.lines.waiting import FORGOTTEN, Ask
from regioncache.origins.base import Payer
from regioncache.tidings import UNHEARD, Tidings

PATIENCE_SECONDS = 25.0
"""Clients give up after 30 to 60 s: who is not expected to begin within this is told to come again."""
MOST_WAITING = 4096
"""Requests that may wait for a line at once; each costs some 2 KiB."""
TURN_SECONDS = 2.0
"""About how long one request lasts while others want the line too."""
TURN_ROUND_TRIPS = 50
"""And at least so many round trips: the one that each request begins with is lost to its stream."""


class Handle(Protocol):
    """A timer that was set."""

    def cancel(self) -> None:
        """It shall not ring."""
        ...


Later = Callable[[float, Callable[[], None]], Handle]
"""Calls back after some seconds."""


def on_running_loop(seconds: float, call: Callable[[], None]) -> Handle:
    """Sets a timer on the running event loop."""
    return asyncio.get_running_loop().call_later(seconds, call)


@dataclass(frozen=True, slots=True)
class GateStatistics:
    """Both cores at this moment, the smallest round trip (seconds), who waits, who was sent away."""

    debits: SchedulerStatistics
    prepaid: PrepaidStatistics
    round_trip: float
    waiting: int
    slowed_down: int
    clipped: str
    """What the kernel withholds of receive buffers and what it costs, empty where they are as they are wanted."""
    waiting_by_class: Mapping[str, int]


class Gate:
    """Mutable state: the cores, who waits (`_futures`), one timer. It belongs to one event loop."""

    def __init__(
        self,
        line: str,
        terms: Terms,
        clock: Callable[[], float],
        later: Later,
        limited: bool,
        tidings: Tidings = UNHEARD,
    ) -> None:
        """`line` is its name, for messages; `clock` monotonic seconds; not `limited`, nobody waits.

        `tidings` hears once of buffers that the kernel keeps small.
        """
        self.line = line
        self.terms = terms
        self.clock = clock
        self.limited = limited
        self._later = later
        self._scheduler = Scheduler(terms, clock())
        self._prepaid = Prepaid(_prepaid_rate(terms), terms.overhead, terms.order)
        self.demand = None if terms.allowed is None else Demand()
        """Of a node that is alone nobody asks for it."""
        self.on_lapse: Callable[[], None] = unheard
        """Told when the terms hold no more; it adopts others."""
        self._until = math.inf
        self._round_trip = RoundTrip()
        self._futures: dict[Ask | Room, asyncio.Future[None]] = {}
        self._timer: Handle | None = None
        self._slowed_down = 0
        self._small_buffer = 0
        self._tidings = tidings
        self._clipped = ""

    def __repr__(self) -> str:
        return f"<Gate {self.line}: {self._prepaid!r}, {self._scheduler!r}>"

    def adopt(self, terms: Terms, since: float | None = None) -> None:
        """Goes on by other terms: no bucket is refilled, nobody loses its place.

        Args:
            terms: What holds from now on.
            since: Or from this moment on, where it has passed already: till then the former filled the buckets.
        """
        self.terms = terms
        self._until = math.inf if terms.allowed is None else terms.allowed.until
        self._scheduler.adopt(terms, self.clock() if since is None else min(since, self.clock()))
        self._prepaid.adopt(_prepaid_rate(terms), terms.overhead, terms.order)
        self._turn()

    def statistics(self) -> GateStatistics:
        return GateStatistics(
            self._scheduler.statistics(self.clock()),
            self._prepaid.statistics(),
            self._round_trip.smallest,
            len(self._futures),
            self._slowed_down,
            self._clipped if self._small_buffer else "",
            Counter(ticket.leaf.cls for ticket in self._futures),
        )

    # ---- what to ask for ----------------------------------------------------------------------------

    def leaf(self, payer: Payer) -> Leaf:
        """Returns the leaf under which a payer is served."""
        return self._scheduler.home(Leaf(payer.tenant, payer.cls))

    def buffer_wanted(self, leaf: Leaf, length: int, known: bool) -> int:
        """Returns the receive buffer for a reply of up to `length` bytes."""
        rate = self._part(leaf) * self.terms.main_rate / self.terms.overhead
        room = self._prepaid.most * self._part(leaf) / self.terms.overhead
        most = room / buffers.among(1 + self._prepaid.streams(leaf))
        return buffers.wanted(length, known or self._prepaid.roomy, rate * self._round_trip.smallest, most)

    def got_buffer(self, wanted: int, readback: int) -> None:
        """A connection has a buffer of `readback` bytes where `wanted` were asked for; 0: not known.

        Without CAP_NET_ADMIN the kernel makes none beyond net.core.rmem_max. What it reads back is twice what it made
        (man 7 socket): less than twice what was wanted is a buffer clipped.
        """
        if 0 < readback < 2 * wanted:
            self._small_buffer = readback
            told, self._clipped = bool(self._clipped), self._clip(wanted, readback)
            if not told:
                self._tidings.warning(self._clipped)
        elif readback > self._small_buffer:
            self._small_buffer = 0

    def _clip(self, wanted: int, readback: int) -> str:
        trip = self._round_trip.smallest
        one = f"{show_rate(buffers.WINDOW_PART * readback / trip)} " if trip else "less "
        return (
            f"line {self.line}: the kernel makes receive buffers of {readback // 2} bytes where {wanted} are wanted, so"
            f" that one request moves {one}of {show_rate(self.terms.quota / self.terms.overhead)} at a round trip of"
            f" {trip * 1000:.0f} ms and several are needed: set net.core.rmem_max to {wanted} or more"
            f" (`sysctl -w net.core.rmem_max={wanted}`), or give the node CAP_NET_ADMIN"
        )

    def lanes(self, leaf: Leaf, mine: int) -> int:
        """Returns how many requests above 1 MiB a reader should keep under way who has `mine` under way already."""
        if not self._small_buffer or not self.limited:
            return 1
        part = self._part(leaf)
        in_round_trip = part * self.terms.main_rate / self.terms.overhead * self._round_trip.smallest
        most = self._prepaid.most * part / self.terms.overhead
        others = max(0, self._prepaid.streams(leaf) - mine)
        return max(1, buffers.lanes(self._small_buffer, in_round_trip, most) - others)

    def request_wanted(self, leaf: Leaf, length: int) -> int:
        """Returns how many bytes one request should ask for: what it moves in its turn, if others want the line too."""
        if not self.limited:
            return length
        if not self._round_trip.smallest:
            # A connection opened before the round trip is known has the least buffer; a long request would keep it.
            return min(length, buffers.SMALL_REQUEST)
        if self.terms.allowed is None and not self._prepaid.crowd():
            return length
        seconds = max(TURN_SECONDS, TURN_ROUND_TRIPS * self._round_trip.smallest)
        rate = self._part(leaf) * self.terms.main_rate / self.terms.overhead / (1 + self._prepaid.streams(leaf))
        turn = int(rate * seconds)
        return min(length, max(buffers.SMALL_REQUEST, turn - turn % buffers.SMALL_REQUEST))

    # ---- waiting        ------------------------------------------------------------------------------------

    def check_room(
        self, leaf: Leaf, first: float, room: float, small: bool, *, patient: bool = False, control: bool = False
    ) -> None:
        """Refuses a request that would not begin soon, unless it is `patient`.

        Args:
            leaf: Who pays.
            first: Debited bytes before it is sent.
            room: Debited bytes that it holds.
            small: Whether it has at most 1 MiB.
            patient: Whether it waits however long it takes.
            control: Whether it is paid from what is never leased, as long as there is any.

        Raises:
            NotSoon: not within 25 s.
            SlowDown: too many wait.
        """
        if not self.limited:
            return
        now = self.clock()
        if not (patient or (control and self.terms.control_rate)):
            self._check_open(leaf)
        wait = self._scheduler.expected(leaf, first, now) + self._prepaid.expected(leaf, room, small)
        if self.demand is not None and self.demand.fresh(leaf, now):
            # The lease is by what was wanted before; within a moment it may be all of the line.
            wait = wait * self.terms.rate / self.terms.quota if self.terms.main_rate else 0.0
        crowded = len(self._futures) >= MOST_WAITING
        if not crowded and (patient or wait <= PATIENCE_SECONDS):
            return
        self._slowed_down += 1
        raise (SlowDown if crowded else NotSoon)(
            f"line {self.line} has no room for {leaf.tenant} ({leaf.cls}) within {PATIENCE_SECONDS:.0f} s, but in about"
            f" {wait:.0f} s; ask again later, or give the tenant more of the line",
            retry_after=min(60.0, max(1.0, wait - PATIENCE_SECONDS / 2)),
        )

    def _check_open(self, leaf: Leaf) -> None:
        """Refuses who gets nothing because the lease office is silent."""
        allowed = self.terms.allowed
        if allowed is None or not allowed.silence or not self.terms.closed(leaf.cls):
            return
        self._slowed_down += 1
        raise NotSoon(
            f"{allowed.silence}: {leaf.tenant} ({leaf.cls}) may bring nothing over it until the office speaks again",
            retry_after=allowed.retry_after,
        )

    async def enter(self, room: Room) -> None:
        """Waits until a request is let in."""
        self._turn()
        if room.state == "waiting":
            await self._wake_of(room)

    async def debit(self, ask: Ask) -> None:
        """Waits until a debit is granted; cancelled, what was granted meanwhile is given back."""
        self._turn()
        if ask.state == "granted":
            return
        try:
            await self._wake_of(ask)
        except BaseException:
            if not self._scheduler.withdraw(ask):
                self.give(ask.leaf, ask.nbytes)
            raise

    def ask(self, leaf: Leaf, nbytes: float, control: bool) -> Ask:
        return self._scheduler.ask(leaf, nbytes, self.clock(), control)

    def reserve(self, leaf: Leaf, nbytes: float, left: float, small: bool, control: bool) -> Room:
        room = self._prepaid.ask(leaf, nbytes, left, self.clock(), small=small, control=control)
        if self.demand is not None:
            self.demand.came(leaf, self.clock())
        return room

    def hold(self, room: Room, nbytes: float, left: float) -> None:
        """A request holds `nbytes` from now on."""
        if self._prepaid.change(room, nbytes, left):
            self._turn()

    def release(self, room: Room, on_its_way: float = 0.0) -> None:
        """A request is over, or waits no more.

        Args:
            room: What it held.
            on_its_way: Debited bytes that may still arrive though nobody reads them: they hold their room for a round
                trip, else bytes would be on the line that `prepaid` does not tell of.
        """
        trip = self._round_trip.smallest
        if on_its_way and trip:
            self._prepaid.change(room, on_its_way, 0.0)
            self._later(trip, lambda: self._leave(room))
        else:
            self._leave(room)

    def _leave(self, room: Room) -> None:
        if room.state != "over":
            self._went(room.leaf)
        if self._prepaid.release(room):
            self._turn()

    def _went(self, leaf: Leaf) -> None:
        """A leaf has one request less; that it wants nothing any more is to be heard when it is so."""
        if self.demand is not None and self.demand.went(leaf, self.clock()):
            self._await_end(leaf, self.demand)

    def _await_end(self, leaf: Leaf, demand: Demand) -> None:
        """Once more where the timer rang early: a loop counts from the beginning of its turn, which may be long."""
        left = demand.ends_in(leaf, self.clock())
        if left:
            self._later(left, lambda: self._await_end(leaf, demand))
        else:
            demand.on_change()

    def spare(self) -> float:
        """Returns the debited bytes that a running request may take beyond its reservation."""
        return self._prepaid.spare()

    def promote(self, ticket: Ask | Room, leaf: Leaf) -> None:
        """Gives what waits (or a running request's room) to another payer."""
        if isinstance(ticket, Ask):
            self._scheduler.promote(ticket, leaf)
        else:
            if self.demand is not None and ticket.state != "over" and ticket.leaf != leaf:
                self.demand.came(leaf, self.clock())
                self._went(ticket.leaf)
            self._prepaid.promote(ticket, leaf)
        self._turn()

    def give(self, leaf: Leaf, nbytes: float) -> None:
        """Credits back."""
        self._scheduler.give(leaf, nbytes)
        self._turn()

    def owe(self, leaf: Leaf, nbytes: float) -> None:
        """Debits what comes without having been asked for."""
        self._scheduler.owe(leaf, nbytes, self.clock())

    def wants(self) -> dict[Leaf, Want]:
        """Returns what each leaf wants that wanted anything of late."""
        if self.demand is None:
            return {}
        now, found = self.clock(), {}
        for leaf in {*self._scheduler.leaves(), *self.demand}:
            if self.demand.over(leaf, now):
                continue
            used, queued, held_back = self._scheduler.demand(leaf, now)
            waiting, running = self._prepaid.backlog(leaf)
            backlog = waiting + (running if held_back else queued)
            want = wanted(used, backlog, held_back or waiting > 0, self.terms.quota)
            if want.rate >= FORGOTTEN:
                found[leaf] = want
        return found

    def answered(self, seconds: float) -> None:
        """The head of an answer came so long after its request had been sent, or a handshake took so long."""
        if self._round_trip.measured(seconds, self.clock()):
            self._scheduler.lead = self._round_trip.smallest
            self._prepaid.set_round_trip(self._round_trip.smallest)
            self._turn()

    # ---- the loop --------------------------------------------------------------------------------------------------

    async def _wake_of(self, ticket: Ask | Room) -> None:
        future = asyncio.get_running_loop().create_future()
        self._futures[ticket] = future
        try:
            await future
        finally:
            del self._futures[ticket]

    def _turn(self) -> None:
        """Wakes whoever may go on now, and sets the timer for the next."""
        now = self.clock()
        if now >= self._until:
            # Before anything is debited: a late timer must not make a lease last longer.
            self._until = math.inf
            self.on_lapse()
        for room in self._prepaid.admitted(self._part):
            self._wake(room)
        for ask in self._scheduler.granted(now):
            self._wake(ask)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._scheduler.next_at(now)
        if due is not None:
            self._timer = self._later(max(0.0, due - now), self._ring)

    def _part(self, leaf: Leaf) -> float:
        """The part of the line that a leaf may hope for."""
        return min(1.0, self._scheduler.hoped(leaf, self.clock()) / (self.terms.main_rate or self.terms.quota))

    def _ring(self) -> None:
        self._timer = None
        self._turn()

    def _wake(self, ticket: Ask | Room) -> None:
        future = self._futures.get(ticket)
        if future is not None and not future.done():
            future.set_result(None)


def _prepaid_rate(terms: Terms) -> float:
    """The rate (bytes/s) that the room is for: without a lease hardly any, but never none."""
    return max(terms.rate, terms.quota * LEAST_PART)
