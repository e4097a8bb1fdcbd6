"""Network namespaces that belong to this process: made, entered, and gone with it.

Their names carry the process's id and when it started, so that runs side by side never meet and `sweep` can tell what a
run that was killed has left behind. Needs root.
"""

import contextlib
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.lab.process import tool

_PLACE = Path("/run/netns")
_NAME = re.compile(r"cwlab-(\d+)-(\d+)-")


def needs_root() -> None:
    """Skips the test, saying why, where namespaces cannot be made."""
    if os.geteuid() != 0:
        pytest.skip("needs root: regions are network namespaces")
    tool("ip")
    tool("tc")


def mark() -> str:
    """A beginning for the names of one laboratory of this process."""
    return f"cwlab-{os.getpid()}-{_started(os.getpid())}-{uuid.uuid4().hex[:6]}"


def ip(*args: str, netns: str | None = None) -> str:
    """Runs `ip ARGS`, inside a namespace; returns what it printed, raises OSError with its complaint."""
    return _run(["ip", *(["-n", netns] if netns else []), *args])


def tc(*args: str, netns: str) -> str:
    """Runs `tc ARGS` inside a namespace, as `ip`."""
    return _run(["tc", "-n", netns, *args])


@contextlib.contextmanager
def namespace(name: str) -> Iterator[str]:
    """A namespace with its loopback up; what still runs in it at the end is killed."""
    ip("netns", "add", name)
    try:
        ip("link", "set", "lo", "up", netns=name)
        yield name
    finally:
        _remove(name)


def sweep() -> list[str]:
    """Ends what runs in the namespaces of processes that are no more, and removes these; returns their names."""
    left = [path.name for path in _PLACE.iterdir()] if _PLACE.exists() else []
    dead = [name for name in left if (found := _NAME.match(name)) and not _lives(int(found[1]), int(found[2]))]
    for name in dead:
        _remove(name)
    return dead


def _remove(name: str) -> None:
    """Devices and what was set on them go with the namespace, once nobody is in it."""
    deadline = time.monotonic() + 10
    with contextlib.suppress(OSError):  # Another run may be sweeping it, too.
        while (inside := ip("netns", "pids", name).split()) and time.monotonic() < deadline:
            for pid in inside:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.01)
        ip("netns", "del", name)


def _lives(pid: int, started: int) -> bool:
    return _started(pid) == started


def _started(pid: int) -> int:
    """When a process started, in ticks since boot: process ids come round again, this does not. -1: there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return -1


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
