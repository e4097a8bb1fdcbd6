"""Calls over several servers: the next is asked where one does not answer, as far as that cannot do a thing twice."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Generic

from namespace.etcdclient.connections import Connections, Failed
from namespace.etcdclient.endpoints import Endpoints
from namespace.etcdclient.errors import EtcdError, EtcdUnavailable, EtcdUncertain
from namespace.etcdclient.limits import EtcdLimits
from namespace.etcdclient.refusals import Verdict
from namespace.rpc.methods import A, Q, Unary

Trouble = Callable[[EtcdError | None], None]
"""Told once when no server answers, and once, with None, when one does again."""


class Repeat(Enum):
    """Whether a call may be sent again after an attempt that nobody knows the end of."""

    FREELY = "freely"
    """Twice is as good as once, and what became of an attempt does not matter: reads, keep-alives."""
    AGAIN = "again"
    """It may be sent again, and who gives up or is refused afterwards must know of the doubt."""
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Answered(Generic[A]):
    """An answer, and whether an earlier attempt may have been carried out too."""

    answer: A
    doubted: bool
    sent_at: float
    """When the attempt that was answered was sent, by the clock."""


class Asking:
    """All calls of one client go through this; it knows which servers answer."""

    def __init__(
        self,
        connections: Connections,
        limits: EtcdLimits,
        clock: Callable[[], float] = time.monotonic,
        trouble: Trouble | None = None,
    ) -> None:
        self.connections = connections
        self.limits = limits
        self.clock = clock
        self.endpoints = Endpoints(len(connections.servers))
        self._trouble = trouble
        self._away = False

    async def call(self, method: Unary[Q, A], question: Q, repeat: Repeat, seconds: float | None = None) -> Answered[A]:
        """Asks until there is an answer.

        Args:
            method: of etcd.
            question: its message.
            repeat: whether it may be sent again.
            seconds: for all attempts together; None: `limits.call_seconds`.

        Raises:
            EtcdUnavailable: nobody answered, and nothing was done.
            EtcdUncertain: nobody answered, and it may have been done.
            EtcdError: etcd's refusal.
        """

        async def once(index: int, left: float) -> A:
            return await self.connections.ask(index, method, question, left)

        return await self.attempt(once, repeat, seconds)

    async def attempt(
        self,
        once: Callable[[int, float], Awaitable[A]],
        repeat: Repeat,
        seconds: float | None = None,
        attempt_seconds: float | None = None,
    ) -> Answered[A]:
        """As `call`, with any way to ask one server: `once(index of the server, seconds)`, which raises Failed.

        `attempt_seconds` is for one attempt; None: `limits.attempt_seconds`.
        """
        within = self.limits.attempt_seconds if attempt_seconds is None else attempt_seconds
        ends = self.clock() + (self.limits.call_seconds if seconds is None else seconds)
        doubted = False
        last: EtcdError | None = None
        tokens = 0
        while True:
            for index in self.endpoints.order(self.clock()):
                left = ends - self.clock()
                if left <= 0:
                    raise self._given_up(last, doubted=doubted)
                sent_at = self.clock()
                try:
                    answer = await once(index, left if repeat is Repeat.NEVER else min(left, within))
                except Failed as failed:
                    what = failed.judged
                    tokens += what.verdict is Verdict.TOKEN
                    if what.verdict is Verdict.REFUSED or tokens > 2:
                        raise self._refused(what.error, doubted=doubted) from failed
                    doubted |= what.verdict is Verdict.DOUBTFUL and repeat is not Repeat.FREELY
                    if doubted and repeat is Repeat.NEVER:
                        self.endpoints.failed(index, self.clock())
                        raise self._given_up(what.error, doubted=True) from failed
                    if last is None or self.clock() < ends:  # one that the end cut short tells less than those before
                        last = what.error
                    if what.verdict is not Verdict.TOKEN:
                        self.endpoints.failed(index, self.clock())
                else:
                    self._answered(index)
                    return Answered(answer, doubted, sent_at)
            await asyncio.sleep(min(self.limits.pause_seconds, max(0.0, ends - self.clock())))

    def _answered(self, index: int) -> None:
        self.endpoints.answered(index)
        if self._away:
            self._away = False
            if self._trouble is not None:
                self._trouble(None)

    def _given_up(self, last: EtcdError | None, *, doubted: bool) -> EtcdError:
        last = last or EtcdUnavailable("etcd was not asked: there was no time left")
        if not self._away:
            self._away = True
            if self._trouble is not None:
                self._trouble(last)
        return (
            EtcdUncertain(f"{last}; it may have been done all the same: read before it is tried again")
            if doubted
            else last
        )

    def _refused(self, last: EtcdError, *, doubted: bool) -> EtcdError:
        """What was refused now may have been done before: the refusal may be its consequence."""
        return EtcdUncertain(f"{last}, but an attempt before may have been done: read first") if doubted else last
