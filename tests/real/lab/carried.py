"""What a line carried, against what its quota allows: counted outside the program, in debited bytes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.real.conftest import Note
from tests.real.lab.proxy import Report
from tests.real.lab.reads import Stage, watched_prepaid

QUOTA_TEXT = "200 Mbit/s"
QUOTA = 25_000_000
OVERHEAD = 1.06
BURST = 262_144
"""10 ms of the quota are less than one step, which is the least."""


@dataclass(slots=True)
class Carried:
    """The outside count, and the most that the program said was prepaid; filled in when the watching ends."""

    report: Report | None = None
    prepaid: int = 0

    @property
    def outside(self) -> Report:
        assert self.report is not None, "ask after the `with`"
        return self.report

    def bound(self, seconds: float) -> float:
        """Debited bytes that may pass in an interval of so many seconds."""
        return (QUOTA * seconds + BURST + self.prepaid) * 1.02

    @property
    def most_in_a_second(self) -> float:
        """Debited bytes."""
        return self.outside.most_in(1.0) * OVERHEAD

    @property
    def whole(self) -> tuple[float, float]:
        """Debited bytes, and the seconds from the first to the last of them."""
        times = [at for at, _, _ in self.outside.timeline]
        return self.outside.payload * OVERHEAD, times[-1] - times[0]

    @property
    def within(self) -> bool:
        """Whether any 1 s and the whole kept the quota."""
        debited, seconds = self.whole
        return self.most_in_a_second <= self.bound(1.0) and debited <= self.bound(seconds)

    def share(self, start: float, end: float) -> float:
        """Of the quota, debited in [start, end) of the monotonic clock."""
        return self.outside.between(start, end) * OVERHEAD / (QUOTA * (end - start))

    def noted(self, what: str, note: Note) -> None:
        debited, seconds = self.whole
        note(
            what,
            f"{self.most_in_a_second / 1e6:.1f} MB in the fullest second, {debited / 1e6:.1f} MB in {seconds:.1f} s",
            f"<= {self.bound(1.0) / 1e6:.1f} MB, <= {self.bound(seconds) / 1e6:.1f} MB ({self.prepaid} B prepaid)",
        )


@contextmanager
def carrying(running: Stage) -> Iterator[Carried]:
    """Counts what passes inside the `with`."""
    carried = Carried()
    running.regions.line.reset()
    with watched_prepaid(running.regions.away) as prepaid:
        yield carried
    carried.report, carried.prepaid = running.regions.line.report(), prepaid.most
