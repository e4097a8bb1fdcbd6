"""Quota: a line never carries more than its policy says, counted outside the program with timestamps."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real.conftest import Note
from tests.real.lab.proxy import Report
from tests.real.lab.reads import Read, Stage, Thing, stage, watched_prepaid
from tests.real.lab.regions import policy
from tests.real.lab.unlimited import unlimited

pytestmark = pytest.mark.real
MIB = 1 << 20
READERS = 16
QUOTA = 25_000_000
OVERHEAD = 1.06
BURST = 262_144
"""10 ms of the quota are less than one step, which is the least."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What the line carried: the outside count, and the most that the program said was prepaid."""

    report: Report
    prepaid: int
    seconds: float

    def bound(self, seconds: float) -> float:
        """Debited bytes that may pass in an interval of so many seconds."""
        return (QUOTA * seconds + BURST + self.prepaid) * 1.02

    @property
    def most_in_a_second(self) -> float:
        """Debited bytes."""
        return self.report.most_in(1.0) * OVERHEAD

    @property
    def whole(self) -> tuple[float, float]:
        """Debited bytes, and the seconds from the first to the last of them."""
        times = [at for at, _, _ in self.report.timeline]
        return self.report.payload * OVERHEAD, times[-1] - times[0]

    @property
    def within(self) -> bool:
        """Whether any 1 s and the whole kept the quota."""
        debited, seconds = self.whole
        return self.most_in_a_second <= self.bound(1.0) and debited <= self.bound(seconds)

    @property
    def share(self) -> float:
        """Of the quota, debited while all readers were asking."""
        start = self.report.timeline[0][0]
        return self.report.between(start, start + self.seconds) * OVERHEAD / (QUOTA * self.seconds)

    def noted(self, what: str, note: Note) -> None:
        debited, seconds = self.whole
        note(
            what,
            f"{self.most_in_a_second / 1e6:.1f} MB in the fullest second, {debited / 1e6:.1f} MB in {seconds:.1f} s",
            f"<= {self.bound(1.0) / 1e6:.1f} MB, <= {self.bound(seconds) / 1e6:.1f} MB ({self.prepaid} B prepaid)",
        )


@contextmanager
def pair(directory: Path, **away: object) -> Iterator[Stage]:
    with stage(directory, policy("200 Mbit/s", overhead=OVERHEAD), **away) as running:
        yield running


def carried(running: Stage, seconds: float) -> Carried:
    """Sixteen readers read cold objects of 4 MiB for so many seconds; checks every byte."""
    things = [Thing(f"{n:04}", 4 * MIB, n % 7) for n in range(int(seconds * 200) + READERS)]
    running.put(things)
    running.regions.line.reset()
    with watched_prepaid(running.regions.away) as prepaid:
        seen = running.load(running.gets(Read(each, 0, each.size, True) for each in things), READERS, seconds=seconds)
    assert seen.faults == ()
    assert seen.count < len(things), "a reader has read something warm"
    return Carried(running.regions.line.report(), prepaid.most, seconds)


def test_sixteen_readers_never_exceed_the_quota_in_any_second(tmp_path: Path, note: Note) -> None:
    with pair(tmp_path) as running:
        seen = carried(running, 6.0)

    seen.noted("quota of 200 Mbit/s, 6 s", note)
    assert seen.within


def test_without_the_limiter_the_same_readers_exceed_it(tmp_path: Path, note: Note) -> None:
    with pair(tmp_path, before=unlimited()) as running:
        seen = carried(running, 3.0)

    seen.noted("the same without a limiter, 3 s", note)
    assert seen.most_in_a_second > seen.bound(1.0)
    assert not seen.within


@pytest.mark.soak
def test_sixteen_readers_get_nine_tenths_of_the_quota_for_20_s(tmp_path: Path, note: Note) -> None:
    with pair(tmp_path) as running:
        seen = carried(running, 20.0)

    seen.noted("quota of 200 Mbit/s, 20 s", note)
    note("share of the quota, 20 s", f"{seen.share:.1%}", ">= 90 %")
    assert seen.within
    assert seen.share >= 0.9
