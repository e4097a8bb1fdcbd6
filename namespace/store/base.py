"""What a keeper of the namespace does, and what can be seen of its past.

A store keeps texts that somebody above has checked; it knows neither YAML nor topologies. One `apply` is one revision:
whoever reads sees all of its files or none.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from namespace.keys import AccessKey


@dataclass(frozen=True, slots=True)
class Revision:
    """One apply. `number` counts from 1; `at` is seconds since the epoch; `digest` is the same for the same files."""

    number: int
    author: str
    at: float
    digest: str


@dataclass(frozen=True, slots=True)
class Applied:
    """A revision with its files, by name."""

    revision: Revision
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A key that was added or removed; the secret is not part of it."""

    at: float
    author: str
    change: str
    """`added` or `removed`."""
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class PinnedPath:
    """A path that a command pinned in this region's cache, with all beneath it. `at` is seconds since the epoch."""

    path: str
    author: str
    at: float
    nbytes: int | None
    """What lay there at the origin when it was pinned; None: that could not be found out."""


@dataclass(frozen=True, slots=True)
class PinChange:
    """A path that was pinned or unpinned by a command."""

    at: float
    author: str
    change: str
    """`pinned` or `unpinned`."""
    path: str


class Revisions(Protocol):
    """The files of the namespace, revision by revision."""

    def revision(self) -> int:
        """The number of the newest revision, 0 before the first."""
        ...

    def current(self) -> Applied | None:
        """The newest revision with its files, None before the first."""
        ...

    def files(self, number: int) -> Mapping[str, str] | None:
        """The files of an older revision, None if there is no such one."""
        ...

    def apply(self, files: Mapping[str, str], author: str, at: float) -> int:
        """Keeps these files, already checked, as the newest revision and returns its number: durably, whole or not."""
        ...

    def history(self) -> tuple[Revision, ...]:
        """Every revision, newest first."""
        ...


class KeyStore(Protocol):
    """The access keys of this node, with who changed them."""

    def keys(self) -> tuple[AccessKey, ...]:
        """Every key, by name."""
        ...

    def add_key(self, key: AccessKey, author: str, at: float) -> None:
        """Keeps a key durably. Raises KeyExists if its name or its id is taken."""
        ...

    def remove_key(self, name: str, author: str, at: float) -> AccessKey:
        """Removes the key of this name or id and returns it. Raises UnknownKey."""
        ...

    def key_changes(self) -> tuple[KeyChange, ...]:
        """Every change of keys, newest first."""
        ...


class PinStore(Protocol):
    """The paths pinned by commands, with who pinned them."""

    def pins(self) -> tuple[PinnedPath, ...]:
        """Every pin, by path."""
        ...

    def add_pin(self, pin: PinnedPath) -> None:
        """Keeps a pin durably; one of the same path gives way to it."""
        ...

    def remove_pin(self, path: str, author: str, at: float) -> PinnedPath | None:
        """Removes the pin of this very path and returns it; None where there is none."""
        ...

    def pin_changes(self) -> tuple[PinChange, ...]:
        """Every change of pins, newest first."""
        ...


def digest(files: Mapping[str, str]) -> str:
    """Returns the SHA-256 of a set of files: peers compare it, the names' order does not matter."""
    sha256 = hashlib.sha256()
    for name in sorted(files):
        for part in (name.encode("utf-8"), files[name].encode("utf-8")):
            # Lengths first, so that no two sets of files read alike.
            sha256.update(len(part).to_bytes(8, "big"))
            sha256.update(part)
    return sha256.hexdigest()
