"""One far region: a question goes to the node that it is for, and to the next one where that does not answer.

What keeps `FarNodes` true: a reply that tells a newer epoch has the view asked for anew, and nodes that are away, or
that nobody has asked yet, are probed behind, while the region is used. A probe is the question for the view.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from regioncache.cluster.members import Member
from regioncache.errors import (
    BadAnswer,
    CacheError,
    NodeStopping,
    NotSupported,
    OriginBusy,
    OriginUnavailable,
    Refused,
    SlowDown,
    Unanswered,
)
from regioncache.federation.farview import VIEW_BYTES, parse_view
from regioncache.federation.nodes import FarNodes
from regioncache.http.client import Base
from regioncache.http.faults import AnswerTimeout
from regioncache.lines.base import Crossing
from regioncache.origins.base import Payer
from regioncache.peers.desks import Questioner
from regioncache.peers.proto import SILENCE_SECONDS
from regioncache.tidings import Tidings

OPERATION = "nodes"
"""The desk that tells a region's nodes."""
PAYER = Payer("other", "interactive")
"""Of control traffic: 1 % of a line is kept for it."""
MOST_PROBES = 16
"""Nodes that are probed at once."""
OpenCrossing = Callable[[Callable[[], Payer], Callable[[], str]], Crossing]
_T = TypeVar("_T")


class FarRegion:
    """Mutable state: `nodes`, the probes under way by address, and the question for the view."""

    def __init__(
        self,
        name: str,
        questioner: Questioner,
        clock: Callable[[], float],
        tidings: Tidings,
        askable: Callable[[str], bool] = lambda address: True,
    ) -> None:
        """`clock` is monotonic seconds; `questioner` asks the nodes' desks; `askable`: as of `FarNodes`."""
        self.name = name
        self.nodes = FarNodes(askable)
        self._questioner = questioner
        self._clock = clock
        self._tidings = tidings
        self._probes: dict[str, asyncio.Task[None]] = {}
        self._refresh: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<FarRegion {self.name}: {self.nodes!r}>"

    async def ask(
        self, at: bytes, crossing: Crossing, open_crossing: OpenCrossing, put: Callable[[Member], Awaitable[_T]]
    ) -> tuple[_T, Member]:
        """Puts a question to the node that it is for; where that does not answer, to the next, and so on.

        Args:
            at: the place on the ring that the question is about.
            crossing: of the question.
            open_crossing: opens the account of a probe.
            put: asks one node; it raises Refused or Unanswered where that one does not answer.

        Returns: the answer, and who gave it.
        Raises: what `put` raises; Refused or Unanswered where no node answers.
        """
        self.look(open_crossing)
        nodes, began, tried = self.nodes, self._clock(), list[Member]()
        fault: OriginUnavailable | None = None
        while node := self._next(at, tried):
            if tried:
                crossing.again()
            tried.append(node)
            try:
                answer = await put(node)
            except (Refused, Unanswered, NodeStopping) as silence:
                late = isinstance(silence.__cause__, AnswerTimeout) and nodes.heard_since(node, began)
                self.failed(node, silence, alive=late)
                if late:
                    raise
                fault = silence if fault is None or isinstance(fault, Refused) else fault
                continue
            except CacheError as fault_told:
                if not isinstance(fault_told, SlowDown) or isinstance(fault_told, OriginBusy):
                    self.answered(node)
                raise
            self.answered(node)
            return answer, node
        if fault is None:
            raise Refused(f"no node of region {self.name} is known: name some under `nodes` in the topology")
        raise fault if len(tried) == 1 else type(fault)(f"no node of region {self.name} answers: {fault}")

    def _next(self, at: bytes, tried: list[Member]) -> Member | None:
        fit = next((one for one in self.nodes.order(at) if one not in tried), None)
        return fit if fit is not None or tried else self.nodes.last_resort(at)

    async def alive(self, node: Member, open_crossing: OpenCrossing) -> None:
        """Raises CacheError where a node gives no sign of life within the 3 s that tell it is gone.

        The others are asked at the same time: who is to be asked next must be there.
        """
        now = self._clock()
        for other in self.nodes.everyone():
            if not self.nodes.heard_since(other, now - SILENCE_SECONDS):
                self._probe(other, open_crossing)
        if self.nodes.heard_since(node, now - SILENCE_SECONDS):
            return
        probe = self._probes.get(node.addresses.peer)
        if probe is not None:
            await asyncio.wait({probe})
        if not self.nodes.heard_since(node, now):
            raise Unanswered(f"node {node.name} of {self.name} gives no sign of life")

    def answered(self, node: Member) -> None:
        """A node has answered."""
        now = self._clock()
        away = self.nodes.away().get(node.addresses.peer, now)
        if self.nodes.answered(node, now) and len(self.nodes.everyone()) > 1:
            self._tidings.news(f"{self._named(node)} is back, {now - away:.1f} s after it was found away")

    def failed(self, node: Member, why: CacheError, *, alive: bool = False) -> None:
        """A node did not answer, or broke off; `alive`: it only took too long."""
        if alive:
            return
        if self.nodes.failed(node, self._clock()) and len(self.nodes.everyone()) > 1 and node.name:
            self._tidings.warning(
                f"{self._named(node)} is away: {why}; meanwhile other nodes of the region are asked, and it is probed"
            )

    def others(self) -> bool:
        """Whether some node may be asked: in place of one that broke off."""
        return bool(self.nodes.order(b""))

    def heard(self, epoch: int, open_crossing: OpenCrossing) -> None:
        """A reply told the epoch of the view there."""
        if epoch > self.nodes.view.epoch:
            self._look_anew(open_crossing)

    def look(self, open_crossing: OpenCrossing) -> None:
        """The region is used: starts what is due behind."""
        now = self._clock()
        if self.nodes.stale(now):
            self._look_anew(open_crossing)
        for node in self.nodes.due(now):
            self._probe(node, open_crossing)

    async def settled(self) -> None:
        """Waits until nothing is being asked behind."""
        while tasks := [*self._probes.values(), *([self._refresh] if self._refresh is not None else [])]:
            await asyncio.wait(tasks)

    async def stop(self) -> None:
        """Ends what is asked behind."""
        tasks = [*self._probes.values(), *([self._refresh] if self._refresh is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _look_anew(self, open_crossing: OpenCrossing) -> None:
        if self._refresh is None:
            task = self._refresh = asyncio.create_task(self._learn(open_crossing))
            task.add_done_callback(self._learned)

    def _learned(self, task: "asyncio.Task[None]") -> None:
        self._refresh = None

    async def _learn(self, open_crossing: OpenCrossing) -> None:
        """Asks one node after the other for the view, until one tells it; then those nobody has heard yet."""
        for node in self.nodes.order(b""):
            if await self._ask_view(node, open_crossing):
                break
        for node in self.nodes.due(self._clock()):
            self._probe(node, open_crossing)

    def _probe(self, node: Member, open_crossing: OpenCrossing) -> None:
        where = node.addresses.peer
        if where not in self._probes and len(self._probes) < MOST_PROBES:
            task = self._probes[where] = asyncio.create_task(self._try(node, open_crossing))
            task.add_done_callback(lambda _: self._probes.pop(where, None))

    async def _try(self, node: Member, open_crossing: OpenCrossing) -> None:
        await self._ask_view(node, open_crossing)

    async def _ask_view(self, node: Member, open_crossing: OpenCrossing) -> bool:
        """Asks a node for the view; returns whether it told one. Whether it answered is remembered."""
        crossing = open_crossing(lambda: PAYER, lambda: "meta")
        try:
            # Connecting too: an address that cannot be reached from here swallows what is sent there.
            async with asyncio.timeout(SILENCE_SECONDS):
                body = await self._questioner.ask(
                    Base.parse(node.addresses.peer),
                    self.name,
                    OPERATION,
                    {},
                    seconds=SILENCE_SECONDS,
                    most_bytes=VIEW_BYTES,
                    crossing=crossing,
                )
            view = parse_view(body)
        except (Refused, Unanswered, TimeoutError) as silence:
            why = silence if isinstance(silence, CacheError) else Unanswered(f"no answer in {SILENCE_SECONDS:g} s")
            self.failed(node, why)
            return False
        except (NotSupported, BadAnswer):
            self.answered(node)  # an earlier version: it reads and forwards all the same
            return False
        except CacheError as fault:
            if not isinstance(fault, SlowDown):
                self.failed(node, fault)
            return False
        finally:
            crossing.close()
        self.answered(node)
        if self.nodes.adopt(view, self._clock()):
            for one in self.nodes.due(self._clock()):
                self._probe(one, open_crossing)
        return True

    def _named(self, node: Member) -> str:
        where = node.addresses.peer.partition("//")[2]
        return f"node {node.name if node.name != node.addresses.peer else where} of {self.name} ({where})"
