"""A region's etcd on a machine of its own: killed and started again with its data or without, compacted, asked."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.real.lab.network import Host
from tests.real.lab.process import Child, answers, child, tool, within

CLIENT_PORT, PEER_PORT = 2379, 2380


class RegionEtcd:
    """One server; `url` is where nodes ask it."""

    def __init__(self, host: Host, directory: Path) -> None:
        self.host, self._directory = host, directory
        self._running: contextlib.ExitStack | None = None
        self.process: Child | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host.address}:{CLIENT_PORT}"

    def start(self) -> None:
        """Starts it on what its data directory holds, and waits until it is healthy."""
        peer = f"http://{self.host.address}:{PEER_PORT}"
        args = [tool("etcd"), "--name", "one", "--data-dir", str(self._directory / "data"), "--unsafe-no-fsync"]
        args += ["--listen-client-urls", self.url, "--advertise-client-urls", self.url, "--listen-peer-urls", peer]
        args += ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"one={peer}", "--logger", "zap"]
        running = contextlib.ExitStack()
        env = {"ETCD_UNSUPPORTED_ARCH": os.uname().machine}
        self.process = running.enter_context(child("etcd", args, self._directory, netns=self.host.netns, env=env))
        self._running = running
        self.process.wait_until(within(self.host.netns, answers(f"{self.url}/health")))

    def kill(self) -> None:
        """SIGKILL: what it had told anybody is on its disk."""
        if self.process is not None and self._running is not None:
            self.process.kill()
            self._running.close()
        self.process = self._running = None

    def lose(self) -> None:
        """Takes its data away; it must be down."""
        shutil.rmtree(self._directory / "data")

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Stopped while the `with` runs: connections stay, and nobody answers on them."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)

    def ctl(self, *args: str) -> str:
        """Runs `etcdctl ARGS` against it; returns what it printed, raises CalledProcessError."""
        command = ["ip", "netns", "exec", self.host.netns, tool("etcdctl"), "--endpoints", self.url, *args]
        env = {**os.environ, "ETCDCTL_API": "3"}
        return subprocess.run(command, capture_output=True, text=True, check=True, env=env, timeout=60).stdout

    def compact(self) -> None:
        """Forgets every revision but the newest."""
        told = self.ctl("get", "--prefix", "/", "--limit", "1", "--write-out", "fields")
        newest = next(line.split()[-1] for line in told.splitlines() if line.startswith('"Revision"'))
        self.ctl("compact", newest)


@contextlib.contextmanager
def region_etcd(host: Host, directory: Path) -> Iterator[RegionEtcd]:
    """Runs it, its data in `directory`, until the `with` ends."""
    directory.mkdir(parents=True, exist_ok=True)
    made = RegionEtcd(host, directory)
    made.start()
    try:
        yield made
    finally:
        made.kill()
