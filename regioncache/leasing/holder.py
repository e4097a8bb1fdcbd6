"""What a node holds of one line: its grant in force, put to the line, and what the node tells of it.

The line's terms follow `policy.leases.holding` at every moment: lease, hold, safe rate, nothing (line-rules, Fail
static). No I/O here; `talking` brings grants and takes reports.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from policy.leases.holding import Allowance, Holding, State
from policy.leases.messages import Report
from policy.units import show_rate
from regioncache.leasing.wire import Granted
from regioncache.lines.line import Line
from regioncache.lines.terms import Allowed
from regioncache.tidings import Tidings

PATIENCE_SECONDS = 5.0
"""How long reads wait for a first lease before they are told to come again: an office is found within a second."""
RETRY_SECONDS = 10.0
"""After which they are to come again while the office is silent."""


@dataclass(frozen=True, slots=True)
class LeaseStatistics:
    """What a node holds of one line at this moment; rates in debited bytes/s."""

    line: str
    state: State
    rate: float
    burst: float
    safe: float
    office: str
    """Where the office is, as far as is known; empty: it was not found yet."""
    office_region: str
    epoch: int
    """Of the office that made the grant; 0: nothing was ever granted."""
    silent_seconds: float
    """Since the office said anything; 0 while it speaks."""
    left_seconds: float
    """Until another state begins; inf: it stays."""


class Leaseholder:
    """Mutable state: the holding, when the office was heard last, and what was told of that."""

    def __init__(
        self,
        line: Line,
        node: str,
        office_region: str,
        clock: Callable[[], float],
        wall: Callable[[], float],
        tidings: Tidings,
    ) -> None:
        """Args: clock: monotonic seconds. wall: seconds since the epoch. Nothing is held before `restart`."""
        self.line = line
        self.office_region = office_region
        self.office = ""
        """Where the office is: for people."""
        self._clock = clock
        self._wall = wall
        self._tidings = tidings
        self._holding = Holding(node, 0)
        self._control = 0.0, 0.0
        self._began = self._heard = clock()
        self._heard_wall = wall()
        self.speaks = False
        """Whether the office is connected and speaks; whoever talks to it says when it does not."""
        self._told: State | None = None
        self._complained = ""
        self._ended = False
        line.on_lapse(self._lapsed)
        self._apply(self._began)

    def __repr__(self) -> str:
        return f"<Leaseholder of {self.line.name}: {self._holding!r}>"

    @property
    def name(self) -> tuple[str, int]:
        """The node and its process epoch."""
        return self._holding.node, self._holding.process

    @property
    def unsaid(self) -> bool:
        """Whether the office does not know yet which grant was taken: it counts the former one too until it does."""
        return self._holding.unsaid

    @property
    def shrunk(self) -> bool:
        """Whether others wait for the office to hear that less is held."""
        return self._holding.shrunk

    def report(self, epoch: int) -> Report:
        """Returns what is to be told at once to the office of that epoch."""
        debited = max(0.0, self.line.statistics().debited)
        return self._holding.report(epoch, self.line.wants(), debited, self._clock())

    def end(self, why: str) -> None:
        """Nothing may be brought any more; `why` is what is told to who would."""
        self._ended = True
        self.line.allow(Allowed(silence=why, retry_after=RETRY_SECONDS))

    def restart(self, process: int) -> None:
        """Goes on as another process would: what was held is given up before the office hears of it."""
        self._holding = Holding(self._holding.node, process)
        self._began, self._told = self._clock(), None
        self._apply(self._began)

    @property
    def leased(self) -> bool:
        """Whether a lease is in force."""
        return self._holding.allowance(self._clock()).state == "leased"

    def hear(self, granted: Granted | None) -> bool:
        """The office said something; returns whether it was a grant that is in force now."""
        self._heard, self._heard_wall, self.speaks = self._clock(), self._wall(), True
        if granted is None or not self._holding.take(granted.grant, self._heard):
            return False
        self._control = granted.control_rate, granted.control_burst
        self._apply(self._heard)
        return True

    def complain(self, why: str) -> None:
        """The office was not reached: says why, once, where that lasts and no lease is in force."""
        if why != self._complained and not self.leased and self._clock() - self._heard > PATIENCE_SECONDS:
            self._complained = why
            self._tidings.warning(f"line {self.line.name}: {why}")

    def look(self) -> None:
        """Puts in force what holds now, where that has changed by time alone."""
        allowed = self.line.allowed
        if allowed is not None and allowed.until <= self._clock():
            self._lapsed()

    def statistics(self) -> LeaseStatistics:
        now = self._clock()
        held, grant = self._holding.allowance(now), self._holding.grant
        return LeaseStatistics(
            line=self.line.name,
            state=held.state,
            rate=held.rate,
            burst=held.burst,
            safe=0.0 if grant is None else grant.safe.rate,
            office=self.office,
            office_region=self.office_region,
            epoch=self._holding.held.office,
            silent_seconds=0.0 if self.speaks else now - self._heard,
            left_seconds=held.until - now,
        )

    def _lapsed(self) -> None:
        """What was in force has run out, perhaps a while ago: each stretch since counts by its own rate."""
        now = self._clock()
        while (allowed := self.line.allowed) is not None and allowed.until <= now:
            self._apply(allowed.until)

    def _apply(self, at: float) -> None:
        """Puts in force what holds from `at` on."""
        if self._ended:
            return
        held, patient_until = self._holding.allowance(at), self._began + PATIENCE_SECONDS
        waiting = held.state == "none" and at < patient_until
        silence = "" if held.state == "leased" or waiting else self._silence(held.state)
        control = self._control if held.state in {"leased", "hold", "static"} else (0.0, 0.0)
        until = patient_until if waiting else held.until
        allowed = Allowed(held.rate, held.burst, held.leaves, held.ceils, *control, until, silence, RETRY_SECONDS)
        self.line.allow(allowed, at)
        if held.state != self._told and not waiting:
            self._told = held.state
            self._tell(held, silence, at)

    def _silence(self, state: State) -> str:
        name = f"the lease office of line {self.line.name} (in {self.office_region})"
        if state == "none" and self.speaks:
            return f"{name} has granted nothing yet"
        since = datetime.fromtimestamp(self._heard_wall, UTC)
        return f"{name} is silent since {since:%Y-%m-%d %H:%M:%S} UTC"

    def _tell(self, held: Allowance, silence: str, at: float) -> None:
        """Says a change in one sentence."""
        if held.state == "leased":
            self._tidings.news(
                f"the lease office of line {self.line.name} (in {self.office_region}) grants this node room"
            )
        elif held.rate:
            self._tidings.warning(
                f"{silence}: this node goes on at {show_rate(held.rate)} for {held.until - at:.0f} s, prefetch and"
                " backfill wait"
            )
        else:
            self._tidings.warning(f"{silence}: what is not cached and would cross it is refused until it speaks")
