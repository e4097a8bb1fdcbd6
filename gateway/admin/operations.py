"""What the admin port can ask of a running node: small protocols, spoken in the values of `answers`.

The node's parts stand behind them (`gateway.app`); the admin port, and through it the command line, know nothing else.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from gateway.admin.answers import (
    Explanation,
    FreedShown,
    KeyShown,
    LineStatus,
    Listing,
    MadeKey,
    Moved,
    NewKey,
    Pinned,
    Pins,
    Refreshed,
    Stat,
    Status,
    Unpinned,
)
from gateway.admin.clusteranswers import Draining, MembersShown, RemovedMember
from gateway.applying import Applied, AppliedFiles, Revision
from gateway.metrics import Snapshot
from regioncache.http.messages import Buffer
from regioncache.pages import Meta, Span, Wanted


class OperationFault(Exception):
    """Base of what an operation refuses; the message names the thing and the remedy."""


class UnknownPath(OperationFault):
    """No mount has this path, or there is no such object."""


class BadOperation(OperationFault):
    """The question itself is wrong (a path outside /ns, a key that exists already, an unknown class)."""


class Unavailable(OperationFault):
    """It cannot be answered now; ask again after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Opening(Protocol):
    """An object opened for reading; closed by whoever opened it, whatever happens."""

    meta: Meta
    span: Span
    source: str

    def stream(self) -> AsyncIterator[Buffer]:
        """The bytes of `span` in pieces; each is valid until the next is asked for."""
        ...

    def close(self) -> None:
        """Gives everything back. Safe to call twice."""
        ...


class Watching(Protocol):
    """How the node fares; nothing here waits for an origin."""

    def status(self) -> Status:
        """The node at a glance."""
        ...

    def lines(self) -> tuple[LineStatus, ...]:
        """Every direction of every line that this node debits."""
        ...

    async def moved(self, since: str, until: str, by: str) -> Moved:
        """Who moved what over lines in a time, all members of the region summed; see `gateway.accounts.Period.of`.

        Raises: BadOperation (no such time or name, or more than an answer can hold), Unavailable.
        """
        ...

    def metrics(self) -> Snapshot:
        """Every counter."""
        ...

    async def explain(self, path: str) -> Explanation:
        """Why `path` is served as it is, from what is known here. Raises UnknownPath, BadOperation."""
        ...


class Changing(Protocol):
    """The namespace's files and the keys; every change is recorded with its author."""

    async def apply(self, files: AppliedFiles, author: str, dry_run: bool, made_from: int | None = None) -> Applied:
        """Checks topology and policy whole and puts them in force as one revision, or says what would change.

        `made_from` is the revision that the files were made from; None: whatever is newest.

        Raises: policy.yamlfile.Faults (nothing was changed), namespace Superseded, NamespaceAway, BadOperation.
        """
        ...

    async def rollback(self, number: int, author: str, dry_run: bool, made_from: int | None = None) -> Applied:
        """Puts the files of an older revision in force, as a new revision. Raises as `apply`."""
        ...

    async def history(self) -> tuple[Revision, ...]:
        """Every revision, newest first."""
        ...

    async def keys(self) -> tuple[KeyShown, ...]:
        """Every access key, without its secret, by name."""
        ...

    async def add_key(self, key: NewKey, author: str) -> MadeKey:
        """Makes a key. Raises BadOperation (no grant, unknown class), namespace KeyExists."""
        ...

    async def remove_key(self, name: str, author: str) -> KeyShown:
        """Removes the key of this name or id; it opens nothing from here on. Raises namespace UnknownKey."""
        ...


class Pinning(Protocol):
    """What may not leave the cache, and what shall leave it now; pins are recorded with their author."""

    async def pins(self) -> Pins:
        """What is pinned, by commands and by rules."""
        ...

    async def pin(self, path: str, author: str) -> Pinned:
        """Pins `path` and all beneath it. Raises UnknownPath, BadOperation (more than fits, or never admitted)."""
        ...

    async def unpin(self, path: str, author: str) -> Unpinned:
        """Takes a pin back. Raises UnknownPath (not pinned), BadOperation (pinned by a rule, or with a wider path)."""
        ...

    async def free(self, path: str, *, pinned: bool) -> FreedShown:
        """Drops what is cached at `path` and beneath it, now. Raises UnknownPath, BadOperation."""
        ...


class Reading(Protocol):
    """The administrator's own look at the tree, past all grants and billed to the tenant `admin`."""

    async def refresh(self, path: str) -> Refreshed:
        """Forgets what is newest at `path` and beneath it; pages stay. Raises UnknownPath, BadOperation."""
        ...

    async def list(self, path: str, after: str, limit: int, recursive: bool) -> Listing:
        """Up to `limit` entries beneath `path`, strictly after `after`.

        Raises: UnknownPath, BadOperation, Unavailable.
        """
        ...

    async def stat(self, path: str) -> Stat:
        """The object at `path`. Raises UnknownPath, BadOperation, Unavailable."""
        ...

    async def open(self, path: str, wanted: Wanted) -> Opening:
        """Opens the object at `path`. Raises UnknownPath, BadOperation, Unavailable, regioncache's RangeOutside."""
        ...


class Gathering(Protocol):
    """The region's cluster: its members, and how they leave."""

    def members(self) -> MembersShown:
        """Who is a member, by the view in force here."""
        ...

    async def drain(self, node: str) -> Draining:
        """Has a node (empty: this one) hand over what it owns, and leave; returns once it has begun.

        Raises: BadOperation (no cluster, no such node), Unavailable.
        """
        ...

    async def remove_member(self, name: str, author: str) -> RemovedMember:
        """Takes a dead member out. Raises BadOperation (no cluster, it is alive), Unavailable."""
        ...


class Operations(Watching, Changing, Pinning, Reading, Gathering, Protocol):
    """Everything the admin port asks of a node."""
