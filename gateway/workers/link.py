"""A worker's link to its supervisor: a few words each way. It ends when either of them does.

From the worker: `ready` with the line that says where the node listens, `quiet` once its replies have ended. To it:
`go` when no sibling needs it any more, `ended` with the name and the process of a sibling that died.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable

MOST_BYTES = 16 * 1024


class Link:
    """The worker's end. Mutable state: whether the supervisor is there, and whether it said `go`."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._may_go = asyncio.Event()
        self.gone = asyncio.Event()
        """Set once the supervisor is gone."""
        self.on_ended: Callable[[str, str], None] = _nobody_hears
        """Told of a sibling's end: its name and its process."""
        asyncio.get_running_loop().add_reader(sock.fileno(), self._readable)

    def ready(self, line: str) -> None:
        """This worker serves; `line` says where."""
        self._say({"said": "ready", "line": line})

    async def quiet(self, seconds: float) -> None:
        """No reply is under way any more; returns once no sibling needs this worker, `seconds` at most."""
        self._say({"said": "quiet"})
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._may_go.wait(), seconds)

    def close(self) -> None:
        """Hears nothing more. Safe to call twice."""
        if self._sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._sock.fileno())
            self._sock.close()

    def _say(self, word: dict[str, str]) -> None:
        with contextlib.suppress(OSError):  # a supervisor that is gone is noticed by the reader
            self._sock.send(json.dumps(word).encode())

    def _readable(self) -> None:
        word = received(self._sock)
        if word is None:
            self._may_go.set()
            self.gone.set()
            self.close()
        elif word.get("said") == "go":
            self._may_go.set()
        elif word.get("said") == "ended":
            self.on_ended(word["name"], word["process"])


def pair() -> tuple[socket.socket, socket.socket]:
    """Returns the two ends: the supervisor's and the worker's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs


def told(sock: socket.socket, **word: str) -> bool:
    """Says something to a worker; returns whether it could be said."""
    try:
        sock.send(json.dumps(word).encode())
    except OSError:
        return False
    return True


def received(sock: socket.socket) -> dict[str, str] | None:
    """Returns the next word; an empty one where there is none, None where the other end is gone."""
    try:
        text = sock.recv(MOST_BYTES)
    except (BlockingIOError, InterruptedError):
        return {}
    except OSError:
        return None
    if not text:
        return None
    word: dict[str, str] = json.loads(text)
    return word


def _nobody_hears(name: str, process: str) -> None:
    return
