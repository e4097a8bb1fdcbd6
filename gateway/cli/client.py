"""Asks one node's admin port, by the standard library's client: a command starts in milliseconds."""

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlencode, urlsplit

from gateway.cli.faults import CommandFault

# A loopback connect is immediate and a line adds 200 ms at worst: later nobody is there.
CONNECT_SECONDS = 5.0
# A listing may ask a far origin behind a waiting line; the node itself gives up after 25 s.
ANSWER_SECONDS = 60.0
PIECE_BYTES = 256 * 1024
_URL = "write it as http://127.0.0.1:9200"


class NotReached(CommandFault):
    """No node answered at the URL."""


class Refusal(CommandFault):
    """The node answered, and refused. `status` is HTTP's; `faults` are lines `file:line:column: path: message`."""

    def __init__(self, message: str, status: int, faults: tuple[str, ...] = ()) -> None:
        super().__init__("\n".join(faults) if faults else message)
        self.status = status
        self.faults = faults


class Download:
    """An object's bytes under way; closed by `with`."""

    def __init__(self, path: str, connection: http.client.HTTPConnection, reply: http.client.HTTPResponse) -> None:
        self._path = path
        self._connection = connection
        self._reply = reply
        self.length = int(reply.headers.get("Content-Length", 0))
        self.received = 0

    def __enter__(self) -> "Download":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def __iter__(self) -> Iterator[bytes]:
        """Yields the bytes; raises CommandFault where the reply was cut short."""
        while self.received < self.length:
            piece = self._piece()
            self.received += len(piece)
            yield piece

    def _piece(self) -> bytes:
        try:
            piece = self._reply.read1(PIECE_BYTES)
        except (OSError, http.client.HTTPException) as fault:
            raise CommandFault(f"{self._path}: the reply was cut short ({_why(fault)}); see the node's log") from fault
        if not piece:
            raise CommandFault(f"{self._path}: the reply was cut short; see the node's log, or read it again")
        return piece


class AdminClient:
    """One node's admin port. Each question is a connection of its own."""

    def __init__(self, url: str, token: str, ca: str | None = None) -> None:
        """`ca`: a PEM file of authorities beyond the system's. Raises CommandFault if `url` is none."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as wrong:
            raise CommandFault(f"{url!r} is no URL of an admin port ({wrong}); {_URL}") from wrong
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/"):
            raise CommandFault(f"{url!r} is no URL of an admin port; {_URL}")
        self.url = f"{parts.scheme}://{parts.netloc}"
        self._host = parts.hostname
        self._port = port if port is not None else 9200
        self._tls = parts.scheme == "https"
        self._token = token
        self._ca = ca

    def get(self, name: str, query: Mapping[str, str] | None = None) -> Any:
        """Returns what the node answers to GET /api/v1/`name`, as plain data. Raises NotReached, Refusal."""
        return self._ask("GET", name, query or {}, None)

    def post(
        self, name: str, body: object = None, query: Mapping[str, str] | None = None, seconds: float = ANSWER_SECONDS
    ) -> Any:
        """Returns what the node answers to POST /api/v1/`name` in `seconds`. Raises NotReached, Refusal."""
        return self._ask("POST", name, query or {}, body, seconds)

    def delete(self, name: str, query: Mapping[str, str]) -> Any:
        """Returns what the node answers to DELETE /api/v1/`name`. Raises NotReached, Refusal."""
        return self._ask("DELETE", name, query, None)

    def open(self, path: str, start: int, end: int | None) -> "Download":
        """Opens the bytes [start, end) of the object at `path`, `end` None = to its end. Raises NotReached, Refusal."""
        headers = {} if (start, end) == (0, None) else {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        connection = self._connection()
        try:
            return Download(path, connection, self._send(connection, "GET", "object", {"path": path}, None, headers))
        except BaseException:
            connection.close()
            raise

    def _ask(
        self, method: str, name: str, query: Mapping[str, str], body: object, seconds: float = ANSWER_SECONDS
    ) -> Any:
        with closing(self._connection()) as connection:
            reply = self._send(connection, method, name, query, body, {}, seconds)
            try:
                return json.loads(reply.read())
            except (OSError, http.client.HTTPException, ValueError) as fault:
                raise NotReached(
                    f"{self.url} does not answer as a node's admin port ({fault}); check the URL"
                ) from fault

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        name: str,
        query: Mapping[str, str],
        body: object,
        headers: Mapping[str, str],
        seconds: float = ANSWER_SECONDS,
    ) -> http.client.HTTPResponse:
        target = f"/api/v1/{name}" + (f"?{urlencode(query)}" if query else "")
        content = None if body is None else json.dumps(body)
        try:
            connection.connect()
            connection.sock.settimeout(seconds)
            connection.request(
                method, target, content, {"Authorization": f"Bearer {self._token}", "Connection": "close", **headers}
            )
            reply = connection.getresponse()
        except ssl.SSLError as fault:
            remedy = "check the URL, and name your authority by CAUSEWAY_CA"
            raise NotReached(f"{self.url}: TLS failed ({fault.reason or fault}); {remedy}") from fault
        except (OSError, http.client.HTTPException) as fault:
            remedy = "start it by `causeway up`, or name another by CAUSEWAY_ADMIN"
            raise NotReached(f"no node answers at {self.url} ({_why(fault)}); {remedy}") from fault
        if reply.status >= 300:
            raise self._refusal(reply)
        return reply

    def _refusal(self, reply: http.client.HTTPResponse) -> Refusal:
        try:
            told = json.loads(reply.read(1 << 20))
        except (OSError, http.client.HTTPException, ValueError):
            told = {}
        if not isinstance(told, dict) or "error" not in told:
            return Refusal(f"{self.url} answered {reply.status}; it may be no admin port, check the URL", reply.status)
        faults = tuple("{file}:{line}:{column}: {path}: {message}".format(**fault) for fault in told.get("faults", ()))
        return Refusal(f"{told['error']} ({self.url})", reply.status, faults)

    def _connection(self) -> http.client.HTTPConnection:
        if not self._tls:
            return http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_SECONDS)
        try:
            context = ssl.create_default_context()
            if self._ca:
                context.load_verify_locations(self._ca)
        except OSError as fault:
            raise CommandFault(f"CAUSEWAY_CA {self._ca} cannot be used ({fault}); name a PEM file") from fault
        return http.client.HTTPSConnection(self._host, self._port, timeout=CONNECT_SECONDS, context=context)


def _why(fault: Exception) -> str:
    if isinstance(fault, OSError):
        return fault.strerror or str(fault) or type(fault).__name__
    return str(fault) or type(fault).__name__
