"""A supervisor's thinking: told of its workers' ends, words and signals, it says what to do. A core, told the time.

A worker that dies is started again, at once where it lived long, later and later where it did not; ten deaths in a
minute end the node loudly. A reload restarts one after the other, the next when the one before is ready again.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

LIVED_SECONDS = 10.0
"""A worker that died after this is started again at once."""
FIRST_PAUSE_SECONDS = 0.125
LONGEST_PAUSE_SECONDS = 4.0
MOST_DEATHS = 10
WITHIN_SECONDS = 60.0
KILL_SECONDS = 30.0
"""A worker that was told to end and has not by then is killed: longer than the grace of running replies."""
REPLACED = 3
"""Exit code of a worker whose name another process took."""
FAULT = 1


class Phase(StrEnum):
    """What a worker is doing."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    ENDING = "ending"
    QUIET = "quiet"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Start:
    """Start a worker."""

    number: int


@dataclass(frozen=True, slots=True)
class End:
    """Tell a worker to end; one that was told before cuts its replies."""

    number: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End a worker that does not end by itself."""

    number: int


@dataclass(frozen=True, slots=True)
class LetGo:
    """Tell a worker whose replies have ended that no sibling needs it any more."""

    number: int


@dataclass(frozen=True, slots=True)
class Lost:
    """Have a sibling tell the region's members that the last process of a worker has ended, and is not back at once."""

    number: int


@dataclass(frozen=True, slots=True)
class Ready:
    """All workers serve for the first time."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """All workers have been started anew."""


@dataclass(frozen=True, slots=True)
class Died:
    """An operator hears of it. `pause` is how long it takes until the worker is started again, seconds."""

    number: int
    code: int
    pause: float


@dataclass(frozen=True, slots=True)
class Over:
    """No worker is left. `why` says why the node gave up, empty where it was told to end."""

    code: int
    why: str = ""


Deed = Start | End | Kill | LetGo | Lost | Ready | Reloaded | Died | Over


@dataclass(slots=True)
class Charge:
    """One worker. `at` is when it is to be started, was started, or was told to end; `short` how often it died young;
    `fresh` whether it goes by the newest settings."""

    phase: Phase = Phase.WAITING
    at: float = 0.0
    short: int = 0
    fresh: bool = True


@dataclass(slots=True)
class Care:
    """Mutable state: all workers' phases, deaths of the last minute, whether a reload is under way."""

    workers: int
    code: int = 0
    charges: list[Charge] = field(init=False)
    _deaths: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_DEATHS))
    _rolling: bool = False
    _announced: bool = False
    _stopping: bool = False
    _why: str = ""

    def __post_init__(self) -> None:
        self.charges = [Charge() for _ in range(self.workers)]

    def begin(self, now: float) -> list[Deed]:
        """The node starts."""
        return self.tick(now)

    def ready(self, number: int, now: float) -> list[Deed]:
        """A worker serves."""
        charge = self.charges[number]
        if charge.phase is not Phase.STARTING:
            return []
        charge.phase = Phase.READY
        if not self._announced and all(one.phase is Phase.READY for one in self.charges):
            self._announced = True
            return [Ready()]
        return self._roll(now)

    def quiet(self, number: int, now: float) -> list[Deed]:
        """A worker that was told to end has no running reply any more, and still serves its siblings."""
        charge = self.charges[number]
        if charge.phase is Phase.ENDING:
            charge.phase = Phase.QUIET
        return self._let_go() if self._stopping else [LetGo(number)]

    def ended(self, number: int, code: int, now: float) -> list[Deed]:
        """A worker's process is gone; `code` is negative where a signal ended it."""
        charge = self.charges[number]
        before, charge.phase = charge.phase, Phase.GONE
        if self._stopping:
            return self._let_go() or self._over()
        if before in {Phase.ENDING, Phase.QUIET}:  # as a reload wanted it
            return self._again(number, now, 0.0)
        if code == REPLACED:
            return self._give_up(now, code, "another node took this one's name; see its worker's words above")
        if code == FAULT and not self._announced and before is Phase.STARTING:
            return self._give_up(now, FAULT, f"worker {number} cannot start; see its words above")
        return self._died(number, code, now)

    def stop(self, now: float) -> list[Deed]:
        """The node is to end; told again, running replies are cut."""
        self._stopping, self._rolling = True, False
        deeds: list[Deed] = []
        for number, charge in enumerate(self.charges):
            if charge.phase is Phase.WAITING:
                charge.phase = Phase.GONE
            elif charge.phase is not Phase.GONE:
                deeds.append(End(number))
                if charge.phase not in {Phase.ENDING, Phase.QUIET}:
                    charge.phase, charge.at = Phase.ENDING, now
        return deeds or self._over()

    def reload(self, now: float) -> list[Deed]:
        """All are to be started anew by newer settings, one after the other."""
        if self._stopping or not self._announced:
            return []
        self._rolling = True
        for one in self.charges:
            # One that waits, or ends, is started by the newest settings; one that starts has read the former.
            one.fresh = one.phase in {Phase.WAITING, Phase.ENDING, Phase.QUIET}
        return self._roll(now)

    def tick(self, now: float) -> list[Deed]:
        """What is due by now."""
        deeds: list[Deed] = []
        for number, charge in enumerate(self.charges):
            if charge.phase is Phase.WAITING and charge.at <= now:
                charge.phase, charge.at = Phase.STARTING, now
                deeds.append(Start(number))
            elif charge.phase in {Phase.ENDING, Phase.QUIET} and now - charge.at >= KILL_SECONDS:
                charge.at = now
                deeds.append(Kill(number))
        return deeds

    def wait(self, now: float) -> float | None:
        """Seconds until something is due; None: nothing is."""
        due = [one.at for one in self.charges if one.phase is Phase.WAITING]
        due += [one.at + KILL_SECONDS for one in self.charges if one.phase in {Phase.ENDING, Phase.QUIET}]
        return max(0.0, min(due) - now) if due else None

    def _roll(self, now: float) -> list[Deed]:
        """Ends the next one, once all others serve."""
        if not self._rolling or any(one.phase is not Phase.READY for one in self.charges):
            return []
        for number, one in enumerate(self.charges):
            if not one.fresh:
                one.phase, one.at, one.fresh = Phase.ENDING, now, True
                return [End(number)]
        self._rolling = False
        return [Reloaded()]

    def _died(self, number: int, code: int, now: float) -> list[Deed]:
        charge = self.charges[number]
        self._deaths.append(now)
        if len(self._deaths) == MOST_DEATHS and now - self._deaths[0] < WITHIN_SECONDS:
            why = f"{MOST_DEATHS} deaths of workers within {WITHIN_SECONDS:.0f} s; see their words above"
            return [Died(number, code, 0.0), Lost(number), *self._give_up(now, FAULT, why)]
        charge.short = charge.short + 1 if now - charge.at < LIVED_SECONDS else 0
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**charge.short) if charge.short else 0.0
        # One that is back at once takes its name over itself, and nothing of what it owned moves meanwhile.
        lost: list[Deed] = [Lost(number)] if pause else []
        return [Died(number, code, pause), *lost, *self._again(number, now, pause)]

    def _again(self, number: int, now: float, pause: float) -> list[Deed]:
        charge = self.charges[number]
        charge.phase, charge.at = Phase.WAITING, now + pause
        return self.tick(now)

    def _give_up(self, now: float, code: int, why: str) -> list[Deed]:
        self.code, self._why = code, why
        return self.stop(now)

    def _let_go(self) -> list[Deed]:
        """Siblings read through one another until the last reply has ended."""
        left = [number for number, one in enumerate(self.charges) if one.phase is not Phase.GONE]
        if any(self.charges[number].phase is not Phase.QUIET for number in left):
            return []
        return [LetGo(number) for number in left]

    def _over(self) -> list[Deed]:
        if any(one.phase is not Phase.GONE for one in self.charges):
            return []
        return [Over(self.code, self._why)]
