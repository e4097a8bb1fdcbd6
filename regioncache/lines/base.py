"""A crossing: the account of one request on one line connection. Where no line lies between, it costs nothing.

The invariant (line-rules, Before it arrives): debited - read >= min(bytes left in the reply, receive buffer). So the
order of calls is `prepay` before the request is sent, `learned` when the reply's headers told its length, `room` before
each read of the socket, `read` after it, `close` in a finally. The request is sent as soon as `prepay` returns: the
round trip is measured from there to the first `learned`.
"""

from typing import Protocol


class Crossing(Protocol):
    """Told by a source what happens on its connection; all byte counts are payload."""

    patient: bool
    """Whether `prepay` waits however long it takes: who waits for what it brings was told to come again."""

    @property
    def waited(self) -> float:
        """Seconds that this crossing has waited for the line so far."""
        ...

    @property
    def holds_up(self) -> bool:
        """Whether it holds room on the line that others wait for."""
        ...

    def request_wanted(self, length: int) -> int:
        """How many of the `length` bytes still to bring one request should ask for, so that others get their turn.

        All of them while nobody else is there, 1 MiB at least; the caller rounds to whole pages.
        """
        ...

    def buffer_wanted(self, length: int, known: bool = True) -> int:
        """The receive buffer (SO_RCVBUF, bytes) to set before connect for a reply of up to `length` bytes.

        0 = leave it alone. `known` is False where the object's size is not known yet: such a reply is often much
        shorter than what was asked, and must not hold the room of `length` bytes for a round trip.
        """
        ...

    def lanes(self, mine: int) -> int:
        """How many requests one reader should keep under way at once, who has `mine` under way; 1 at least.

        More than one where receive buffers are smaller than the line's rate x round trip.
        """
        ...

    async def prepay(self, length: int, buffer: int, round_trip: float = 0.0) -> None:
        """Waits until a request whose reply may have `length` bytes may be sent.

        Args:
            length: The most payload bytes the reply may have; 0 (HEAD) never waits.
            buffer: The socket's receive buffer as read back from the kernel; 0 = unknown, then all of `length` is
                debited before the request leaves.
            round_trip: Seconds, where the connection is new and its handshake was measured; 0 = not.

        Raises:
            NotSoon: the line has no room within 25 s, and the crossing is not `patient`.
            SlowDown: too many wait already.
        """
        ...

    def learned(self, length: int) -> None:
        """The reply has `length` payload bytes: what was prepaid beyond is credited back.

        Called with the reply's head, error replies included, or, where the head does not tell it (chunked), when the
        end has come.
        """
        ...

    def ready(self, nbytes: int) -> int:
        """How many of `nbytes` may be read without waiting; 0: `room` waits for it."""
        ...

    async def room(self, nbytes: int) -> int:
        """Waits until at least one byte may be read; returns how many may be, at most `nbytes`."""
        ...

    def read(self, nbytes: int) -> None:
        """`nbytes` of payload were read from the socket."""
        ...

    def spoil(self, nbytes: int, kind: str) -> None:
        """The last `nbytes` that were read are thrown away: they count as `kind` (`retry`, `over_read`) instead."""
        ...

    def promote(self) -> None:
        """The payer has changed: a wait under way goes on for the new one, without losing its place in time."""
        ...

    def again(self) -> None:
        """The request is over, and the same question is put once more: the next `prepay` is its."""
        ...

    def close(self) -> None:
        """The request is over; safe to call twice.

        What was prepaid and not read of an unfinished reply counts `over_read` and is not credited; where no request
        was sent (`prepay` did not return), everything is credited.
        """
        ...
