"""Fairness: tenants share a line by their weights, classes by their order, and a lower class keeps its floor."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real.conftest import Note
from tests.real.lab.carried import OVERHEAD, QUOTA, QUOTA_TEXT, Carried, carrying
from tests.real.lab.load import Get, Loaded
from tests.real.lab.reads import Read, Stage, Thing, stage
from tests.real.lab.regions import policy

pytestmark = pytest.mark.real
MIB = 1 << 20
SETTLED_SECONDS = 2.0
"""Shares follow demand within this; what is compared begins after it."""
WEIGHTS = {"heavy": {"weight": 3}, "light": {"weight": 1}}
FLOORS = {"backfill": {"order": 3, "floor": "10%"}}


@dataclass(frozen=True, slots=True)
class Crowd:
    """Readers of one key: `rate` is the payload that they ask for together, bytes/s; 0 = all they can get."""

    tenant: str
    cls: str = "training"
    readers: int = 16
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What each crowd got, and what the line carried; between `start` and `end` all of them were asking."""

    carried: Carried
    seen: tuple[Loaded, ...]
    start: float
    end: float

    @property
    def rates(self) -> list[float]:
        """Debited bytes/s of each crowd while all were asking, as counted by its readers."""
        return [each.rate_between(self.start, self.end) * OVERHEAD for each in self.seen]


def at_once(running: Stage, crowds: list[Crowd], seconds: float) -> Outcome:
    """All crowds read cold objects of their own for so many seconds; checks every byte, and the quota."""
    plans = [gets_of(running, crowd, int(seconds * 100)) for crowd in crowds]
    with carrying(running) as carried, ExitStack() as stack:
        loads = [
            stack.enter_context(running.loading(gets, crowd.readers, seconds=seconds, rate=crowd.rate / crowd.readers))
            for crowd, gets in zip(crowds, plans, strict=True)
        ]
        seen = tuple(each.result() for each in loads)
    for loaded, plan in zip(seen, plans, strict=True):
        assert loaded.faults == ()
        assert loaded.count < len(plan), "a reader has read something warm"
    start = max(each.started for each in seen) + SETTLED_SECONDS
    return Outcome(carried, seen, start, max(start + 0.5, min(each.started for each in seen) + seconds))


def gets_of(running: Stage, crowd: Crowd, count: int) -> list[Get]:
    """GETs of objects that only this crowd reads."""
    name = f"{crowd.tenant}-{crowd.cls}"
    things = [Thing(f"{name}/{n:04}", 2 * MIB, n % 7) for n in range(count)]
    running.put(things)
    key = running.regions.away.key(name, crowd.tenant, "/ns/data", cls=crowd.cls)
    return running.gets((Read(each, 0, each.size, True) for each in things), key)


def two_tenants(directory: Path, seconds: float, note: Note) -> Outcome:
    with stage(directory, policy(QUOTA_TEXT, overhead=OVERHEAD, tenants=WEIGHTS)) as running:
        outcome = at_once(running, [Crowd("heavy"), Crowd("light")], seconds)
    heavy, light = outcome.rates
    outcome.carried.noted(f"two tenants 3:1, {seconds:.0f} s", note)
    note(
        "their rates",
        f"{heavy / max(light, 1.0):.2f}:1, {(heavy + light) / QUOTA:.1%} of the quota",
        "2.85:1 to 3.15:1, >= 90 %",
    )
    return outcome


def two_classes(directory: Path, seconds: float, part: float, note: Note) -> Outcome:
    """`training` asks for a part of the quota (0: all it can get), `backfill` beside it for all it can get."""
    rules = policy(QUOTA_TEXT, overhead=OVERHEAD, classes=FLOORS)
    crowds = [Crowd("rec", "training", rate=part * QUOTA / OVERHEAD), Crowd("rec", "backfill")]
    with stage(directory, rules) as running:
        outcome = at_once(running, crowds, seconds)
    training, backfill = outcome.rates
    asks = f"{part:.0%} of the quota" if part else "everything"
    outcome.carried.noted(f"training asks {asks}, backfill beside it, {seconds:.0f} s", note)
    note("their parts of the quota", f"{training / QUOTA:.1%}, {backfill / QUOTA:.1%}", WANTED[bool(part)])
    return outcome


WANTED = {True: "what it asks, the rest", False: "quota less the floor of 10 %, the floor"}


def test_two_tenants_of_different_weight_get_right_bytes_within_the_quota(tmp_path: Path, note: Note) -> None:
    assert two_tenants(tmp_path, 4.0, note).carried.within


def test_backfill_beside_training_gets_right_bytes_within_the_quota(tmp_path: Path, note: Note) -> None:
    assert two_classes(tmp_path, 4.0, 0.0, note).carried.within


@pytest.mark.soak
def test_two_tenants_share_a_line_three_to_one(tmp_path: Path, note: Note) -> None:
    outcome = two_tenants(tmp_path, 20.0, note)

    heavy, light = outcome.rates
    assert outcome.carried.within
    assert 3 * 0.95 <= heavy / light <= 3 * 1.05
    assert outcome.carried.share(outcome.start, outcome.end) >= 0.9


@pytest.mark.soak
def test_training_gets_all_but_the_floor_of_backfill(tmp_path: Path, note: Note) -> None:
    outcome = two_classes(tmp_path, 20.0, 0.0, note)

    training, backfill = outcome.rates
    assert outcome.carried.within
    assert training >= 0.95 * (0.99 - 0.10) * QUOTA
    assert backfill >= 0.95 * 0.10 * QUOTA


@pytest.mark.soak
def test_training_gets_what_it_asks_and_backfill_the_rest(tmp_path: Path, note: Note) -> None:
    outcome = two_classes(tmp_path, 20.0, 0.4, note)

    training, backfill = outcome.rates
    assert outcome.carried.within
    assert training >= 0.95 * 0.4 * QUOTA
    assert backfill >= 0.9 * (0.99 - 0.4) * QUOTA
