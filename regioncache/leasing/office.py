"""The lease office of one line while it is in office: reports come in, grants go out, rosters are kept.

The arithmetic is `policy.leases.book`, one book for each direction; this is its shell. It grants nothing once the last
third of its own session has begun, and ends when somebody else may be in office.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from policy.errors import Superseded
from policy.leases.book import BookStatistics, LeaseBook
from policy.leases.messages import Grant, Report, Roster
from policy.model import CONTROL_BURST_PART, CONTROL_PART, LinePolicy
from regioncache.leasing.tenure import NotInOffice, Record, Tenure, TenureUnkept
from regioncache.leasing.wire import Granted
from regioncache.tidings import Tidings

RETRY_SECONDS = 0.5
"""Until what could not be kept is tried again."""


class Post(Protocol):
    """A node's stream, as the office sees it."""

    def send(self, granted: Granted | None) -> None:
        """Sends a grant, or that the office lives; never waits, and a stream that is gone passes it over."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds of a line now: its policy, and what windows allow its classes."""

    policy: LinePolicy
    class_ceils: tuple[tuple[str, float], ...]

    @classmethod
    def at(cls, policy: LinePolicy, moment: float) -> "Rules":
        """Returns what holds at `moment`, seconds since the epoch."""
        return cls(policy, tuple(sorted(policy.class_ceils(moment).items())))


@dataclass(slots=True)
class _Direction:
    """Mutable: one direction's book, the rules that it goes by, and the streams of its nodes."""

    book: LeaseBook
    rules: Rules
    posts: dict[str, Post]
    unkept: Roster | None = None
    """What a successor must know and cannot read yet; until it can, nothing else is to be kept."""


class Office:
    """One line's office. Mutable state: its directions, the record that is kept, whether it is over."""

    def __init__(
        self, line: str, tenure: Tenure, rules: Callable[[], Rules], clock: Callable[[], float], tidings: Tidings
    ) -> None:
        """Args: rules: what holds of the line now; asked again and again. clock: monotonic seconds."""
        self.line = line
        self._tenure = tenure
        self._rules = rules
        self._clock = clock
        self._tidings = tidings
        self._record = tenure.record
        self._directions: dict[str, _Direction] = {}
        self._changed = asyncio.Event()
        self._unkept = asyncio.Event()
        self._superseded: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._since = clock()
        for direction in tenure.record.rosters or ():
            self._direction(direction)

    def __repr__(self) -> str:
        return f"<Office of {self.line}, epoch {self.epoch}, {len(self._directions)} directions>"

    @property
    def epoch(self) -> int:
        """Of this office; every one before had a lower one."""
        return self._record.epoch

    # ---- what nodes say -------------------------------------------------------------------------------------------

    def join(self, direction: str, node: str, post: Post) -> None:
        """From now on the grants of a node go to `post`; a former stream of it gets none."""
        self._direction(direction).posts[node] = post

    def part(self, direction: str, node: str, post: Post) -> None:
        """A stream has ended; what its node holds it holds still."""
        posts = self._direction(direction).posts
        if posts.get(node) is post:
            del posts[node]

    def report(self, direction: str, report: Report) -> None:
        """Takes what a node says; raises NotInOffice where it knows of a newer office."""
        try:
            self._direction(direction).book.report(report, self._clock())
        except Superseded as newer:
            if not self._superseded.done():
                self._superseded.set_result(newer.epoch)
            raise NotInOffice(f"line {self.line} has a newer office than this one: {newer}") from newer
        self._changed.set()

    def dead(self, direction: str, node: str, process: int) -> None:
        """A process is proven dead, or leaves: its room is free."""
        self._direction(direction).book.fence(node, process, self._clock())
        self._changed.set()

    def adopt(self) -> None:
        """The rules may have changed."""
        self._changed.set()

    def statistics(self) -> dict[str, BookStatistics]:
        """Returns each direction at this moment."""
        return {direction: one.book.statistics(self._clock()) for direction, one in self._directions.items()}

    # ---- its time in office ---------------------------------------------------------------------------------------

    async def serve(self) -> int:
        """Grants until somebody else may be in office; returns the epoch above which the next one has to be, or 0."""
        async with asyncio.TaskGroup() as tasks:
            granting, keeping = tasks.create_task(self._grant()), tasks.create_task(self._keep())
            over = tasks.create_task(self._tenure.over())
            try:
                endings: set[asyncio.Future[Any]] = {over, keeping, granting, self._superseded}
                await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (granting, keeping, over):
                    task.cancel()
        return self._superseded.result() if self._superseded.done() else 0

    async def _grant(self) -> None:
        while True:
            self._changed.clear()
            now = self._clock()
            for one in self._directions.values():
                self._lead(one, now)
                if (roster := one.book.roster(now)) is not None:
                    one.unkept = roster
                    self._unkept.set()
                for grant in one.book.grants(now):
                    if post := one.posts.get(grant.node):
                        post.send(_with_control(grant, one.rules.policy))
            due = min((one.book.next_at(now) for one in self._directions.values()), default=now + RETRY_SECONDS)
            try:
                async with asyncio.timeout(max(0.0, min(due - self._clock(), RETRY_SECONDS))):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _lead(self, one: _Direction, now: float) -> None:
        """Tells a book how long it may grant, and by which rules."""
        seconds = self._tenure.session_seconds
        if (left := self._tenure.left(now)) > 0:
            one.book.lead(now + left - seconds if left < seconds else now, seconds)
        rules = self._rules()
        if rules != one.rules:
            one.rules = rules
            one.book.adopt(rules.policy, dict(rules.class_ceils), now)

    async def _keep(self) -> None:
        """Keeps rosters where a successor reads them, one after the other; ends when another one is in office."""
        while True:
            await self._unkept.wait()
            self._unkept.clear()
            try:
                for direction, one in list(self._directions.items()):
                    await self._keep_one(direction, one)
            except TenureUnkept as fault:
                self._tidings.warning(f"the lease office of line {self.line} cannot keep what it grants: {fault}")
                await asyncio.sleep(RETRY_SECONDS)
                self._unkept.set()
            except NotInOffice:
                return

    async def _keep_one(self, direction: str, one: _Direction) -> None:
        roster = one.unkept
        if roster is None:
            return
        record = self._record.with_roster(direction, roster)
        await self._tenure.keep(record)
        self._record, one.unkept = record, None
        one.book.kept(roster)
        self._changed.set()

    def _direction(self, name: str) -> _Direction:
        found = self._directions.get(name)
        if found is None:
            rules, roster = self._rules(), self._record.roster(name)
            book = LeaseBook(rules.policy, dict(rules.class_ceils), self.epoch, roster, self._since)
            found = self._directions[name] = _Direction(book, rules, {})
            self._changed.set()
        return found


def _with_control(grant: Grant, policy: LinePolicy) -> Granted:
    """Adds a node's part of what is never leased: as large as its part of the safe rates, whose sum has a bound."""
    safe = policy.quota * (1 - CONTROL_PART) * policy.safe
    part = min(1.0, grant.safe.rate / safe) if safe else 0.0
    return Granted(grant, part * policy.quota * CONTROL_PART, part * policy.burst_bytes * CONTROL_BURST_PART)


__all__ = ["NotInOffice", "Office", "Post", "Record", "Rules"]
