"""The office's end of the streams: who may talk to which office, and what goes to each node."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable

from namespace.rpc.faults import Forbidden, NotHere, RpcFault, Wrong
from namespace.rpc.serving import Caller, Service
from regioncache.leasing.methods import HOLD, SERVICE, SILENCE_SECONDS
from regioncache.leasing.office import NotInOffice, Office
from regioncache.leasing.proto import leases_pb2 as pb
from regioncache.leasing.wire import BadLeaseMessage, Granted, answer_message, report_of

MOST_WAITING = 64
"""Answers that wait for a node that does not read them; the oldest are let go, as if they were lost on the way."""


class Outbox:
    """A stream as the office sees it. Mutable state: what waits to be sent, and whether the stream has ended."""

    def __init__(self) -> None:
        self._waiting: deque[Granted | None] = deque(maxlen=MOST_WAITING)
        self._filled = asyncio.Event()

    def send(self, granted: Granted | None) -> None:
        """Sends a grant, or that the office lives; never waits."""
        self._waiting.append(granted)
        self._filled.set()

    async def next(self) -> Granted | None:
        """Returns the next to be sent."""
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        return self._waiting.popleft()


class Leases:
    """Holds conversations with nodes. `offices` gives a line's office while this process has it."""

    def __init__(
        self, region: str, offices: Callable[[str], Office | None], ends: Callable[[str], Iterable[str]]
    ) -> None:
        """Args: ends: the regions between which a line is; none for a line that is not known."""
        self._region = region
        self._offices = offices
        self._ends = ends

    def service(self) -> Service:
        """Returns what a server serves."""
        service = Service(SERVICE)
        service.talk(HOLD, self.hold)
        return service

    async def hold(self, messages: AsyncIterator[pb.FromNode], caller: Caller) -> AsyncIterator[pb.FromOffice]:
        """Answers a node until it leaves, falls silent, or this process is not in office any more.

        Raises: NotHere, Forbidden, Wrong.
        """
        hello = await _next(messages)
        if hello is None:
            return
        office, direction = self._admitted(hello, caller)
        yield answer_message(None, office.epoch)
        outbox = Outbox()
        hearing = asyncio.create_task(self._hear(messages, office, direction, outbox))
        sending = asyncio.create_task(outbox.next())
        try:
            while True:
                await asyncio.wait({sending, hearing}, return_when=asyncio.FIRST_COMPLETED)
                if hearing.done():
                    hearing.result()
                    return
                granted, sending = sending.result(), asyncio.create_task(outbox.next())
                yield answer_message(granted, office.epoch)
        finally:
            for task in (hearing, sending):
                task.cancel()
            await asyncio.gather(hearing, sending, return_exceptions=True)

    def _admitted(self, message: pb.FromNode, caller: Caller) -> tuple[Office, str]:
        if message.WhichOneof("what") != "hello":
            raise Wrong("a node says first of which line it speaks")
        line, ends = message.hello.line, tuple(self._ends(message.hello.line))
        if caller.region not in ends:
            raise Forbidden(f"region {caller.region!r} is at no end of line {line!r}: its leases are for those two")
        far = ends[0] if caller.region == ends[1] else ends[1]
        if message.hello.direction != f"{far}>{caller.region}":
            raise Wrong(
                f"nodes of {caller.region!r} hold leases of {far}>{caller.region}, not {message.hello.direction!r}"
            )
        return self._in_office(line), message.hello.direction

    def _in_office(self, line: str) -> Office:
        office = self._offices(line)
        if office is None:
            raise NotHere(f"this node of {self._region} is not the lease office of line {line!r} now; ask where it is")
        return office

    async def _hear(self, messages: AsyncIterator[pb.FromNode], office: Office, direction: str, outbox: Outbox) -> None:
        """Takes what a node says; ends when it does, or falls silent. Raises RpcFault."""
        node = ""
        try:
            while (message := await _next(messages)) is not None:
                if self._offices(office.line) is not office:
                    raise NotHere(f"another lease office of line {office.line!r} has begun; ask where it is")
                if message.WhichOneof("what") == "dead":
                    office.dead(direction, message.dead.node, message.dead.process)
                    continue
                report = report_of(message.report)
                if not node:
                    node = report.node
                    office.join(direction, node, outbox)
                office.report(direction, report)
                outbox.send(None)
        except BadLeaseMessage as bad:
            raise Wrong(str(bad)) from bad
        except NotInOffice as gone:
            raise NotHere(str(gone)) from gone
        finally:
            if node:
                office.part(direction, node, outbox)


async def _next(messages: AsyncIterator[pb.FromNode]) -> pb.FromNode | None:
    """The next message; None where the node has ended the stream, or is silent."""
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            return await anext(messages, None)
    except TimeoutError:
        return None


__all__ = ["Leases", "Outbox", "RpcFault"]
