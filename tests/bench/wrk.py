"""wrk as the client of the hit benches: requests made and signed beforehand, sent round and round by one thread."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.real.lab.load import Get
from tests.real.lab.process import tool

CLIENT_CORE = 1

# Requests are separated by a line that no request holds.
_SCRIPT = """
local requests, at = {}, 0
function init(args)
  local text = io.open(args[1], "rb"):read("*a")
  for one in text:gmatch("(.-)\\n%-%-%-%-\\n") do requests[#requests + 1] = one end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency)
  local e = summary.errors
  print(string.format('RESULT {"requests": %d, "seconds": %f, "bytes": %d, "errors": %d, "p50": %f, "p99": %f}',
    summary.requests, summary.duration / 1e6, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1e6, latency:percentile(99) / 1e6))
end
"""


@dataclass(frozen=True, slots=True)
class Ridden:
    """What wrk says: `bytes` are all that it read, heads too; latencies are seconds."""

    requests: int
    seconds: float
    bytes: int
    errors: int
    p50: float
    p99: float


class Wrk:
    """A prepared run: the requests are written once, for as many rides as are wanted."""

    def __init__(self, gets: Sequence[Get], directory: Path, name: str) -> None:
        self._program = tool("wrk")
        self._script = directory / "wrk.lua"
        self._script.write_text(_SCRIPT)
        self._requests = directory / f"{name}.requests"
        with self._requests.open("w", newline="") as out:
            for one in gets:
                headers = "".join(f"{header}: {value}\r\n" for header, value in one.headers.items())
                out.write(f"{one.method} {one.target} HTTP/1.1\r\n{headers}\r\n\n----\n")

    def ride(self, address: str, connections: int, seconds: float) -> Ridden:
        """Loads a server from the client's core; raises if any answer was not a success."""
        args = ["taskset", "-c", str(CLIENT_CORE), self._program, "-t1", f"-c{connections}", f"-d{seconds:g}s"]
        args += ["--timeout", "60s", "-s", str(self._script), f"http://{address}", "--", str(self._requests)]
        said = subprocess.run(args, capture_output=True, text=True, check=True, timeout=seconds + 120).stdout
        told = next(line for line in said.splitlines() if line.startswith("RESULT "))
        ridden = Ridden(**json.loads(told.removeprefix("RESULT ")))
        if ridden.errors:
            raise AssertionError(f"{ridden.errors} of {ridden.requests} answers of {address} were no success:\n{said}")
        return ridden
