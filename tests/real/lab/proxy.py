"""The test's handle on a counting proxy: a line's (or a bucket's) bytes, counted outside the program."""

import bisect
import contextlib
import json
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import accumulate
from pathlib import Path
from typing import Any

from gateway.demo.httpcount import Exchange
from tests.real.lab.process import Child, child, free_port


@dataclass(slots=True)
class Passed(Exchange):
    """An exchange that passed the proxy.

    The reader's kernel took `payload` bytes of its answer at least, and `unsure` more at most: these had left for it
    and were not acknowledged when the connection ended early.
    """

    unsure: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What has passed. `timeline` holds (monotonic seconds, wire bytes, payload bytes) towards the reader.

    The readers' kernels took `payload` bytes at least, and `unsure` more at most (`Passed`): what must have passed is
    compared with the sum, what may have passed at most with `payload`. `buffer` is the largest receive buffer that a
    reader of this machine has connected with, bytes as read back.
    """

    up_wire: int
    down_wire: int
    payload: int
    unsure: int
    accepted: int
    open: int
    buffer: int
    faults: tuple[str, ...]
    timeline: tuple[tuple[float, int, int], ...]
    exchanges: tuple[Passed, ...]

    def of(self, method: str = "GET", containing: str = "", statuses: tuple[int, ...] = (200, 206)) -> list[Passed]:
        """The exchanges of a kind."""
        return [
            one
            for one in self.exchanges
            if one.method == method and containing in one.target and one.status in statuses
        ]

    def payload_of(self, method: str = "GET", containing: str = "", statuses: tuple[int, ...] = (200, 206)) -> int:
        """Their payload."""
        return sum(one.payload for one in self.of(method, containing, statuses))

    def unsure_of(self, method: str = "GET", containing: str = "", statuses: tuple[int, ...] = (200, 206)) -> int:
        """What more of them may have been taken."""
        return sum(one.unsure for one in self.of(method, containing, statuses))

    def between(self, start: float, end: float, wire: bool = False) -> int:
        """Payload (or wire) bytes with a timestamp in [start, end)."""
        return sum(w if wire else p for at, w, p in self.timeline if start <= at < end)

    def most_in(self, seconds: float, wire: bool = False) -> int:
        """The most payload (or wire) bytes in any window of `seconds`."""
        times = [at for at, _, _ in self.timeline]
        sums = [0, *accumulate(w if wire else p for _, w, p in self.timeline)]
        return max((sums[bisect.bisect_left(times, at + seconds)] - sums[i] for i, at in enumerate(times)), default=0)


class CountingProxy:
    """A running proxy. `address` is where to connect; `url` the same as an http URL."""

    def __init__(self, host: str, port: int, control: Path, process: Child) -> None:
        self.host, self.port, self.process = host, port, process
        self._control = str(control)

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def report(self) -> Report:
        """What has passed since the last reset; raises if anything could not be parsed (then nothing is exact)."""
        told = self._ask("report")
        told["timeline"] = tuple((at, int(wire), int(payload)) for at, wire, payload in told["timeline"])
        told["exchanges"] = tuple(Passed(**one) for one in told["exchanges"])
        told["faults"] = tuple(told["faults"])
        report = Report(**{one.name: told[one.name] for one in fields(Report)})
        if report.faults:
            raise AssertionError(f"the proxy could not count: {report.faults[:3]}")
        return report

    def settled(self) -> Report:
        """As `report`, once each answer has come whole or its connection has ended; call it when nothing is asked."""
        report = self.report()
        while not all(one.whole or one.ended_at for one in report.exchanges):
            self.process.check()
            report = self.report()
        return report

    def reset(self) -> None:
        """Counts from now on; call it while nothing is under way."""
        self._ask("reset")

    def cut(self) -> None:
        """Resets every open connection."""
        self._ask("cut")

    def refuse(self, on: bool) -> None:
        """While on, new connections are reset: the far side is away."""
        self._ask(f"refuse {'on' if on else 'off'}")

    def pause(self) -> None:
        """Nothing more reaches the reader until `resume`: a stall."""
        self._ask("pause")

    def pause_after(self, payload: int) -> None:
        """As `pause`, once so many bytes of payload have passed since the last reset, and one send more at most."""
        self._ask(f"pause after {payload}")

    def resume(self) -> None:
        self._ask("resume")

    def _ask(self, command: str) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(60)
            sock.connect(self._control)
            sock.sendall(command.encode() + b"\n")
            with sock.makefile("rb") as lines:
                told: dict[str, Any] = json.loads(lines.readline())
        if "error" in told:
            raise ValueError(told["error"])
        return told


@contextlib.contextmanager
def counting_proxy(
    to: str,
    directory: Path,
    *,
    name: str = "proxy",
    frames: bool = False,
    raw: bool = False,
    host: str = "127.0.0.1",
    port: int | None = None,
    netns: str | None = None,
    cpu: int | None = None,
) -> Iterator[CountingProxy]:
    """Runs a proxy in front of `to` (host:port). `frames`: chunked answers are frames between nodes."""
    port = port or free_port()
    control = directory / f"{name}.sock"
    args = [sys.executable, "-m", "tests.real.lab.proxyprocess", "--listen", f"{host}:{port}", "--to", to]
    args += ["--control", str(control), *(["--frames"] if frames else []), *(["--raw"] if raw else [])]
    root = Path(__file__).parents[3]
    with child(name, args, directory, netns=netns, cpu=cpu, env={"PYTHONPATH": str(root)}) as process:
        process.wait_until(control.exists)
        yield CountingProxy(host, port, control, process)
