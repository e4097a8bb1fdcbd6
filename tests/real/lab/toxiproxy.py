"""Faults of connections by toxiproxy: what a wire does not do by itself, as resets, bytes that trickle, ends that hang.

`with toxiproxy(directory, netns=host.netns, host=host.address) as server:` runs it; `server.proxy("origin", to)` puts a
proxy in front of an address, and `proxy.toxic("latency", latency=100)` spoils what passes until its `with` ends. Which
toxics there are, and what they are given: https://github.com/Shopify/toxiproxy#toxics.
"""

import contextlib
import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Literal

from tests.real.lab.process import Child, answers, child, free_port, tool, within

Stream = Literal["downstream", "upstream"]


class Toxiproxy:
    """A running server, asked by its HTTP API from inside its namespace."""

    def __init__(self, host: str, port: int, netns: str | None, process: Child) -> None:
        self.host, self.process = host, process
        self._port, self._netns = port, netns
        self._numbers = count()

    def proxy(self, name: str, to: str, port: int | None = None) -> "Proxy":
        """Listens on `port` of the server's host and passes everything on to `to` (host:port)."""
        port = port or free_port()
        self.ask("POST", "/proxies", {"name": name, "listen": f"{self.host}:{port}", "upstream": to, "enabled": True})
        return Proxy(self, name, f"{self.host}:{port}")

    def unused_name(self) -> str:
        return f"toxic-{next(self._numbers)}"

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Asks the API; raises ValueError with its complaint."""
        return within(self._netns, lambda: self._ask(method, path, body))()

    def _ask(self, method: str, path: str, body: Any) -> Any:
        connection = http.client.HTTPConnection(self.host, self._port, timeout=20)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise ValueError(f"toxiproxy: {method} {path}: {answer.status} {text.decode().strip()}")
        return json.loads(text) if text else None


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy; `address` (host:port) is where to connect."""

    server: Toxiproxy
    name: str
    address: str

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @contextlib.contextmanager
    def toxic(
        self, kind: str, stream: Stream = "downstream", *, toxicity: float = 1.0, **attributes: int
    ) -> Iterator[None]:
        """Spoils a share of the connections, old and new, while the `with` runs."""
        name = self.server.unused_name()
        made = {"name": name, "type": kind, "stream": stream, "toxicity": toxicity, "attributes": attributes}
        self.server.ask("POST", f"/proxies/{self.name}/toxics", made)
        try:
            yield
        finally:
            self.server.ask("DELETE", f"/proxies/{self.name}/toxics/{name}")

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Refuses connections, and ends those there are, while the `with` runs."""
        self.server.ask("POST", f"/proxies/{self.name}", {"enabled": False})
        try:
            yield
        finally:
            self.server.ask("POST", f"/proxies/{self.name}", {"enabled": True})


@contextlib.contextmanager
def toxiproxy(directory: Path, *, host: str = "127.0.0.1", netns: str | None = None) -> Iterator[Toxiproxy]:
    """Runs the server; its proxies listen on the same host."""
    port = free_port()
    args = [tool("toxiproxy-server"), "-host", host, "-port", str(port)]
    with child(f"toxiproxy-{port}", args, directory, netns=netns, env={"LOG_LEVEL": "warn"}) as process:
        process.wait_until(within(netns, answers(f"http://{host}:{port}/version")))
        yield Toxiproxy(host, port, netns, process)
