"""Putting topology and policy in force: checked whole, kept as one revision, handed to the running parts.

The same files again are no revision. A change of comments alone is one: `explain` shows line numbers of these texts.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.pairs import Change, File, Pair, changes, check
from namespace.store.base import Revision, Revisions

__all__ = ["Applied", "AppliedFiles", "Applying", "Change", "File", "Revision"]

AppliedFiles = tuple[File, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply did, or would do. `revision` is the one that then is in force: the same files are no new one."""

    revision: int
    digest: str
    dry_run: bool
    changes: tuple[Change, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """What was kept in the store. `pair` is to be adopted now; None: what was in force stays."""

    applied: Applied
    pair: Pair | None


class Applying:
    """Applies files over one store."""

    def __init__(
        self, revisions: Revisions, adopt: Callable[[Pair, int], None], wall: Callable[[], float], region: str
    ) -> None:
        """`adopt` puts a pair in force in the running parts and must not fail; `wall` is seconds since the epoch.

        `region` is the node's own: a topology without it could be kept, but neither put in force nor started with.
        """
        self._revisions = revisions
        self._adopt = adopt
        self._wall = wall
        self._region = region

    def in_force(self) -> Pair | None:
        """Returns the pair of the newest revision, None if there is none.

        What an older version accepted stays in force, so rules that this one does not keep are no faults here.
        """
        current = self._revisions.current()
        return None if current is None else check((), current.files, future=True)

    def apply(self, files: AppliedFiles, author: str, dry_run: bool) -> Applied:
        """Checks `files` with what is in force; keeps and adopts the pair unless `dry_run` or nothing changed.

        Raises:
            Faults: What is wrong; nothing was changed.
        """
        kept = self.keep(files, author, dry_run)
        self.adopt(kept)
        return kept.applied

    def check(self, files: AppliedFiles) -> Pair:
        """Returns the pair that `files` make with what is in force, for who looks at it further; nothing is changed.

        Raises:
            Faults: What is wrong.
        """
        before = self.in_force()
        return check(files, {} if before is None else before.texts, region=self._region)

    def keep(self, files: AppliedFiles, author: str, dry_run: bool) -> Kept:
        """The first half of `apply`, for a thread: large files are parsed, and the store may be held by a backup.

        Whoever calls it calls `adopt` before the next one.

        Raises:
            Faults: What is wrong; nothing was changed.
        """
        before = self.in_force()
        texts = {} if before is None else before.texts
        pair = check(files, texts, region=self._region)
        revision, changed = self._revisions.revision(), pair.texts != texts
        if changed and dry_run:
            revision += 1
        elif changed:
            revision = self._revisions.apply(pair.texts, author, self._wall())
        applied = Applied(revision, pair.digest, dry_run, changes(before, pair), pair.warnings, pair.notes)
        return Kept(applied, pair if changed and not dry_run else None)

    def adopt(self, kept: Kept) -> None:
        """The second half, where the running parts are: between two requests."""
        if kept.pair is not None:
            self._adopt(kept.pair, kept.applied.revision)
