"""Where siblings keep what they own, asked of them by the dozen: a question by itself costs as much as ten hits.

What is asked for while a question to that owner is under way goes with the next one: a busy process asks for many at
once, and an idle one waits for nobody. An owner that does not answer is waited for once by all who ask by then.
"""

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from regioncache.cluster.members import Member
from regioncache.errors import BadAnswer, CacheError
from regioncache.http.messages import Reply
from regioncache.owners.memberroutes import MemberRoutes
from regioncache.pages import KIB, PACKED_BYTES
from regioncache.peers.desks import Desk, Values, for_members
from regioncache.peers.wire import BadPeerRequest
from regioncache.store.whereabouts import Sought, Whereabout, Whereabouts

OPERATION = "where"
MOST = 128
"""In one question: its owner serves nobody else while it answers, some 300 us."""
QUESTION_BYTES = 48 * KIB
"""A request's head may have 64 KiB."""
ANSWER_BYTES = MOST * 5 * KIB
"""A path has 4 KiB at most."""
ASK_SECONDS = 1.0
_BETWEEN, _VERSION = "_", "."
"""What stands between things asked for, and before a version: neither has to be quoted in a target."""


class Untold(Enum):
    """In place of an answer."""

    SILENT = "the owner did not say"


Answer = asyncio.Future[Whereabout | Untold | None]
_Waiting = deque[tuple[str, Answer]]


@dataclass(slots=True)
class Inquiries:
    """Mutable state, by owner: who waits for the next question, and the task that asks."""

    routes: MemberRoutes
    roots: Sequence[Path]
    """What is told to lie elsewhere is not believed, and never opened."""
    _waiting: dict[Member, _Waiting] = field(default_factory=dict)
    _asking: set[asyncio.Task[None]] = field(default_factory=set)

    def __len__(self) -> int:
        """How many owners are being asked."""
        return len(self._waiting)

    def where(self, owner: Member, sought: Sought) -> Answer:
        """Returns what will say where it lies, without a fault; None: nowhere that can be read here."""
        answer: Answer = asyncio.get_running_loop().create_future()
        waiting = self._waiting.get(owner)
        if waiting is None:
            waiting = self._waiting[owner] = deque()
            task = asyncio.ensure_future(self._ask(owner, waiting))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        waiting.append((_encoded(sought), answer))
        return answer

    async def stop(self) -> None:
        """Ends all questions."""
        tasks = list(self._asking)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, owner: Member, waiting: _Waiting) -> None:
        some: list[tuple[str, Answer]] = []
        try:
            while waiting:
                some = _question(waiting)
                for (_, answer), one in zip(some, await self._told(owner, some), strict=True):
                    _settle(answer, one)
        except CacheError:
            for _, answer in (*some, *waiting):
                _settle(answer, Untold.SILENT)
        finally:
            # No await from the last look at who waits to here: whoever asks next begins anew.
            del self._waiting[owner]
            for _, answer in (*some, *waiting):
                answer.cancel()

    async def _told(self, owner: Member, some: Sequence[tuple[str, Answer]]) -> Sequence[Whereabout | None]:
        """Raises CacheError: the owner does not say."""
        values = {"of": _BETWEEN.join(of for of, _ in some)}
        body = await self.routes.ask(owner, OPERATION, values, seconds=ASK_SECONDS, most_bytes=ANSWER_BYTES)
        try:
            return _parsed(body, len(some), self.roots)
        except BadAnswer:
            return [None] * len(some)


def desk(region: str, whereabouts: Whereabouts) -> dict[str, Desk]:
    """The desk at which siblings ask where something lies."""

    async def answer(_asker: str, values: Values) -> Reply:
        try:
            sought = [_decoded(one) for one in values["of"].split(_BETWEEN)]
        except (ValueError, KeyError) as fault:
            raise BadPeerRequest(f"the question where things lie is malformed: {fault}") from fault
        if len(sought) > MOST:
            raise BadPeerRequest(f"{len(sought)} are asked for at once, {MOST} may be")
        found = [whereabouts.of(one) for one in sought]
        told = [one and (one.path, one.offset, one.length, one.learned_at) for one in found]
        return Reply(200, [(b"content-type", b"application/json")], json.dumps(told).encode())

    return {OPERATION: for_members(region, answer)}


def _question(waiting: _Waiting) -> list[tuple[str, Answer]]:
    """Takes out who asks next: as many as one question has room for."""
    some = [waiting.popleft()]
    nbytes = len(some[0][0])
    while waiting and len(some) < MOST and nbytes < QUESTION_BYTES - len(waiting[0][0]):
        nbytes += len(_BETWEEN) + len(waiting[0][0])
        some.append(waiting.popleft())
    return some


def _settle(answer: Answer, told: Whereabout | Untold | None) -> None:
    if not answer.done():
        answer.set_result(told)


def _encoded(sought: Sought) -> str:
    return f"{sought.digest:x}{_VERSION}{sought.version.hex()}"


def _decoded(text: str) -> Sought:
    digest, _, version = text.partition(_VERSION)
    return Sought(int(digest, 16), bytes.fromhex(version))


def _parsed(body: bytes, count: int, roots: Sequence[Path]) -> list[Whereabout | None]:
    """What an owner said; only what lies beneath the node's own folders is ever opened. Raises BadAnswer."""
    try:
        told = json.loads(body)
        if len(told) != count:
            raise BadAnswer(f"the owner was asked where {count} lie and says it of {len(told)}")
        places = [one and Whereabout(str(one[0]), int(one[1]), int(one[2]), float(one[3])) for one in told]
    except (ValueError, TypeError, LookupError) as fault:
        raise BadAnswer(f"where it lies is malformed: {fault}") from fault
    # Of small objects most lie in a few segments.
    for path in {one.path for one in places if one}:
        parts = Path(path)
        if ".." in parts.parts or not any(parts.is_relative_to(root) for root in roots):
            raise BadAnswer(f"{path!r} is not where this node keeps its cache")
    for one in places:
        if one and (one.offset < 0 or not 0 <= one.length <= 2 * PACKED_BYTES):
            raise BadAnswer(f"nothing of this cache lies at {one.offset} of {one.path!r}")
    return [one or None for one in places]
