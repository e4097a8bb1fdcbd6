"""Two network namespaces joined by a long line: 40 ms each way by packet, jumbo frames so that it costs little CPU.

`with long_line() as line:` gives `line.near` and `line.far`, each a namespace with an address; processes are started
inside by `child(..., netns=line.near.name)`. Needs root; nothing is left behind, whatever happens inside.
"""

import contextlib
import ipaddress
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.real.lab.process import cpu_seconds, tool

JUMBO = 65000
_NEAR, _FAR = "10.201.0.1", "10.201.0.2"


@dataclass(frozen=True, slots=True)
class Site:
    """One end: a namespace with its own loopback and an address on the line."""

    name: str
    address: str

    def command(self, *args: str) -> list[str]:
        """A command line that runs `args` inside."""
        return ["ip", "netns", "exec", self.name, *args]


class LongLine:
    """The running line. Namespaces see each other only through it."""

    def __init__(self, near: Site, far: Site, process: subprocess.Popen[str]) -> None:
        self.near, self.far = near, far
        self._process = process

    def delivered(self, towards: Site) -> list[tuple[float, int]]:
        """(monotonic seconds, IP bytes) that came out at one end since the last reset."""
        ways = self._ask("report")
        return [(at, int(nbytes)) for at, nbytes in ways[0 if towards == self.far else 1]["delivered"]]

    def dropped(self) -> int:
        """Packets lost in both directions."""
        return sum(int(way["dropped"]) for way in self._ask("report"))

    def reset(self) -> None:
        self._ask("reset")

    def cpu_seconds(self) -> float:
        """What the line itself has cost."""
        return cpu_seconds(self._process.pid)

    def _ask(self, command: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextlib.contextmanager
def long_line(delay: float = 0.040, mtu: int = JUMBO, rate: float = 0.0) -> Iterator[LongLine]:
    """Joins two fresh namespaces. `delay` is seconds each way, `rate` bytes/s each way (0: as fast as it goes)."""
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        pytest.skip("a long line needs root and /dev/net/tun")
    tool("ip")
    mark = f"cw{os.getpid() % 100000}"
    near, far = Site(f"{mark}n", _NEAR), Site(f"{mark}f", _FAR)
    devices = [f"{mark}tn", f"{mark}tf"]
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(forwarder(devices, delay, rate))
        for site, device, other in ((near, devices[0], far), (far, devices[1], near)):
            stack.enter_context(_namespace(site.name))
            _ip("link", "set", device, "netns", site.name)
            _ip("-n", site.name, "link", "set", "lo", "up")
            _ip("-n", site.name, "link", "set", device, "mtu", str(mtu), "txqueuelen", "10000")
            net = ipaddress.ip_interface(f"{site.address}/32")
            _ip("-n", site.name, "addr", "add", str(net), "peer", other.address, "dev", device)
            _ip("-n", site.name, "link", "set", device, "up")
        yield LongLine(near, far, process)


@contextlib.contextmanager
def forwarder(devices: list[str], delay: float, rate: float) -> Iterator[subprocess.Popen[str]]:
    """Makes two TUN devices of these names and passes packets between them, late, until the `with` ends."""
    args = [sys.executable, "-m", "tests.real.lab.delayprocess", *devices, "--delay", str(delay), "--rate", str(rate)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    pipe = subprocess.PIPE
    with subprocess.Popen(args, stdin=pipe, stdout=pipe, text=True, env=env) as process:
        try:
            assert process.stdout is not None
            if json.loads(process.stdout.readline() or "null") != "ready":
                raise ChildProcessError("the long line could not make its TUN devices")
            yield process
        finally:
            process.kill()  # Its devices go with it.


@contextlib.contextmanager
def _namespace(name: str) -> Iterator[None]:
    _ip("netns", "add", name)
    try:
        yield
    finally:
        _ip("netns", "del", name)


def _ip(*args: str) -> None:
    done = subprocess.run(["ip", *args], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(args)}: {done.stderr.strip()}")
