"""Members confirm one another: a short signed question at the peer door, each second while etcd is away.

So reads go on by the last view, and a view that one member learned reaches those that etcd does not. A silent member
stays in the view: only etcd, an administrator or its own leave takes it out.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from regioncache.cluster.members import BadMember, parsed
from regioncache.cluster.view import View, view_of
from regioncache.errors import CacheError
from regioncache.http.ask import Base
from regioncache.http.messages import Reply
from regioncache.peers.desks import Questioner, Values
from regioncache.peers.wire import BadPeerRequest

OPERATION = "confirm"
EACH_SECONDS = 1.0
"""While etcd is away: the design's figure."""
SELDOM = 5
"""Only each fifth time while etcd tells who is there: it is for `causeway members` then, and each costs 0.5 ms."""
ANSWER_SECONDS = 2.0
MISSED = 3
"""A member that owes so many answers is silent, as a reply is that misses three beats."""
MOST_BYTES = 1 << 20
"""Of an answer: a view of a thousand members."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a member says of itself: the random name of its process, its state, and its view's epoch."""

    name: str
    process: str
    process_epoch: int
    state: str
    cluster: str
    epoch: int

    def values(self) -> dict[str, str]:
        """Returns it as the values of a question."""
        return {
            "name": self.name,
            "process": self.process,
            "process_epoch": str(self.process_epoch),
            "state": self.state,
            "cluster": self.cluster,
            "epoch": str(self.epoch),
        }


def told(values: Values) -> Told:
    """Returns what the values say. Raises BadMember."""
    try:
        numbers = int(values["process_epoch"]), int(values["epoch"])
        return Told(values["name"], values["process"], numbers[0], values["state"], values["cluster"], numbers[1])
    except (KeyError, ValueError, TypeError) as wrong:
        raise BadMember(f"what a member says of itself lacks {wrong}") from wrong


@dataclass(frozen=True, slots=True)
class Heard:
    """What was last heard of a member; `at` is monotonic seconds."""

    said: Told
    at: float


class Confirming:
    """Asks the others and answers them. Mutable state: who was heard when, whom a question is under way to."""

    def __init__(
        self,
        region: str,
        questioner: Questioner,
        own: Callable[[], Told],
        view: Callable[[], View | None],
        learn: Callable[[View], None],
        clock: Callable[[], float],
        wrong: Callable[[str, str], None],
    ) -> None:
        """Builds it.

        Args:
            region: this one.
            questioner: asks other nodes.
            own: what this member says of itself now.
            view: the one in force.
            learn: told a view that another member has, newer than ours or of another cluster.
            clock: monotonic seconds.
            wrong: told why a member (its address) does not answer as one; "" once it does.
        """
        self._region = region
        self._questioner = questioner
        self._own = own
        self._view = view
        self._learn = learn
        self._clock = clock
        self._wrong = wrong
        self._asking: set[str] = set()
        self._each = EACH_SECONDS
        self.heard: dict[str, Heard] = {}

    def silent(self, name: str) -> bool:
        """Whether a member was not heard for as long as three answers take."""
        heard = self.heard.get(name)
        return heard is None or self._clock() - heard.at > MISSED * self._each

    async def answers(self, name: str) -> bool:
        """Whether a member answers now."""
        member, began = None if (view := self._view()) is None else view.of(name), self._clock()
        if member is not None:
            await self._ask(member.addresses.peer)
        heard = self.heard.get(name)
        return heard is not None and heard.at >= began

    async def answer(self, _region: str, values: Values) -> Reply:
        """The desk of `confirm`, for members alone."""
        try:
            asker = told(values)
        except BadMember as fault:
            raise BadPeerRequest(str(fault)) from fault
        own, view = self._own(), self._view()
        if asker.cluster in {"", own.cluster}:
            self._hear(asker)
        news = view is not None and asker.cluster in {"", own.cluster} and asker.epoch < view.epoch
        body = {**own.values(), "view": view.plain() if news and view is not None else None}
        return Reply(200, [(b"content-type", b"application/json")], json.dumps(body).encode())

    async def run(self, quick: Callable[[], bool], seeds: Callable[[], Sequence[str]]) -> None:
        """Asks until cancelled.

        Args:
            quick: whether etcd is away.
            seeds: URLs of peer doors to ask while there is no view.
        """
        turn = 0
        async with asyncio.TaskGroup() as group:
            while True:
                seldom = not quick()
                self._each = EACH_SECONDS * (SELDOM if seldom else 1)
                for url in self._whom(seeds) if turn % SELDOM == 0 or not seldom else ():
                    if url not in self._asking:
                        group.create_task(self._ask(url))
                turn += 1
                await asyncio.sleep(EACH_SECONDS)

    def _whom(self, seeds: Callable[[], Sequence[str]]) -> Sequence[str]:
        view, own = self._view(), self._own()
        if view is None:
            return seeds()
        self.heard = {name: heard for name, heard in self.heard.items() if view.of(name) is not None}
        return [one.addresses.peer for one in view.members if one.name != own.name]

    async def _ask(self, url: str) -> None:
        self._asking.add(url)
        try:
            body = await self._questioner.ask(
                Base.parse(url),
                self._region,
                OPERATION,
                self._own().values(),
                seconds=ANSWER_SECONDS,
                most_bytes=MOST_BYTES,
            )
            self._answered(body)
        except (CacheError, BadMember, ValueError) as fault:
            self._wrong(url, str(fault))
        else:
            self._wrong(url, "")
        finally:
            self._asking.discard(url)

    def _answered(self, body: bytes) -> None:
        plain = parsed(body)
        if not isinstance(plain, dict):
            raise BadMember("the answer is none of a member")
        said = told(plain)
        own = self._own()
        if said.cluster and own.cluster and said.cluster != own.cluster:
            raise BadMember(f"it is of cluster {said.cluster}, this node of {own.cluster}: both have the same secret")
        self._hear(said)
        if plain.get("view") is not None:
            self._learn(view_of(plain["view"]))

    def _hear(self, said: Told) -> None:
        self.heard[said.name] = Heard(said, self._clock())
