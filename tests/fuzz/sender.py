"""Sends fuzzed requests over raw sockets and reads what comes back: whole answers, one after the other."""

import contextlib
import http.client
import io
import socket
from collections import Counter
from dataclasses import dataclass, field

from lxml import etree

ANSWER_SECONDS = 30.0
"""Beyond the door's own patience with a reader that says nothing: a connection that lasts longer hangs."""
S3_5XX = {501, 503, 505}
"""What S3 answers with 5xx where nothing is broken: not implemented, slow down, another HTTP."""


class _Fed:
    """A socket whose answer is here already."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: object, **__: object) -> io.BytesIO:
        return io.BytesIO(self._data)


@dataclass(slots=True)
class Seen:
    """What came back so far: answers by status, and what is wrong with them."""

    statuses: Counter[int] = field(default_factory=Counter)
    silent: int = 0
    wrong: list[str] = field(default_factory=list)


def send(address: tuple[str, int], data: bytes, seen: Seen) -> None:
    """Sends `data`, tells that no more comes, and notes what is answered until the door closes."""
    with socket.create_connection(address, timeout=ANSWER_SECONDS) as connection:
        # A reset answers what nobody could have answered better.
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        answered = _read(connection, seen, data)
    if not answered:
        seen.silent += 1
    elif answered.startswith(b"HTTP/1."):
        _judge(answered, data, seen)
    else:
        seen.wrong.append(f"no HTTP came back: {answered[:80]!r} to {data!r}")


def _read(connection: socket.socket, seen: Seen, data: bytes) -> bytes:
    parts = bytearray()
    try:
        while got := connection.recv(65536):
            parts += got
    except TimeoutError:
        seen.wrong.append(f"nothing more after {ANSWER_SECONDS} s, {bytes(parts[:80])!r}: {data!r}")
    except ConnectionError:
        pass
    return bytes(parts)


def _judge(answered: bytes, data: bytes, seen: Seen) -> None:
    """The first answer: its status, and an error's XML."""
    method = "HEAD" if data.startswith(b"HEAD ") else "GET"
    while answered.startswith(b"HTTP/1.1 100 "):
        answered = answered.partition(b"\r\n\r\n")[2]
    if not answered:
        return
    reply = http.client.HTTPResponse(_Fed(answered), method=method)  # type: ignore[arg-type]
    try:
        reply.begin()
        body = reply.read()
    except http.client.IncompleteRead as cut:
        body = cut.partial
    except (http.client.HTTPException, ValueError) as broken:
        seen.wrong.append(f"{broken!r} in {answered[:200]!r} to {data!r}")
        return
    seen.statuses[reply.status] += 1
    if reply.status >= 500 and reply.status not in S3_5XX:
        seen.wrong.append(f"{reply.status}: {answered[:300]!r} to {data!r}")
    if reply.status >= 400 and body and reply.getheader("content-type") == "application/xml":
        root = etree.fromstring(body)
        if root.tag != "Error" or not root.findtext("Code"):
            seen.wrong.append(f"an error that is not S3's: {body[:200]!r} to {data!r}")
