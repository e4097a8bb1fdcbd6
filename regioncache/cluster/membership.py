"""This member's life in the cluster: registered under its session, following the others, going on without etcd.

The view comes from etcd while that answers, from the disk at a start without it, and from any member that has a newer
one. Nothing here is asked by reads: they ask the `Shared` ownership that this keeps up to date.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from namespace.etcdclient.client import Etcd
from namespace.etcdclient.errors import EtcdError, EtcdUnavailable
from namespace.etcdclient.session import Session
from namespace.etcdclient.values import Cause, Changes, Snapshot
from regioncache.cluster import registering
from regioncache.cluster.confirming import Confirming, Told
from regioncache.cluster.following import Anew, nothing_after, unless
from regioncache.cluster.members import Addresses, BadMember, Member, State
from regioncache.cluster.ownership import Shared
from regioncache.cluster.registering import Fence, Registering, Replaced
from regioncache.cluster.roll import Mark, Roll, cluster_key, members_prefix
from regioncache.cluster.telling import Telling
from regioncache.cluster.view import AT_ONCE_SECONDS, OtherCluster, View, Views
from regioncache.cluster.viewkeeper import ViewKeeper
from regioncache.peers.desks import Questioner
from regioncache.tidings import Tidings

VIEW_FILE = "view"
SESSION_SECONDS = 8.0
"""With etcd's own second or two, a `kill -9` is noticed within 10 s."""
GRACE_SECONDS = 30.0
"""For so long what a restarting member owns stays its own (design, section 6)."""
FIRST_SECONDS = 3.0
"""A start waits so long for etcd before it goes on by the view on its disk: an election takes 1 to 3 s."""
PATIENCE_SECONDS = 10.0
"""A start without etcd and without a view says so each time this has passed."""
AGAIN_SECONDS = 1.0
PARTING_SECONDS = 2.0
"""A stop tells etcd so within this, or goes without."""


class StillAlive(Exception):
    """A member that shall be removed answers; the message says what to do instead."""


@dataclass(frozen=True, slots=True)
class MembershipSettings:
    """Who this is. `directory` keeps the view; `process` is random, drawn at the start of the process."""

    region: str
    member: Member
    process: str
    directory: Path
    session_seconds: float = SESSION_SECONDS
    grace_seconds: float = GRACE_SECONDS


async def _nothing() -> None:
    """Nothing is to be handed over."""


class Membership:
    """See above. Mutable state: the view, the roll of this term, and whether etcd answers."""

    def __init__(
        self,
        settings: MembershipSettings,
        etcd: Etcd,
        ownership: Shared,
        questioner: Questioner,
        tidings: Tidings,
        clock: Callable[[], float],
        on_fault: Callable[[BaseException], None],
        seeds: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        """Builds it; `start` begins.

        Args:
            settings: who this is.
            etcd: the region's; closed by who made it.
            ownership: told of every view.
            questioner: asks other members.
            tidings: what an operator shall hear.
            clock: monotonic seconds.
            on_fault: told of what should not be; the part that failed begins again.
            seeds: URLs of peer doors that may know the view, while there is none.
        """
        self._settings = settings
        self._etcd = etcd
        self._ownership = ownership
        self._telling = Telling(settings.member.name, tidings)
        self._tidings = tidings
        self._keeper = ViewKeeper(settings.directory / VIEW_FILE, tidings)
        self._clock = clock
        self._seeds = seeds
        self._on_fault = on_fault
        self._roll = Roll(settings.region)
        self._session: Session | None = None
        self._kept: View | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._refused: OtherCluster | None = None
        self._left = False
        self._ending = False
        self.views = Views()
        self.registering = Registering(etcd, settings.region, settings.member, settings.process)
        self.confirming = Confirming(
            settings.region, questioner, self.own, lambda: self.views.view, self._learn, clock, self._telling.asked
        )
        self._following = False
        self._why = "it was not asked yet"
        self._trouble = ""
        self.replaced: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Done, with what to tell the operator, once another process has this member's name."""
        self.handover: Callable[[], Awaitable[None]] = _nothing
        """Hands over what this member owns, before it leaves."""

    @property
    def away(self) -> str:
        """Why etcd does not tell of every change, empty while it does."""
        return self._trouble or ("" if self._following else self._why)

    def trouble(self, fault: Exception | None) -> None:
        """The client of etcd says that no server answers, or, by None, that one does again."""
        self._trouble = "" if fault is None else str(fault)
        if self._trouble:
            self._telling.away(self._trouble)
        elif self._following:
            self._telling.back()

    def own(self) -> Told:
        """What this member says of itself."""
        member, view = self.registering.member, self.views.view or self._kept
        cluster, epoch = ("", -1) if view is None else (view.cluster, view.epoch)
        state = "left" if self._left else member.state.value
        in_force = epoch if self.views.view is not None else -1
        return Told(member.name, self._settings.process, member.process_epoch, state, cluster, in_force)

    async def start(self, addresses: Addresses) -> None:
        """Registers and returns once a view is in force: etcd's, or the one on the disk where etcd is away.

        Raises: OtherCluster.
        """
        self.registering.member = replace(self.registering.member, addresses=addresses)
        self._kept = await self._keeper.kept()
        self._tasks = [
            asyncio.create_task(self._ever(self._follow)),
            asyncio.create_task(self._ever(lambda: self.confirming.run(lambda: bool(self.away), self._seeds))),
            asyncio.create_task(self._ever(self._keeper.run)),
        ]
        if not await self._viewed(FIRST_SECONDS) and self._kept is not None:
            self._telling.by_the_disk(self.away, self._kept)
            self._adopt(self._kept)
        while not await self._viewed(PATIENCE_SECONDS):
            self._telling.waits(self.away)

    async def open(self, addresses: Addresses) -> None:
        """The doors are open at these addresses: what is owned by this member is served from here on."""
        await self._say(State.ACTIVE, addresses)

    async def part(self) -> None:
        """This process ends and another comes within the grace: what it owns stays. Returns in 2 s at most."""
        if self._ending or self.replaced.done():
            return
        self._ending = True
        if not self.registering.registered:
            return
        with contextlib.suppress(EtcdError, TimeoutError, Replaced):
            async with asyncio.timeout(PARTING_SECONDS):
                lease = await self._etcd.grant(self._settings.grace_seconds)
                await self.registering.say(State.RESTARTING, lease=lease)

    async def drain(self) -> None:
        """Hands everything over, then leaves. The process goes on, and reads through others.

        Raises: EtcdError, and what the handover raises: then it owns as before.
        """
        if self.away:
            raise EtcdUnavailable(f"this member cannot leave now: {self.away}")
        try:
            await self.registering.say(State.LEAVING)
            await self.handover()
            self._left = self._ending = True
            await self.registering.leave()
        except BaseException:
            self._left = self._ending = False
            await self._say(State.ACTIVE)
            raise
        self._tidings.news(f"member {self._settings.member.name} has handed over and left; it may be stopped")

    async def remove(self, name: str) -> bool:
        """Takes a member out by hand; returns whether it was registered. Its room on lines is free from here on.

        Raises: StillAlive, EtcdError, BadMember.
        """
        if name == self._settings.member.name or await self.confirming.answers(name):
            raise StillAlive(
                f"member {name!r} is alive and cannot be removed: `causeway drain {name}` lets it leave; or stop it"
            )
        return await self._fence(name, "removed")

    async def ended(self, name: str, process: str) -> bool:
        """A supervisor's word that a process it started has ended; returns whether that took it out of the view.

        Raises: EtcdError, BadMember.
        """
        return await self._fence(name, "ended", process)

    async def close(self) -> None:
        """Ends all tasks; the view in force is on the disk then, unless that hangs.

        What `part` or `drain` wrote stands; else the session runs out by itself.
        """
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._keeper.close()
        if self._session is not None:
            await self._session.close(revoke=False)

    async def _fence(self, name: str, why: str, process: str | None = None) -> bool:
        epoch = 0 if self.views.view is None else self.views.view.epoch
        found = self._roll.of(name)
        fence = Fence(epoch if found is None else found.member.process_epoch, why)
        return await registering.remove(self._etcd, self._settings.region, name, fence, process)

    async def _say(self, state: State, addresses: Addresses | None = None) -> None:
        """Says it now, or behind for as long as etcd takes no writes."""
        try:
            await self.registering.say(state, addresses)
        except EtcdError:
            self._tasks.append(asyncio.create_task(self._say_later()))
        except Replaced as fault:
            self._give_way(fault)

    async def _say_later(self) -> None:
        said = False
        while not said:
            await asyncio.sleep(AGAIN_SECONDS)
            with contextlib.suppress(EtcdError, Replaced):  # the follower sees who replaced us
                await self.registering.say(self.registering.member.state)
                said = True

    async def _ever(self, part: Callable[[], Awaitable[None]]) -> None:
        """Runs a part until it ends; one that fails by a fault of ours begins again, or this member would go blind."""
        while True:
            try:
                return await part()
            except Exception as fault:
                self._on_fault(fault)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _follow(self) -> None:
        """Follows etcd, whatever becomes of it, until another process has our name."""
        while True:
            try:
                await self._term()
            except Replaced as fault:
                self._give_way(fault)
                return
            except OtherCluster as fault:
                self._refused = fault
                self._lost(str(fault))
            except (EtcdError, BadMember) as fault:
                self._lost(str(fault))
            except Anew as why:
                self._lost(str(why))
                continue
            await asyncio.sleep(AGAIN_SECONDS)

    async def _term(self) -> None:
        """One stretch of following, until the session or etcd's data is lost."""
        region, last = self._settings.region, self.views.view or self._kept
        await registering.mark_of(self._etcd, region, last)
        session = await self._in_session()
        async with self._etcd.follow(members_prefix(region), cluster_key(region)) as following:
            lost = asyncio.create_task(nothing_after(session))
            try:
                while True:
                    await self._heard(await unless(lost, following), session)
            finally:
                lost.cancel()

    async def _heard(self, news: Snapshot | Changes, session: Session) -> None:
        if isinstance(news, Snapshot):
            await self._read_whole(news, session)
        else:
            self._roll.changed(news)
            self._look_at_own()
        self._telling.unreadable(self._roll.faults)
        view = self._roll.view()
        if view is not None:
            self._found()
            self._adopt(view)

    async def _in_session(self) -> Session:
        if self._session is None:
            self._session = await Session.open(self._etcd, self._settings.session_seconds)
        else:
            await self._session.renew()
        return self._session

    async def _read_whole(self, snapshot: Snapshot, session: Session) -> None:
        if snapshot.cause is Cause.LOST:
            raise Anew("etcd lost its data, or was set up anew")
        region, last = self._settings.region, self.views.view or self._kept
        mark, modified = await registering.mark_of(self._etcd, region, last)
        if last is not None and mark.base + snapshot.revision < last.epoch:
            await registering.raised(self._etcd, region, mark, modified, last)
            raise Anew("etcd was put back from an older copy")
        self._roll.whole(snapshot, mark)
        if self._ending:
            self._roll.wrote(0)
        else:
            self._roll.wrote(await self._registered(mark, session))

    async def _registered(self, mark: Mark, session: Session) -> int:
        revision = await self.registering.enter(self._roll, mark, session.lease)
        self._refused = None
        return revision

    def _look_at_own(self) -> None:
        """Whether the registration is still ours."""
        own = self._roll.of(self._settings.member.name)
        if self._ending or not self.registering.registered or self._roll.view() is None:
            return
        if own is None:
            self.registering.forget()
            raise Anew("this member was removed from etcd, and is alive: it registers again")
        if own.process != self._settings.process:
            raise Replaced(self.registering.replaced_by(own))

    def _give_way(self, fault: Replaced) -> None:
        self._lost(str(fault))
        if not self.replaced.done():
            self.replaced.set_result(str(fault))

    def _lost(self, why: str) -> None:
        self._following, self._why = False, why
        self._telling.away(why)

    def _found(self) -> None:
        self._following = True
        if not self._trouble:
            self._telling.back()

    def _learn(self, view: View) -> None:
        """Another member has a newer view."""
        with contextlib.suppress(OtherCluster):
            self._adopt(view)

    def _adopt(self, view: View) -> None:
        change = self.views.adopt(view, self._clock())
        if change is None:
            return
        self._own_by(view)
        if change.moved:
            asyncio.get_running_loop().call_later(AT_ONCE_SECONDS, self._settle)
        self._telling.changed(view, change, left=self._left)
        self._telling.only({one.addresses.peer for one in view.members})
        self._keeper.keep(view)

    def _settle(self) -> None:
        """Changes that were at once are past: owners ask as many as usual."""
        if self.views.view is not None:
            self._own_by(self.views.view)

    def _own_by(self, view: View) -> None:
        self._ownership.adopt(view.members, view.epoch, self.views.ranks(self._clock()))

    async def _viewed(self, seconds: float) -> bool:
        """Waits until a view is in force, `seconds` at most. Raises OtherCluster."""
        ends = self._clock() + seconds
        while self.views.view is None and (left := ends - self._clock()) > 0:
            if self._refused is not None:
                raise self._refused
            await self._ownership.newer(self._ownership.epoch, min(left, 0.1))
        return self.views.view is not None
