"""Members: the processes of a region's cluster, as each of them knows all.

What others read of a member is checked once, here; a field that this version does not know is passed over, so that
nodes of neighbouring versions read each other.
"""

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

LONGEST_NAME = 128


class State(StrEnum):
    """What a member is doing. It owns in every state but `joining`: one that leaves owns until it has handed over."""

    JOINING = "joining"
    ACTIVE = "active"
    RESTARTING = "restarting"
    LEAVING = "leaving"


class BadMember(Exception):
    """What should describe a member does not; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a member's doors are, as others reach them: URLs (`http://10.0.0.11:9100`), `control` as `HOST:PORT`.

    Empty: the member does not have that door.
    """

    peer: str
    s3: str = ""
    admin: str = ""
    control: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """One process of the cluster.

    `name` is the node's, or `NODE/NUMBER` for a worker. `process_epoch` tells two processes of one name apart; the
    later has the higher. `host` is the same for the processes of one machine. `capacity` is what its cache may hold, in
    bytes; with 0 it owns nothing.
    """

    name: str
    addresses: Addresses
    capacity: int
    process_epoch: int = 0
    state: State = State.ACTIVE
    host: str = ""

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > LONGEST_NAME:
            raise BadMember(f"a member's name has 1 to {LONGEST_NAME} characters, not {len(self.name)}")
        if self.capacity < 0:
            raise BadMember(f"member {self.name!r} has a capacity of {self.capacity} bytes")

    @property
    def node(self) -> str:
        """The node that it is a process of."""
        return self.name.partition("/")[0]

    @property
    def owns(self) -> bool:
        """Whether extents may be its."""
        return self.state is not State.JOINING and self.capacity > 0

    def within(self, state: State) -> "Member":
        """The same member in another state."""
        return replace(self, state=state)

    def plain(self) -> dict[str, object]:
        """Returns it as plain data, as `member` reads it."""
        where = self.addresses
        return {
            "name": self.name,
            "process_epoch": self.process_epoch,
            "state": self.state.value,
            "host": self.host,
            "capacity": self.capacity,
            "addresses": {"peer": where.peer, "s3": where.s3, "admin": where.admin, "control": where.control},
        }


def member(plain: object) -> Member:
    """Returns the member that plain data describes. Raises BadMember."""
    if not isinstance(plain, dict):
        raise BadMember("a member is described by an object")
    where = plain.get("addresses")
    if not isinstance(where, dict):
        raise BadMember(f"member {plain.get('name')!r} tells no addresses")
    try:
        state = State(_text(plain, "state"))
    except ValueError:
        raise BadMember(f"member {plain.get('name')!r} is in a state that this version does not know") from None
    return Member(
        _text(plain, "name"),
        Addresses(_text(where, "peer"), *(_text(where, door, "") for door in ("s3", "admin", "control"))),
        _whole(plain, "capacity"),
        _whole(plain, "process_epoch"),
        state,
        _text(plain, "host", ""),
    )


def parsed(text: bytes) -> Any:
    """Returns the plain data in JSON; raises BadMember where it is none."""
    try:
        return json.loads(text)
    except ValueError as wrong:
        raise BadMember(f"no JSON ({wrong})") from wrong


def _text(plain: dict[str, object], name: str, default: str | None = None) -> str:
    value = plain.get(name, default)
    if not isinstance(value, str):
        raise BadMember(f"a member's {name} is a text, not {type(value).__name__}")
    return value


def _whole(plain: dict[str, object], name: str) -> int:
    value = plain.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadMember(f"a member's {name} is a whole number, not {value!r}")
    return value
