"""The global namespace service on a machine of its own: stopped and started while regions watch it."""

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from tests.real.lab.network import Host
from tests.real.lab.nodes import PAIR_SECRET, PROGRAM
from tests.real.lab.process import child, listens, within

SERVICE, CONTROL_PORT = "namespace", 9300


class Service:
    """One instance, over the etcd at `urls`; its settings and what it keeps are in `directory`."""

    def __init__(self, host: Host, directory: Path, regions: Iterable[str], urls: Sequence[str]) -> None:
        self.host, self._directory = host, directory
        self._running: contextlib.ExitStack | None = None
        secret = directory / "pair.secret"
        secret.write_text(PAIR_SECRET)
        secret.chmod(0o600)
        files = {region: {"file": str(secret)} for region in (*regions, SERVICE)}
        settings = {
            "region": SERVICE,
            "listen": {"control": self.address},
            "etcd": list(urls),
            "secrets": files,
            "namespace": {"snapshot": str(directory / "snapshot"), "regions": list(regions)},
        }
        (directory / "node.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))

    @property
    def address(self) -> str:
        return f"{self.host.address}:{CONTROL_PORT}"

    @property
    def log(self) -> Path:
        return self._directory / f"{SERVICE}.log"

    def start(self) -> None:
        """Starts it and waits until it listens."""
        args = [PROGRAM, "up", "--config", str(self._directory / "node.yaml"), "--roles", "namespace"]
        running = contextlib.ExitStack()
        process = running.enter_context(child(SERVICE, args, self._directory, netns=self.host.netns))
        self._running = running
        process.wait_until(within(self.host.netns, listens(self.host.address, CONTROL_PORT)))

    def stop(self) -> None:
        """Ends it, if it runs."""
        if self._running is not None:
            self._running.close()
        self._running = None
