"""Black holes: a server that accepts and never answers, and a place behind a cable that drops what it is told to.

`with silent_server() as hole:` gives host:port. `with far_place() as place:` gives a network namespace with an address;
`place.drop()` lets nothing come back from there, as a firewall does that drops, `place.let_through()` ends that.
"""

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.real.lab.process import tool

_HERE, _THERE = "10.202.0.1", "10.202.0.2"


@contextlib.contextmanager
def silent_server(host: str = "127.0.0.1") -> Iterator[str]:
    """Listens, accepts, and says nothing for ever."""
    with socket.create_server((host, 0), backlog=1024) as listener, contextlib.ExitStack() as held:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.push(listener.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"{host}:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@dataclass(frozen=True, slots=True)
class FarPlace:
    """A namespace at the far end of a cable; this end has an address in the namespace of the test."""

    netns: str
    address: str

    def drop(self) -> None:
        """From now on no packet comes back from there: connections hang, new ones are not answered."""
        _ip("-n", self.netns, "route", "add", "blackhole", f"{_HERE}/32")

    def let_through(self) -> None:
        """Packets come back again."""
        _ip("-n", self.netns, "route", "del", "blackhole", f"{_HERE}/32")


@contextlib.contextmanager
def far_place() -> Iterator[FarPlace]:
    """Makes a namespace and a cable to it; nothing is left behind. Needs root."""
    if os.geteuid() != 0:
        pytest.skip("a place behind a cable needs root")
    tool("ip")
    mark = f"cwh{os.getpid() % 100000}"
    _ip("netns", "add", mark)
    try:
        _ip("link", "add", f"{mark}a", "type", "veth", "peer", "name", f"{mark}b", "netns", mark)
        _ip("addr", "add", f"{_HERE}/30", "dev", f"{mark}a")
        _ip("link", "set", f"{mark}a", "up")
        _ip("-n", mark, "addr", "add", f"{_THERE}/30", "dev", f"{mark}b")
        for device in ("lo", f"{mark}b"):
            _ip("-n", mark, "link", "set", device, "up")
        yield FarPlace(mark, _THERE)
    finally:
        _ip("netns", "del", mark)


def _ip(*args: str) -> None:
    done = subprocess.run(["ip", *args], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(args)}: {done.stderr.strip()}")
