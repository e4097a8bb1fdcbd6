"""etcd: one server or several on free ports, killed, stopped, begun anew. Elections are short, nothing is synced.

On loopback, or in a network namespace at its address.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.real.lab.process import Child, free_port, tool, within

HOST = "127.0.0.1"


@dataclass(slots=True)
class EtcdMember:
    """One server; it keeps its ports and its directory over restarts."""

    name: str
    client_port: int
    peer_port: int
    directory: Path
    args: Sequence[str] = ()
    scheme: str = "http"
    host: str = HOST
    netns: str | None = None
    process: Child | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.client_port}"

    @property
    def peer_url(self) -> str:
        return f"http://{self.host}:{self.peer_port}"

    def start(self) -> None:
        """Starts it, without waiting."""
        inside = ["ip", "netns", "exec", self.netns] if self.netns else []
        args = [*inside, tool("etcd"), *self.args]
        self.process = Child(self.name, args, self.directory.parent / f"{self.name}.log", os.environ, None)

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGCONT)
        self.process.kill()

    def pause(self) -> None:
        """It is there, and says nothing."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)
        # Each thread stops when it next looks: until then one may still answer.
        self.process.wait_until(self._stopped)

    def resume(self) -> None:
        """Ends `pause`."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)

    def _stopped(self) -> bool:
        assert self.process is not None
        states = [
            (task / "stat").read_text().rpartition(")")[2].split()[0]
            for task in Path(f"/proc/{self.process.pid}/task").iterdir()
        ]
        return set(states) == {"T"}

    def forget(self) -> None:
        """Loses its data."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def metrics_port(self) -> int:
        return next(int(arg.rpartition(":")[2]) for arg in self.args if arg.startswith("--listen-metrics-urls="))

    def healthy(self) -> bool:
        return within(self.netns, self._healthy)()

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.metrics_port()}/health", timeout=2) as answer:
                return bool(json.load(answer)["health"] == "true")
        except OSError:
            return False


@dataclass(slots=True)
class EtcdCluster:
    """Servers of one cluster."""

    members: list[EtcdMember] = field(default_factory=list)

    @property
    def urls(self) -> list[str]:
        return [member.url for member in self.members]

    def start(self) -> None:
        """Starts all, and waits until each is healthy."""
        for member in self.members:
            member.start()
        self.wait()

    def wait(self) -> None:
        """Waits until each is healthy."""
        for member in self.members:
            assert member.process is not None
            member.process.wait_until(member.healthy)

    def stop(self) -> None:
        """kill -9 of all."""
        for member in self.members:
            if member.process is not None and member.process.process.poll() is None:
                member.kill()

    def leader(self, seconds: float = 60.0) -> EtcdMember:
        """The member that leads; waits for an election that is under way, raises LookupError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for member in self.members:
                with urllib.request.urlopen(f"http://{HOST}:{member.metrics_port()}/metrics", timeout=5) as answer:
                    if b"\netcd_server_is_leader 1" in answer.read():
                        return member
            time.sleep(0.02)
        raise LookupError(f"no member has led for {seconds} s")

    def ctl(self, *args: str) -> str:
        """Runs `etcdctl ARGS` against it; returns what it printed, raises CalledProcessError."""
        netns = self.members[0].netns
        inside = ["ip", "netns", "exec", netns] if netns else []
        command = [*inside, tool("etcdctl"), "--endpoints", ",".join(self.urls), *args]
        env = {**os.environ, "ETCDCTL_API": "3"}
        return subprocess.run(command, capture_output=True, text=True, check=True, env=env, timeout=60).stdout

    def compact(self) -> None:
        """Forgets every revision but the newest."""
        told = self.ctl("get", "--prefix", "/", "--limit", "1", "--write-out", "fields")
        newest = next(line.split()[-1] for line in told.splitlines() if line.startswith('"Revision"'))
        self.ctl("compact", newest)


@contextlib.contextmanager
def etcd(
    directory: Path, count: int = 1, *args: str, scheme: str = "http", host: str = HOST, netns: str | None = None
) -> Iterator[EtcdCluster]:
    """Runs a cluster for the length of the `with`.

    Args:
        directory: for data and logs.
        count: of members.
        args: more flags of each.
        scheme: of the clients' URLs; for https the flags name the certificates.
        host: where its doors are, in the namespace `netns`.
    """
    members = [
        EtcdMember(f"etcd-{n}", free_port(), free_port(), directory / f"etcd-{n}", (), scheme, host, netns)
        for n in range(count)
    ]
    token = secrets.token_hex(4)
    together = ",".join(f"{one.name}={one.peer_url}" for one in members)
    for one in members:
        one.args = [
            f"--name={one.name}",
            f"--data-dir={one.directory}",
            f"--listen-client-urls={one.url}",
            f"--advertise-client-urls={one.url}",
            f"--listen-peer-urls={one.peer_url}",
            f"--initial-advertise-peer-urls={one.peer_url}",
            f"--listen-metrics-urls=http://{HOST}:{free_port()}",
            f"--initial-cluster={together}",
            f"--initial-cluster-token={token}",
            "--initial-cluster-state=new",
            "--heartbeat-interval=50",
            "--election-timeout=500",
            "--unsafe-no-fsync",
            "--log-level=error",
            *args,
        ]
    cluster = EtcdCluster(members)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
