"""What is asked of etcd and what it answers, as values. Keys and values are bytes; revisions only ever grow."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One key as it is at some revision."""

    key: bytes
    value: bytes
    created: int = 0
    """Revision at which it came into being; a key that was deleted and put again has a new one."""
    modified: int = 0
    """Revision of its newest change."""
    version: int = 1
    """Changes since it came into being, that one included."""
    lease: int = 0
    """The lease it goes with; 0: none."""


@dataclass(frozen=True, slots=True)
class Put:
    """Sets a key."""

    key: bytes
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    """Removes a key, or with `end` all keys in [key, end)."""

    key: bytes
    end: bytes = b""


@dataclass(frozen=True, slots=True)
class Get:
    """Reads a key, or with `end` the keys in [key, end), in key order."""

    key: bytes
    end: bytes = b""
    limit: int = 0
    """Keys at most; 0: all."""


Operation = Put | Delete | Get


class Target(Enum):
    """What of a key a compare looks at."""

    VERSION = 0
    CREATED = 1
    MODIFIED = 2
    VALUE = 3
    LEASE = 4


@dataclass(frozen=True, slots=True)
class Compare:
    """A condition on a key: what is looked at equals this (`equal` False: differs)."""

    key: bytes
    target: Target
    wanted: int | bytes
    equal: bool = True


def absent(key: bytes) -> Compare:
    """The key does not exist."""
    return Compare(key, Target.CREATED, 0)


def present(key: bytes) -> Compare:
    """The key exists."""
    return Compare(key, Target.CREATED, 0, equal=False)


def unchanged(key: bytes, modified: int) -> Compare:
    """The key's newest change is this revision; 0: it does not exist."""
    return Compare(key, Target.MODIFIED, modified)


def created_at(key: bytes, created: int) -> Compare:
    """The key is the one that came into being at this revision."""
    return Compare(key, Target.CREATED, created)


def has_value(key: bytes, value: bytes) -> Compare:
    """The key has this value."""
    return Compare(key, Target.VALUE, value)


def held_by(key: bytes, lease: int) -> Compare:
    """The key goes with this lease."""
    return Compare(key, Target.LEASE, lease)


@dataclass(frozen=True, slots=True)
class Transaction:
    """If all compares hold, `then` happens, else `otherwise`: at one revision, or not at all."""

    compares: tuple[Compare, ...] = ()
    then: tuple[Operation, ...] = ()
    otherwise: tuple[Operation, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether it may change anything."""
        return any(not isinstance(one, Get) for one in (*self.then, *self.otherwise))

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again after an attempt without an answer.

        It may when it changes nothing, or when having happened once keeps it from happening again: `then` writes a key
        that a compare wants unchanged or absent, and `otherwise` writes nothing.
        """
        if not self.writes:
            return True
        if any(not isinstance(one, Get) for one in self.otherwise):
            return False
        written = {one.key for one in self.then if isinstance(one, Put)}
        written |= {one.key for one in self.then if isinstance(one, Delete) and not one.end}
        return any(_ends_itself(one) and one.key in written for one in self.compares)


def _ends_itself(compare: Compare) -> bool:
    """Whether a write of the key makes the compare untrue, for good."""
    if not compare.equal:
        return False
    return compare.target is Target.MODIFIED or (compare.target is Target.CREATED and compare.wanted == 0)


@dataclass(frozen=True, slots=True)
class Page:
    """Keys as they were at one revision, in key order."""

    revision: int
    items: tuple[KeyValue, ...]
    more: bool = False
    """Whether the limit left keys out."""


Result = tuple[KeyValue, ...] | int | None
"""Of a Get the keys, of a Delete how many were removed, of a Put nothing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a transaction came to."""

    succeeded: bool
    """Whether the compares held."""
    revision: int
    results: tuple[Result, ...] = ()
    """One for each operation of the branch that happened."""

    def items(self, index: int) -> tuple[KeyValue, ...]:
        """The keys that the Get at `index` found."""
        found = self.results[index]
        if not isinstance(found, tuple):
            raise TypeError(f"operation {index} of the transaction is no Get")
        return found


@dataclass(frozen=True, slots=True)
class Gone:
    """A key was deleted, or its lease ended."""

    key: bytes
    revision: int


Change = KeyValue | Gone


@dataclass(frozen=True, slots=True)
class Changes:
    """All changes beneath what is watched at one revision, in the order they were made."""

    revision: int
    changes: tuple[Change, ...]


class Cause(Enum):
    """Why a follower gets the whole."""

    FIRST = "first"
    """It begins."""
    COMPACTED = "compacted"
    """It was away for longer than etcd keeps its history; changes in between are seen as differences alone."""
    LOST = "lost"
    """etcd lost its data or is another one: the revision may be lower than before."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything beneath a prefix at one revision."""

    revision: int
    items: tuple[KeyValue, ...]
    cause: Cause = Cause.FIRST
    cluster: int = 0
    """The id of etcd's cluster."""

    def as_dict(self) -> dict[bytes, KeyValue]:
        """The items by key."""
        return {one.key: one for one in self.items}


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What one server says of itself."""

    url: str
    version: str = ""
    leader: bool = False
    bytes: int = 0
    """Of its database on disk."""
    revision: int = 0
    fault: str = ""
    """Why nothing else is known; empty: it answered."""


def end_of(prefix: bytes) -> bytes:
    """Returns the first key behind all that begin with `prefix`; all keys for an empty one (etcd's `\\0`)."""
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes([trimmed[-1] + 1]) if trimmed else b"\0"


def size_of(operation: Operation) -> int:
    """Returns the bytes that an operation takes in a request, framing included, never too few."""
    value = operation.value if isinstance(operation, Put) else b""
    end = b"" if isinstance(operation, Put) else operation.end
    return len(operation.key) + len(value) + len(end) + 32


def chunks(
    operations: Iterable[Operation], most: int = 100, most_bytes: int = 1 << 20
) -> Iterable[tuple[Operation, ...]]:
    """Yields the operations in order, in transactions that etcd takes: 128 operations, 1.5 MiB, no key twice.

    Args:
        operations: what is to be done.
        most: operations in one transaction.
        most_bytes: bytes in one transaction; one operation alone may be larger.
    """
    chunk: list[Operation] = []
    keys: set[bytes] = set()
    nbytes = 0
    for one in operations:
        # A range may cover any key of its chunk: it stands alone.
        alone = isinstance(one, Delete) and bool(one.end)
        full = len(chunk) >= most or nbytes + size_of(one) > most_bytes
        if chunk and (full or alone or one.key in keys or (isinstance(chunk[-1], Delete) and chunk[-1].end)):
            yield tuple(chunk)
            chunk, keys, nbytes = [], set(), 0
        chunk.append(one)
        keys.add(one.key)
        nbytes += size_of(one)
    if chunk:
        yield tuple(chunk)
