"""A node's talk with the office of one line: finds it, reports each second and when demand changes, takes grants.

It goes on for ever: whatever fails is tried again, and what the line may carry meanwhile is the holder's affair.
"""

import asyncio
import contextlib
from collections.abc import Callable

from namespace.rpc.calling import Conversation, Remote
from namespace.rpc.faults import RpcFault, TooSlow
from policy.leases.messages import REPORT_GAP_SECONDS, REPORT_SECONDS
from regioncache.errors import CacheError
from regioncache.leasing.finding import Finder
from regioncache.leasing.holder import Leaseholder
from regioncache.leasing.methods import HOLD, SILENCE_SECONDS
from regioncache.leasing.proto import leases_pb2 as pb
from regioncache.leasing.wire import BadLeaseMessage, answer_of, report_message

FIRST_PAUSE_SECONDS = 0.1
MOST_PAUSE_SECONDS = 2.0
"""Between two attempts to find and reach an office."""
PASSED_OVER_SECONDS = 3.0
"""Without a lease, though the office answers: it knows better than to believe us alive."""
LEAVE_SECONDS = 1.0
"""How long leaving may take: the office is told that what we held is free."""

Talked = Conversation[pb.FromNode, pb.FromOffice]


class Talking:
    """Mutable state: whether the next report is due, and the deaths to be told."""

    def __init__(
        self,
        holder: Leaseholder,
        finder: Finder,
        connect: Callable[[str], Remote],
        process: Callable[[], int],
        clock: Callable[[], float],
        on_fault: Callable[[BaseException], None],
    ) -> None:
        """Builds it; `run` talks.

        Args:
            holder: What is held.
            finder: Finds the office.
            connect: To the control port at an address.
            process: This process's newest epoch; 0: it is not known yet, and nothing can be held.
            clock: Monotonic seconds.
            on_fault: Told of a fault of the program; the talk goes on after it.
        """
        self._on_fault = on_fault
        self._process = process
        self._holder = holder
        self._finder = finder
        self._connect = connect
        self._clock = clock
        self._due = asyncio.Event()
        self._shrunk = asyncio.Event()
        self._deaths: list[tuple[str, int]] = []
        self._fault = ""
        holder.line.on_demand(self._due.set)

    @property
    def fault(self) -> str:
        """Why the office was not reached last; empty while it is."""
        return "" if self._holder.speaks else self._fault

    def dead(self, node: str, process: int) -> None:
        """A process of this region is proven dead: the office hears of it with the next report."""
        self._deaths.append((node, process))
        self._due.set()

    async def run(self) -> None:
        """Talks until cancelled; then, if it can, it tells the office that nothing is held any more."""
        pause = FIRST_PAUSE_SECONDS
        while not self._process():
            await self._rest(pause)
        self._holder.restart(self._process())
        while True:
            begun = self._clock()
            try:
                await self._talk()
                self._fault = "the office has ended the talk"
            except (CacheError, RpcFault) as fault:
                self._fault = str(fault)
                self._holder.complain(self._fault)
            except Exception as fault:  # a fault of the program must not end the talk for ever
                self._fault = repr(fault)
                self._on_fault(fault)
            finally:
                self._holder.speaks = False
            if self._clock() - begun > MOST_PAUSE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            await self._rest(pause)
            pause = min(MOST_PAUSE_SECONDS, 2 * pause)

    async def _rest(self, seconds: float) -> None:
        """Waits, and keeps the line's terms true meanwhile."""
        until = self._clock() + seconds
        while (left := until - self._clock()) > 0:
            self._holder.look()
            await asyncio.sleep(min(left, REPORT_SECONDS))
        self._holder.look()

    async def _talk(self) -> None:
        """Holds one conversation, until it breaks or the office falls silent."""
        place = await self._look_for()
        self._holder.office = place
        remote = self._connect(place)
        try:
            talked = remote.talk(HOLD)
            async with talked:
                line = self._holder.line
                await talked.send(
                    pb.FromNode(hello=pb.Hello(line=line.name, direction=line.direction)), SILENCE_SECONDS
                )
                first = await self._heard(talked)
                if first is not None:
                    await self._converse(talked, first.epoch)
        finally:
            await remote.close()

    async def _look_for(self) -> str:
        """Finds the office; the line's terms are kept true meanwhile."""
        finding = asyncio.ensure_future(self._finder.find())
        try:
            while not (await asyncio.wait({finding}, timeout=REPORT_SECONDS))[0]:
                self._holder.look()
            return finding.result().address
        finally:
            if not finding.done():
                finding.cancel()
                await asyncio.wait({finding})

    async def _converse(self, talked: Talked, epoch: int) -> None:
        reporting = asyncio.create_task(self._report(talked, epoch))
        hearing = asyncio.create_task(self._hear(talked))
        try:
            await asyncio.wait({reporting, hearing}, return_when=asyncio.FIRST_COMPLETED)
            for task in (reporting, hearing):
                if task.done():
                    task.result()
        except asyncio.CancelledError:
            reporting.cancel()
            await asyncio.wait({reporting})
            await self._leave(talked)
            raise
        finally:
            for task in (reporting, hearing):
                task.cancel()
            await asyncio.gather(reporting, hearing, return_exceptions=True)

    async def _report(self, talked: Talked, epoch: int) -> None:
        """Reports each second, and at once when demand changes or a grant was taken, ten times a second at most.

        A grant that lets less is echoed at once, however lately a report was sent: others wait for what is free by it.
        An office makes grants 50 times a second at most, so nothing is said oftener.
        """
        begun = self._clock()
        while True:
            self._due.clear()
            self._holder.look()
            self._go_on_as_another(begun)
            while self._deaths:
                node, process = self._deaths[0]
                await talked.send(pb.FromNode(dead=pb.Dead(node=node, process=process)), SILENCE_SECONDS)
                self._deaths.pop(0)
            self._shrunk.clear()
            await talked.send(report_message(self._holder.report(epoch)), SILENCE_SECONDS)
            if not await _within(REPORT_GAP_SECONDS, self._shrunk):
                await _within(REPORT_SECONDS - REPORT_GAP_SECONDS, self._due)

    def _go_on_as_another(self, begun: float) -> None:
        """Where the office takes this process for dead, it goes on under its newest epoch.

        A process has a new one with each session in etcd. While the office knows it by the former, that one is kept:
        who is new to an office that learns gets little.
        """
        process = self._process()
        if process > self._holder.name[1] and not self._holder.leased and self._clock() - begun > PASSED_OVER_SECONDS:
            self._holder.restart(process)

    async def _hear(self, talked: Talked) -> None:
        """Takes grants until the office ends the talk or is silent; raises RpcFault, BadLeaseMessage."""
        while (message := await self._heard(talked)) is not None:
            self._holder.hear(answer_of(message))
            if self._holder.unsaid:
                self._due.set()
            if self._holder.shrunk:
                self._shrunk.set()

    async def _heard(self, talked: Talked) -> pb.FromOffice | None:
        try:
            return await talked.receive(SILENCE_SECONDS)
        except TooSlow as fault:
            raise TooSlow(f"the lease office of line {self._holder.line.name} is silent: {fault}") from fault

    async def _leave(self, talked: Talked) -> None:
        """Says that nothing is held any more, and makes it so before."""
        self._holder.end(f"this node stops, and holds no lease of line {self._holder.line.name} any more")
        node, process = self._holder.name
        with contextlib.suppress(RpcFault, TimeoutError):
            await talked.send(pb.FromNode(dead=pb.Dead(node=node, process=process)), LEAVE_SECONDS)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    """Waits for an event; tells whether it came."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


__all__ = ["BadLeaseMessage", "Talking"]
