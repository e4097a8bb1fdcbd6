"""A crossing: the account of one request on one line connection. Where no line lies between, it costs nothing.

The invariant (line-rules, Before it arrives): debited - read >= min(bytes left in the reply, receive buffer). So the
order of calls is `prepay` before the request is sent, `learned` when the reply's headers told its length, `room` before
each read of the socket, `read` after it, `close` in a finally.
"""

from typing import Protocol


class Crossing(Protocol):
    """Told by a source what happens on its connection; all byte counts are payload."""

    def buffer_wanted(self, length: int) -> int:
        """The receive buffer (bytes) to set on the socket for a reply of up to `length` bytes; 0 = leave it alone."""
        ...

    async def prepay(self, length: int, buffer: int) -> None:
        """Waits until a request whose reply may have `length` bytes, on a socket of `buffer` bytes, may be sent."""
        ...

    def learned(self, length: int) -> None:
        """The reply has `length` payload bytes: what was prepaid beyond is credited back."""
        ...

    async def room(self, nbytes: int) -> int:
        """Waits until at least one byte may be read; returns how many may be, at most `nbytes`."""
        ...

    def read(self, nbytes: int) -> None:
        """`nbytes` of payload were read from the socket."""
        ...

    def close(self) -> None:
        """The request is over. What was prepaid and not read of an unfinished reply counts `over_read`."""
        ...
