"""Where a line's office is: by the election of its own region, or by asking a node of the region that has it.

What was found is kept until a stream to it ends; it is asked for again then, since another may be in office.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from regioncache.errors import CacheError, OriginUnavailable
from regioncache.http.client import Base
from regioncache.http.messages import Reply
from regioncache.peers.desks import Desk, Questioner, Unknown, Values
from regioncache.peers.wire import BadPeerRequest

OPERATION = "office"
"""What the peer door is asked for."""
QUESTION_SECONDS = 2.0
ANSWER_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Place:
    """Where an office is: `HOST:PORT` of a node's control port."""

    address: str


class Finder(Protocol):
    """Finds the office of one line."""

    async def find(self) -> Place:
        """Returns where it is. Raises CacheError where that cannot be told now."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """Finds an office by asking the nodes of its region, one after the other."""

    line: str
    region: str
    nodes: Callable[[], Sequence[str]]
    """Peer addresses of its nodes, `HOST:PORT` or URLs."""
    questioner: Questioner

    async def find(self) -> Place:
        """Returns what the first node says that knows; raises CacheError."""
        faults: list[str] = []
        for node in self.nodes():
            base = Base.parse(node if "://" in node else f"http://{node}")
            try:
                said = await self.questioner.ask(
                    base, self.region, OPERATION, {"line": self.line}, seconds=QUESTION_SECONDS, most_bytes=ANSWER_BYTES
                )
                return _place(said)
            except Unknown:
                faults.append(
                    f"node {base.authority.decode()} has no control port: give `listen.control` in its node.yaml an"
                    " address that the nodes of both regions reach, and start it again"
                )
            except CacheError as fault:
                faults.append(str(fault))
        why = "; ".join(faults) if faults else f"region {self.region} has no nodes in the topology"
        raise OriginUnavailable(f"nobody says where the lease office of line {self.line} is: {why}", 1.0)


@dataclass(frozen=True, slots=True)
class FirstOf:
    """Finds an office by the first way that works."""

    ways: tuple[Finder, ...]

    async def find(self) -> Place:
        """Returns what the first way finds; raises what the last one raised."""
        for way in self.ways[:-1]:
            try:
                return await way.find()
            except CacheError:
                continue
        return await self.ways[-1].find()


def desk(find: Callable[[str], Awaitable[Place]], ends: Callable[[str], Iterable[str]]) -> Desk:
    """Returns what answers at the peer door where an office is.

    Args:
        find: Where this region's office of a line is; raises CacheError.
        ends: The regions between which a line is; none for a line that is not known.
    """

    async def answer(region: str, values: Values) -> Reply:
        line = values.get("line", "")
        if region not in ends(line):
            raise BadPeerRequest(f"region {region!r} is at no end of line {line!r}")
        place = await find(line)
        return Reply(200, [(b"content-type", b"application/json")], json.dumps({"office": place.address}).encode())

    return answer


def _place(said: bytes) -> Place:
    try:
        address = json.loads(said)["office"]
    except (ValueError, TypeError, KeyError) as wrong:
        raise OriginUnavailable("a node says where the office is in words that are none", 1.0) from wrong
    if not isinstance(address, str) or not address:
        raise OriginUnavailable("a node knows of no office now", 1.0)
    return Place(address)
