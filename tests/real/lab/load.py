"""The raw client: plans of signed GETs, worked off by a process of its own, and what came of them."""

import contextlib
import http.client
import json
import re
import signal
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tests.real.lab.process import Child, child
from tests.real.lab.sign import Keys, signed_headers, target_of

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, slots=True)
class Get:
    """One GET and what must come back: `size` bytes (-1: any) of the ramp from `at` on (-1: not checked).

    With `cut` >= 0 the reader resets the connection once it has that many bytes.
    """

    target: str
    headers: dict[str, str]
    status: int = 200
    size: int = -1
    at: int = -1
    shift: int = 0
    cut: int = -1
    method: str = "GET"

    def cut_after(self, nbytes: int) -> "Get":
        return replace(self, cut=nbytes)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a run of the raw client saw. Seconds are monotonic.

    `first`, `last` (seconds to the first and last byte) and `ended_at` are per request, as they ended.
    """

    started: float
    ended: float
    bytes: int
    cut: int
    cpu: float
    statuses: dict[int, int]
    faults: tuple[str, ...]
    first: tuple[float, ...]
    last: tuple[float, ...]
    ended_at: tuple[float, ...]
    timeline: tuple[tuple[float, int], ...]

    @property
    def seconds(self) -> float:
        return self.ended - self.started

    @property
    def count(self) -> int:
        """Requests answered whole."""
        return len(self.last)

    @property
    def rate(self) -> float:
        """Payload bytes/s."""
        return self.bytes / self.seconds

    @property
    def longest(self) -> float:
        """Seconds of the request that took longest."""
        return max(self.last, default=0.0)

    def rate_between(self, start: float, end: float) -> float:
        """Payload bytes/s in [start, end) of the monotonic clock."""
        return sum(n for at, n in self.timeline if start <= at < end) / (end - start)

    def lasts_between(self, start: float, end: float) -> list[float]:
        """Seconds to the last byte of the requests that ended in [start, end) of the monotonic clock."""
        return [took for took, at in zip(self.last, self.ended_at, strict=True) if start <= at < end]

    def percentile(self, percent: int, first: bool = False) -> float:
        """Seconds until the last (or first) byte that so many percent of the requests stayed under."""
        times = self.first if first else self.last
        return statistics.quantiles(times, n=100)[percent - 1] if len(times) > 1 else times[0]


def get(
    host: str,
    bucket: str,
    key: str,
    keys: Keys | None,
    *,
    size: int,
    span: tuple[int, int] | None = None,
    shift: int = 0,
    checked: bool = True,
    headers: dict[str, str] | None = None,
) -> Get:
    """A GET of an object of `size` ramp bytes, whole or the half-open `span`; signed unless `keys` is None."""
    target = target_of(bucket, key)
    made = signed_headers("GET", host, target, keys) if keys else {"host": host}
    made |= headers or {}
    if span is None:
        return Get(target, made, 200, size, 0 if checked else -1, shift)
    made["range"] = f"bytes={span[0]}-{span[1] - 1}"
    end = min(span[1], size)
    return Get(target, made, 206, end - span[0], span[0] if checked else -1, shift)


@contextlib.contextmanager
def loading(
    to: str,
    gets: Iterable[Get],
    directory: Path,
    *,
    connections: int = 1,
    begins: float = 0.0,
    seconds: float = 0.0,
    rate: float = 0.0,
    receive_buffer: int = 0,
    heed: bool = False,
    patient: bool = False,
    lasting: bool = False,
    cpu: int | None = None,
    netns: str | None = None,
) -> Iterator["Load"]:
    """Starts the raw client beside what the `with` does; `load.result()` waits for it.

    With `begins` (monotonic seconds) it asks from that moment on: what its start takes is over by then.
    With `heed` a connection that is answered Retry-After waits as long, as SDKs do; with
    `patient` one that finds nobody listening tries again until `seconds` are over. With `lasting` it goes round the
    plan until it is told to end.
    """
    name = f"load-{uuid.uuid4().hex[:8]}"
    plan = directory / f"{name}.plan"
    with plan.open("w") as out:
        out.writelines(json.dumps(asdict(one)) + "\n" for one in gets)
    args = [sys.executable, "-m", "tests.real.lab.loadprocess", "--to", to, "--plan", str(plan)]
    args += ["--connections", str(connections), "--seconds", str(seconds), "--rate", str(rate)]
    args += ["--begins", str(begins), "--receive-buffer", str(receive_buffer), *(["--heed"] if heed else [])]
    args += ["--patient"] if patient else []
    begun = plan.with_suffix(".begun")
    args += ["--begun", str(begun), *(["--lasting"] if lasting else [])]
    with child(name, args, directory, cpu=cpu, netns=netns, env={"PYTHONPATH": str(ROOT)}) as process:
        yield Load(process, begun)


class Load:
    """A raw client under way."""

    def __init__(self, process: Child, begun: Path) -> None:
        self.process = process
        self._begun = begun

    def wait_begun(self) -> None:
        """Waits until it has its first answer."""
        self.process.wait_until(self._begun.exists)

    def end(self) -> None:
        """Tells a lasting one that has begun to end: what is under way is read to its end."""
        self.process.process.send_signal(signal.SIGTERM)

    def result(self, seconds: float = 600.0) -> Loaded:
        """Waits for its end; raises if it failed to run at all. Wrong answers are in `faults`."""
        try:
            status = self.process.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"the raw client still runs after {seconds} s: {self.process.tail()}") from None
        if status != 0:
            raise ChildProcessError(f"the raw client exited with {status}:\n{self.process.tail()}")
        told: dict[str, Any] = json.loads(self.process.log.read_text())
        told["statuses"] = {int(status): count for status, count in told["statuses"].items()}
        told["timeline"] = tuple((at, int(n)) for at, n in told["timeline"])
        for name in ("faults", "first", "last", "ended_at"):
            told[name] = tuple(told[name])
        return Loaded(**told)


def load(to: str, gets: Iterable[Get], directory: Path, **more: Any) -> Loaded:
    """Runs the raw client to its end. Takes what `loading` takes."""
    with loading(to, gets, directory, **more) as under_way:
        return under_way.result()


_NEXT = re.compile(rb"<NextContinuationToken>([^<]*)</NextContinuationToken>")
_KEY = re.compile(rb"<Contents><Key>([^<]*)</Key>|<Key>([^<]*)</Key>")


def list_all(address: str, bucket: str, prefix: str, keys: Keys) -> tuple[list[bytes], float]:
    """Lists a prefix with ListObjectsV2 on one connection; returns the keys as sent, and the seconds it took."""
    connection = http.client.HTTPConnection(address)
    found: list[bytes] = []
    query = {"list-type": "2", "prefix": prefix, "max-keys": "1000"}
    started = time.monotonic()
    try:
        while True:
            target = target_of(bucket, "", query)
            connection.request("GET", target, headers=signed_headers("GET", address, target, keys))
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise AssertionError(f"list answered {answer.status}: {body[:500]!r}")
            found += [first or second for first, second in _KEY.findall(body)]
            token = _NEXT.search(body)
            if token is None:
                return found, time.monotonic() - started
            query["continuation-token"] = token.group(1).decode().replace("&amp;", "&")
    finally:
        connection.close()
