"""The sending side of a server connection: bytes go to the transport, and it is known when they left the process."""

import asyncio
import fcntl
import os
import struct
import termios
from collections.abc import Callable, Sequence

from regioncache.http.messages import Buffer
from regioncache.pages import FilePart

_JOINED_BYTES = 64 * 1024
"""Below, small buffers are copied into one write; above, the copy costs more than a second buffer."""


_FROM_FILE_BYTES = 128 * 1024
"""Below, the copy into the socket costs less than sending from the file."""


class Outgoing:
    """Sends on one transport; `paused` exactly while that holds unsent bytes.

    Under TLS the bytes are free as soon as they are encrypted; up to one write more waits below, encrypted.

    All of its state: `paused`; `_then` what to call when all is sent; `_backlog` what was unsent when last looked at,
    unchanged since `_since`; `_fd` the socket, -1 under TLS.
    """

    __slots__ = ("_backlog", "_fd", "_since", "_then", "lost", "paused", "transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self._fd = -1
        self.paused = False
        self.lost = False
        self._then: Callable[[], None] | None = None
        self._backlog = -1
        self._since = 0.0

    def attend(self, tls: bool) -> None:
        """Has the transport say when it holds anything; TLS transports pause at their mark, plain ones above it."""
        self.transport.set_write_buffer_limits(high=1 if tls else 0, low=0)
        sock = None if tls else self.transport.get_extra_info("socket")
        self._fd = -1 if sock is None else sock.fileno()

    def write(self, head: bytes, body: Buffer) -> None:
        """Sends both, in one write where that is cheap; large bodies are not copied."""
        if self.lost:
            return
        if not body:
            self.transport.write(head)
        elif len(body) < _JOINED_BYTES:
            self.transport.write(b"".join((head, body)))
        else:
            self._write_apart((head, body))

    def write_part(self, head: bytes, part: FilePart) -> None:
        """Sends both, the part from its file where the kernel takes it from there: that saves a copy."""
        view = part.view
        if part.file is None or self._fd < 0 or len(view) < _FROM_FILE_BYTES:
            self.write(head, view)
            return
        if head:
            self.write(head, b"")
        self._write_from_file(part)

    def _write_from_file(self, part: FilePart) -> None:
        assert part.file is not None, "what lies nowhere is written from memory"
        sent = self._send_file(part.file.fd, part.offset, len(part.view))
        if sent < len(part.view):
            self.write(b"", part.view[sent:])

    def _write_apart(self, pieces: Sequence[Buffer]) -> None:
        """Sends pieces one behind the other, in one call of the kernel and without joining them where that is plain."""
        sent = self._send_apart(pieces)
        for piece in pieces:
            if sent < len(piece):
                self.transport.write(memoryview(piece)[sent:])
            sent = max(0, sent - len(piece))

    def _send_apart(self, pieces: Sequence[Buffer]) -> int:
        """Returns how many bytes the kernel took."""
        if self._fd < 0 or self.paused or self.lost or self.transport.is_closing():
            return 0
        try:
            return os.writev(self._fd, pieces)
        except OSError:
            return 0

    def _send_file(self, fd: int, offset: int, nbytes: int) -> int:
        """Returns how many bytes the kernel took; what else there is to know the transport finds out."""
        # The descriptor is the transport's: once that closes, it may be another connection's.
        if self.paused or self.lost or self.transport.is_closing():
            return 0
        try:
            return os.sendfile(self._fd, fd, offset, nbytes)
        except OSError:
            return 0

    def write_chunk(self, head: bytes, piece: Buffer, part: FilePart | None = None) -> None:
        """Sends `piece`, and `part` behind it, as one chunk of the chunked coding, behind `head`.

        Where the part has a `last`, that follows, and the end of the coding.
        """
        if self.lost:
            return
        length = len(piece) + (len(part.view) if part is not None else 0)
        start = b"%b%x\r\n" % (head, length)
        if part is not None:
            end = b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(part.last), part.last) if part.last else b"\r\n"
            self._write_apart((start + piece, part.view, end))
        elif length < _JOINED_BYTES:
            self.transport.write(b"".join((start, piece, b"\r\n")))
        else:
            self._write_apart((start, piece, b"\r\n"))

    def when_sent(self, then: Callable[[], None]) -> None:
        """Calls `then` once all bytes left the process; at once if they have."""
        if self.paused:
            self._then = then
        else:
            then()

    async def sent(self) -> None:
        """Waits until all bytes left the process."""
        if self.paused:
            waiter = asyncio.get_running_loop().create_future()
            self._then = lambda: None if waiter.done() else waiter.set_result(None)
            await waiter

    def pause(self) -> None:
        """The transport's word: it holds unsent bytes."""
        self.paused = True
        self._backlog = -1

    def resume(self) -> None:
        """The transport's word: it holds nothing more."""
        self.paused = False
        then, self._then = self._then, None
        if then is not None:
            then()

    def lose(self) -> None:
        """The transport is gone; who waits is not called."""
        self.lost = True
        self._then = None

    def abort_if_nothing_came(self) -> bool:
        """Cuts the connection off, unless bytes of the peer wait in the kernel; returns whether it did."""
        if _asked_of_kernel(self.transport, termios.FIONREAD):
            return False
        self.transport.abort()
        return True

    def unsent(self) -> int:
        """Bytes that wait in this process."""
        return 0 if self.lost else self.transport.get_write_buffer_size()

    def stalled(self, now: float, seconds: float) -> bool:
        """Whether the peer took not one byte for `seconds`, judged from one call to the next.

        The kernel's queue counts: it holds megabytes, and a reader that is merely slow drains it for minutes before
        the next of our bytes fits in.
        """
        if not self.paused:
            return False
        backlog = self.unsent() + _kernel_queue(self.transport)
        if backlog != self._backlog:
            self._backlog = backlog
            self._since = now
        return now - self._since > seconds


def _kernel_queue(transport: asyncio.Transport) -> int:
    """Bytes the peer has not acknowledged (tcp(7), SIOCOUTQ)."""
    return _asked_of_kernel(transport, termios.TIOCOUTQ)


def _asked_of_kernel(transport: asyncio.Transport, what: int) -> int:
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return 0
    return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), what, b"\0\0\0\0"))[0])
