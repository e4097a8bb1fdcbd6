"""A node of several workers as its administrators see it: the worker that is asked asks its siblings, and adds up.

A sibling that does not answer within a second, as one that is being restarted, is left out.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from gateway.admin.answers import FreedShown, LineStatus, Measured, Pins, Status
from gateway.admin.operations import OperationFault, Operations
from gateway.admin.plain import plain
from gateway.catalogue import measured
from gateway.operating.running import Running
from gateway.workers import adding
from regioncache.cluster.members import Member
from regioncache.errors import CacheError
from regioncache.http.ask import Base
from regioncache.http.messages import Reply
from regioncache.peers.desks import Questioner, Values, for_members
from regioncache.peers.wire import BadPeerRequest

OPERATION = "figures"
SECONDS = 1.0
FREE_SECONDS = 30.0
MOST_BYTES = 16 * 1024 * 1024

Value = TypeVar("Value")


class Whole:
    """Answers for the node, and at a desk for this worker alone."""

    def __init__(self, node: str, running: Running, operations: Operations) -> None:
        """`node` is its name; the operations are this worker's."""
        self._node = node
        self._running = running
        self._operations = operations
        settings = running.app.settings
        self._questioner = Questioner(settings.region, settings.secrets, running.app.peer_client, settings.wall)
        self._own: dict[str, Callable[[Values], Awaitable[object]]] = {
            "metrics": self._metrics,
            "status": self._status,
            "lines": self._lines,
            "pins": self._pins,
            "free": self._free,
        }
        running.app.peers.desks[OPERATION] = for_members(settings.region, self._desk)

    async def metrics(self) -> tuple[Measured, ...]:
        """What `/metrics` of the node says."""
        others = await self._asked("metrics", tuple[Measured, ...])
        own = (self._running.settings.node, measured(self._operations.metrics()))
        return adding.metrics(dict(sorted([own, *others])))

    async def status(self) -> Status:
        """The node at a glance."""
        others = await self._asked("status", Status)
        return adding.status(self._node, [self._operations.status(), *(found for _, found in others)])

    async def lines(self) -> tuple[LineStatus, ...]:
        """Every direction of every line."""
        others = await self._asked("lines", tuple[LineStatus, ...])
        return adding.lines([self._operations.lines(), *(found for _, found in others)])

    async def pins(self) -> Pins:
        """What is pinned."""
        others = await self._asked("pins", Pins)
        return adding.pins([await self._operations.pins(), *(found for _, found in others)])

    async def free(self, path: str, *, pinned: bool) -> FreedShown:
        """Drops what is cached at a path and beneath it. Raises UnknownPath, BadOperation."""
        own = await self._freed(path, pinned)
        values = {"path": path, "pinned": str(int(pinned))}
        others = await self._asked("free", FreedShown, values, FREE_SECONDS)
        return adding.freed([own, *(found for _, found in others)])

    async def _desk(self, _asker: str, values: Values) -> Reply:
        own = self._own.get(values.get("what", ""))
        if own is None:
            raise BadPeerRequest(f"{values.get('what')!r} is no figure of a worker")
        try:
            body = json.dumps(plain(await own(values)), allow_nan=False).encode()
        except (OperationFault, KeyError) as fault:
            raise BadPeerRequest(str(fault)) from fault
        return Reply(200, [(b"content-type", b"application/json")], body)

    async def _metrics(self, _values: Values) -> Sequence[Measured]:
        return measured(self._operations.metrics())

    async def _status(self, _values: Values) -> Status:
        return self._operations.status()

    async def _lines(self, _values: Values) -> Sequence[LineStatus]:
        return self._operations.lines()

    async def _pins(self, _values: Values) -> Pins:
        return await self._operations.pins()

    async def _free(self, values: Values) -> FreedShown:
        return await self._freed(values["path"], values["pinned"] == "1")

    async def _freed(self, path: str, pinned: bool) -> FreedShown:
        freed = await self._operations.free(path, pinned=pinned)
        # What siblings keep, and is freed by them, may lie here in memory, or be open.
        shelf = self._running.app.cache.shelf
        shelf.hot.clear()
        if shelf.siblings is not None:
            shelf.siblings.forget()
        return freed

    async def _asked(
        self, what: str, kind: type[Value], values: Values | None = None, seconds: float = SECONDS
    ) -> list[tuple[str, Value]]:
        own = self._running.settings.node
        members = self._running.app.settings.ownership.members()
        siblings = [one for one in members if one.node == self._node and one.name != own]
        question = {"what": what, **(values or {})}
        found = await asyncio.gather(*(self._ask(one, question, TypeAdapter(kind), seconds) for one in siblings))
        return [(one.name, value) for one, value in zip(siblings, found, strict=True) if value is not None]

    async def _ask(self, one: Member, question: Values, kind: TypeAdapter[Value], seconds: float) -> Value | None:
        try:
            body = await self._questioner.ask(
                Base.parse(one.addresses.peer),
                self._running.app.settings.region,
                OPERATION,
                question,
                seconds=seconds,
                most_bytes=MOST_BYTES,
            )
            return kind.validate_json(body)
        except (CacheError, ValidationError, ValueError):
            return None
