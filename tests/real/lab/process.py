"""Child processes: spawned with logs, ready only while they live, ended by their own pid."""

import contextlib
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

TOOLS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "causeway" / "bin"
T = TypeVar("T")
_CLONE_NEWNET = 0x40000000
_SERVER_PORTS = range(12_000, 32_000)
_UNTRIED = iter(random.SystemRandom().sample(_SERVER_PORTS, len(_SERVER_PORTS)))
"""Each once: of ports drawn anew for every server, two of a hundred tests' were the same before either was bound."""
_TICKS = os.sysconf("SC_CLK_TCK")


def tool(name: str) -> str:
    """The path of a program, or a skip that says how to get it."""
    found = shutil.which(name, path=os.pathsep.join([str(TOOLS), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
    if found is None:
        pytest.skip(f"{name} is missing: `make setup` (tests) or `make bench` (benches) brings it")
    return found


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free a moment ago; whoever gets it must show that it lives (`Child.wait_until`).

    From below those that the kernel gives to connections: one of these could be taken before its server listens, or
    while it is started again.
    """
    for port in _UNTRIED:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return port
    raise LookupError(f"no port of {_SERVER_PORTS} is left")


class Child:
    """One child process; its output is `log`."""

    def __init__(self, name: str, args: Sequence[str], log: Path, env: Mapping[str, str], cpu: int | None) -> None:
        self.name = name
        self.log = log
        if cpu is not None:
            args = ["taskset", "-c", str(cpu), *args]
        # Under nohup, or behind a shell without job control, signals are ignored, and a child's too.
        args = ["env", "--default-signal=HUP,INT", *args]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                args, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=dict(env)
            )
        self.pid = self.process.pid

    def wait_until(self, ready: Callable[[], bool], seconds: float = 120.0) -> None:
        """Polls `ready` as long as the child lives; on a taken port it dies, and somebody else may answer.

        A start takes 1 to 2 s of CPU; beside forty others on two cores one had not ended after 60 s.
        """
        deadline = time.monotonic() + seconds
        while True:
            self.check()
            if ready():
                self.check()
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} is not ready after {seconds} s; it said:\n{self.tail()}")
            time.sleep(0.02)

    def check(self) -> None:
        """Raises if the child has died."""
        if self.process.poll() is not None:
            raise ChildProcessError(f"{self.name} exited with {self.process.returncode}; it said:\n{self.tail()}")

    def tail(self, nbytes: int = 4000) -> str:
        """The end of its log."""
        return self.log.read_bytes()[-nbytes:].decode("utf-8", "replace")

    def cpu_seconds(self) -> float:
        """User and system CPU so far, of the process and all that it started and that still run."""
        return sum(cpu_seconds(pid) for pid in family(self.pid))

    def resident_bytes(self) -> int:
        """Resident memory of the process alone."""
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def peak_bytes(self) -> int:
        """The most that was ever resident of the process alone."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))

    def kill(self) -> None:
        """SIGKILL, at once."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 15.0) -> int:
        """SIGTERM, then SIGKILL after `seconds`; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode


@contextlib.contextmanager
def child(
    name: str,
    args: Sequence[str],
    directory: Path,
    *,
    env: Mapping[str, str] | None = None,
    cpu: int | None = None,
    netns: str | None = None,
) -> Iterator[Child]:
    """Runs a process for the length of the `with`, its log in `directory`, pinned to a core, inside a namespace."""
    if netns is not None:
        args = ["ip", "netns", "exec", netns, *args]
    said = {**as_installed(), **(env or {})}
    started = Child(name, list(args), directory / f"{name.replace('/', '-')}.log", said, cpu)
    try:
        yield started
    finally:
        started.stop()


def as_installed() -> dict[str, str]:
    """The environment of a program that was installed: it keeps its byte code, or each start compiles all of it."""
    return {variable: value for variable, value in os.environ.items() if variable != "PYTHONDONTWRITEBYTECODE"}


def family(pid: int) -> list[int]:
    """The process and its descendants."""
    found = [pid]
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for below in (task / "children").read_text().split():
                found += family(int(below))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system CPU of one process; 0 once it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def answers(url: str, status: int = 200) -> Callable[[], bool]:
    """A readiness check: GET of `url` gives `status`."""

    def ready() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=2) as reply:
                return bool(reply.status == status)
        except urllib.error.HTTPError as fault:
            fault.close()
            return fault.code == status
        except OSError:
            return False

    return ready


def within(netns: str | None, ask: Callable[[], T]) -> Callable[[], T]:
    """The same question, asked inside a network namespace (a namespace belongs to a thread)."""
    if netns is None:
        return ask

    def enter_and_ask() -> T:
        with open(f"/run/netns/{netns}") as entry:
            if ctypes.CDLL(None, use_errno=True).setns(entry.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"cannot enter network namespace {netns}")
        return ask()

    def asked() -> T:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(enter_and_ask).result()

    return asked


def listens(host: str, port: int) -> Callable[[], bool]:
    """A readiness check: somebody accepts connections there."""

    def ready() -> bool:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            return False
        return True

    return ready
