"""Putting topology and policy in force: checked whole, kept as one revision, handed to the running parts.

The same files again are no revision. A change of comments alone is one: `explain` shows line numbers of these texts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.pairs import Change, File, Pair, changes, check

__all__ = ["Applied", "AppliedFiles", "Applying", "Change", "File", "Kept", "Revision"]

AppliedFiles = tuple[File, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply did, or would do. Nothing changed: `revision` is the one in force already."""

    revision: int
    digest: str
    dry_run: bool
    changes: tuple[Change, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision of the namespace: who put it in force, and when (seconds since the epoch)."""

    revision: int
    author: str
    at: float
    digest: str


class Kept(Protocol):
    """Where revisions are kept (`namespace.store.embedded`)."""

    def revision(self) -> int:
        """The newest revision; 0 = none."""
        ...

    def files(self) -> Mapping[str, str]:
        """The texts of the newest revision by kind, `topology` and `policy`."""
        ...

    def apply(self, files: dict[str, str], author: str, at: float) -> int:
        """Keeps one more revision, durably, and returns its number."""
        ...


class Applying:
    """Applies files over one store."""

    def __init__(self, kept: Kept, adopt: Callable[[Pair, int], None], wall: Callable[[], float]) -> None:
        """`adopt` puts a pair in force in the running parts and must not fail; `wall` is seconds since the epoch."""
        self._kept = kept
        self._adopt = adopt
        self._wall = wall

    def in_force(self) -> Pair | None:
        """Returns the pair of the newest revision, None if there is none.

        What an older version accepted stays in force, so rules that this one does not keep are no faults here.
        """
        texts = self._kept.files()
        return check((), texts, future=True) if texts else None

    def apply(self, files: AppliedFiles, author: str, dry_run: bool) -> Applied:
        """Checks `files` with what is in force; keeps and adopts the pair unless `dry_run` or nothing changed.

        Raises:
            Faults: What is wrong; nothing was changed.
        """
        texts = self._kept.files()
        pair = check(files, texts)
        differs = changes(self.in_force(), pair)
        revision = self._kept.revision()
        if not dry_run and pair.texts != texts:
            revision = self._kept.apply(dict(pair.texts), author, self._wall())
            self._adopt(pair, revision)
        return Applied(revision, pair.digest, dry_run, differs, pair.warnings)
