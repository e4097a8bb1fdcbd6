"""What interfaces carried: the kernel's own counters, read from outside the program, with the time of each reading."""

import bisect
import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.real.lab.process import within

_PROMPT_SECONDS = 0.002


class Interface:
    """The counters of one device in a namespace; they may be read from any thread while the namespace lives."""

    def __init__(self, netns: str, device: str) -> None:
        self.netns, self.device = netns, device
        # proc(5): the file shows the namespace of the thread that opened it, for as long as it is open.
        self._file = within(netns, lambda: os.open("/proc/thread-self/net/dev", os.O_RDONLY))()

    def received(self) -> int:
        """Bytes that came in, with the headers of their link."""
        return self._counted(0)

    def sent(self) -> int:
        """Bytes that went out, with the headers of their link."""
        return self._counted(8)

    def packets_received(self) -> int:
        return self._counted(1)

    def close(self) -> None:
        os.close(self._file)

    def _counted(self, column: int) -> int:
        text = os.pread(self._file, 1 << 16, 0).decode()
        for line in text.splitlines():
            name, colon, numbers = line.partition(":")
            if colon and name.strip() == self.device:
                return int(numbers.split()[column])
        raise LookupError(f"there is no device {self.device} in {self.netns}:\n{text}")


@dataclass(slots=True)
class Sampled:
    """What a counter said over time: (monotonic seconds, bytes since the beginning)."""

    samples: list[tuple[float, int]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Bytes from the first reading to the last."""
        return self.samples[-1][1] - self.samples[0][1]

    @property
    def seconds(self) -> float:
        """From the first byte to the last, as far as readings tell."""
        first, last = self.samples[0][1], self.samples[-1][1]
        begun = max(at for at, counted in self.samples if counted == first)
        return max(0.0, min(at for at, counted in self.samples if counted == last) - begun)

    def windows(self, seconds: float) -> list[tuple[float, float, int]]:
        """(start, seconds, bytes) of the shortest window of at least so many seconds from each reading on.

        A window is as long as its two readings are apart: a reader that was held up makes windows longer, not fuller.
        """
        times = [at for at, _ in self.samples]
        found = []
        for start, before in self.samples:
            end = bisect.bisect_left(times, start + seconds)
            if end < len(times):
                found.append((start, times[end] - start, self.samples[end][1] - before))
        return found

    def most_above(self, rate: float, seconds: float = 1.0) -> float:
        """The most bytes by which any such window is above `rate` (bytes/s) times its own length; may be negative."""
        return max((nbytes - rate * length for _, length, nbytes in self.windows(seconds)), default=0.0)

    def between(self, start: float, end: float) -> int:
        """Bytes of the readings in [start, end]."""
        inside = [counted for at, counted in self.samples if start <= at <= end]
        return inside[-1] - inside[0] if inside else 0

    def rate_between(self, start: float, end: float) -> float:
        """Bytes/s of the readings in [start, end]."""
        inside = [(at, counted) for at, counted in self.samples if start <= at <= end]
        if len(inside) < 2:
            return 0.0
        return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])


@contextlib.contextmanager
def sampled(read: Callable[[], int], every: float = 0.02) -> Iterator[Sampled]:
    """Reads a counter every so many seconds while the `with` runs, and once at each end."""
    seen, over = Sampled(), threading.Event()

    def sample() -> None:
        while True:
            before, counted, after = time.monotonic(), read(), time.monotonic()
            # One that was held up between its clock and its counter is taken again: its window would not be its own.
            if after - before < _PROMPT_SECONDS:
                seen.samples.append((after, counted))
                return

    def watch() -> None:
        while not over.wait(every):
            sample()

    sample()
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
        sample()
