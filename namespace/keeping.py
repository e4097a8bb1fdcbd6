"""The one face of the namespace for a node, whoever keeps it: a file of the node, the region's etcd, or the service.

What is newest lies in memory and is asked without waiting; a change is kept durably before the call returns. Three
keepers: `store.local`, `store.etcd`, `store.remote`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, Protocol

from namespace.contents import PublishedNode
from namespace.errors import NamespaceError
from namespace.items import Items
from namespace.keys import AccessKey
from namespace.model import Topology
from namespace.store.base import PinnedPath, Revision

PUBLISH_SECONDS = 5.0
"""Between two tellings of a node; one that is not told of for thrice that is taken out."""


class Superseded(NamespaceError):
    """Somebody else's revision came between: the message says whose, when, and what to do."""


class NamespaceAway(NamespaceError):
    """Whoever keeps the namespace cannot be asked now: nothing was changed, or that is not known; the message says."""


class NotGranted(NamespaceError):
    """This region may not do or see that."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the namespace at one moment.

    Args:
        serial: counts what is seen of changes; the greater is the newer.
        revision: the newest, None before the first.
        topology: the checked one, None where `files` are all there is.
        policy: its text, None where there is none.
        files: texts of all files by name, where they are at hand: that of an embedded keeper.
        keys: those of this region, by name.
        pins: those of this region, by path.
        nodes: what the regions publish of theirs.
    """

    serial: int = 0
    revision: Revision | None = None
    topology: Topology | None = None
    policy: str | None = None
    files: Mapping[str, str] | None = None
    keys: tuple[AccessKey, ...] = field(default=(), repr=False)
    pins: tuple[PinnedPath, ...] = ()
    nodes: tuple[PublishedNode, ...] = ()


Adopt = Literal["", "filled", "empty"]
"""What a start takes in place of what the node knew: nothing, another namespace that has something, or any."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What shall be the next revision. `files` are checked texts, `items` their topology and policy as items.

    `made_from` is the revision that was in force when somebody looked at it last: 0 before the first.
    """

    files: Mapping[str, str] = field(repr=False)
    items: Items = field(repr=False)
    author: str
    at: float
    made_from: int


class Newest(Protocol):
    """What is known, and when that changes."""

    def newest(self) -> Known:
        """What is known now; from memory."""
        ...

    async def newer(self, serial: int) -> Known:
        """Waits until something newer than `serial` is known, and returns it."""
        ...

    def age_seconds(self) -> float:
        """How long ago the keeper last said that this is the newest; 0 for one that is the only keeper."""
        ...

    def concern(self) -> str:
        """What an operator should know of the keeper now, in one sentence; empty while all is well."""
        ...


class Revising(Protocol):
    """The revisions."""

    async def apply(self, draft: Draft) -> Revision:
        """Keeps a draft as the newest revision. Raises Superseded, NamespaceAway, NotGranted."""
        ...

    async def history(self) -> tuple[Revision, ...]:
        """The revisions that are kept, newest first."""
        ...

    async def files(self, number: int) -> Mapping[str, str] | None:
        """The texts of a revision, None if it is not kept."""
        ...


class KeepingKeys(Protocol):
    """Access keys and pins; who changed them is kept too."""

    async def add_key(self, key: AccessKey, author: str, at: float) -> None:
        """Keeps a key. Raises KeyExists, and as `apply`."""
        ...

    async def remove_key(self, name: str, author: str, at: float) -> AccessKey:
        """Removes the key of this name or id and returns it. Raises UnknownKey, and as `apply`."""
        ...

    async def add_pin(self, pin: PinnedPath) -> None:
        """Keeps a pin of this region; one of the same path gives way to it."""
        ...

    async def remove_pin(self, path: str, author: str, at: float) -> PinnedPath | None:
        """Removes this region's pin of this very path and returns it; None where there is none."""
        ...


class Namespace(Newest, Revising, KeepingKeys, Protocol):
    """All of it."""

    async def publish(self, node: PublishedNode) -> None:
        """Tells all regions of a node of this one, until it is told otherwise or the node is gone for seconds."""
        ...

    async def close(self) -> None:
        """Ends what runs for it. Safe to call twice."""
        ...


def came_between(made_from: int, newest: Revision) -> Superseded:
    """What is told who made a draft from a revision that is not the newest."""
    base = f"revision {made_from}" if made_from else "an empty namespace"
    return Superseded(
        f"this was made from {base}, and {newest.author} has applied revision {newest.number} since, at"
        f" {moment(newest.at)}; look at it by `causeway history`, take over what is in it, and apply again"
    )


def moment(at: float) -> str:
    """A time as people read it, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
