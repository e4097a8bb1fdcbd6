"""Counts what the peer door answers, as the other doors count theirs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.metrics import DoorCounters
from regioncache.http.messages import Reply, Request

DOOR: Final = "peer"
CLIENT_GONE: Final = 499
_OPERATIONS: Final = frozenset((b"read", b"stat", b"list", b"held", b"alive", b"tell", b"pull", b"confirm", b"drain"))


class CountedPeers:
    """The peer door, `Handler` of the HTTP server, with its answers counted."""

    def __init__(
        self,
        peers: Callable[[Request], Reply | Callable[[], Awaitable[Reply]]],
        counters: DoorCounters,
        timer: Callable[[], float],
    ) -> None:
        """`peers` gives a reply, or who makes it."""
        self._peers = peers
        self._counters = counters
        self._timer = timer

    def __call__(self, request: Request) -> Reply | Awaitable[Reply]:
        """Answers one request; see `Handler`."""
        began, operation = self._timer(), _operation(request.target)
        try:
            answer = self._peers(request)
        except Exception:
            self._counters.request(DOOR, operation, 500)
            raise
        if isinstance(answer, Reply):
            return self._counted(answer, operation, began)
        return self._awaited(answer, operation, began)

    async def _awaited(self, making: Callable[[], Awaitable[Reply]], operation: str, began: float) -> Reply:
        try:
            reply = await making()
        except BaseException as fault:
            gone = isinstance(fault, asyncio.CancelledError)
            self._counters.request(DOOR, operation, CLIENT_GONE if gone else 500)
            raise
        return self._counted(reply, operation, began)

    def _counted(self, reply: Reply, operation: str, began: float) -> Reply:
        self._counters.request(DOOR, operation, reply.status)
        self._counters.first(DOOR, operation, self._timer() - began)
        left = reply.done

        def done(nbytes: int) -> None:
            self._counters.last(DOOR, operation, self._timer() - began)
            if left is not None:
                left(nbytes)

        reply.done = done
        return reply


def _operation(target: bytes) -> str:
    """By a fixed table: what a stranger makes up is one name."""
    name = target.partition(b"?")[0].rpartition(b"/")[2]
    return name.decode() if name in _OPERATIONS else "unknown"
