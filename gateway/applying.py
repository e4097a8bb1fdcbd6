"""Topology and policy on their way into the namespace, and back out of it: checked whole, kept as one revision.

The same files again are no revision. A change of comments alone is one: `explain` shows line numbers of these texts.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from gateway.pairs import Change, File, Pair, as_items, changes, check, of_known
from namespace.errors import NamespaceError
from namespace.keeping import Draft, Known, Namespace, Superseded, came_between
from namespace.store.base import Revision

__all__ = ["Applied", "AppliedFiles", "Applying", "Change", "File", "Revision"]

AppliedFiles = tuple[File, ...]
TRIES = 5
"""Of an apply that nobody said a revision for: others may come between its check and its keeping."""
MOST_TOLD = 1000
"""Changes, and warnings, that an answer lists: the first 100,000 mounts are 300,000 settings."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply did, or would do. `revision` is the one that then is in force: the same files are no new one.

    `changes` are the first of them, `count` is how many there are. `made_from` is the revision that it was checked
    against, which an apply of what was seen may name.
    """

    revision: int
    digest: str
    dry_run: bool
    changes: tuple[Change, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    made_from: int = 0
    count: int = 0


@dataclass(frozen=True, slots=True)
class Checked:
    """A pair that was checked against a revision: `before` is the pair of that one, None before the first."""

    pair: Pair
    before: Pair | None
    made_from: int

    @property
    def changes(self) -> bool:
        """Whether it is another revision at all."""
        return self.before is None or self.before.digest != self.pair.digest


class Applying:
    """Checks and keeps files over a namespace, and reads what it says is newest.

    Mutable state: the pairs that were checked or read last, by digest, so that a node never parses its own apply again.
    """

    def __init__(self, namespace: Namespace, wall: Callable[[], float], region: str) -> None:
        """`wall` is seconds since the epoch.

        `region` is the node's own: a topology without it could be kept, but neither put in force nor started with.
        """
        self._namespace = namespace
        self._wall = wall
        self._region = region
        self._pairs: dict[str, Pair] = {}

    async def read(self, known: Known) -> Pair | None:
        """Returns the pair that is known to be newest, None before the first.

        What an older version accepted stays in force, so rules that this one does not keep are no faults here.

        Raises:
            Faults: A file cannot be read by this version.
        """
        if known.revision is None:
            return None
        pair = self._pairs.get(known.revision.digest)
        if pair is None:
            pair = await asyncio.to_thread(of_known, known)
            self._remember(known.revision.digest, pair)
        return pair

    async def apply(self, files: AppliedFiles, author: str, dry_run: bool, made_from: int | None = None) -> Applied:
        """Checks `files` with what is newest; keeps the pair unless `dry_run` or nothing changed.

        Raises:
            Faults: What is wrong; nothing was changed.
            Superseded: They were made from another revision than the newest.
        """
        return await self.keep(await self.check(files), files, author, dry_run, made_from)

    async def check(self, files: AppliedFiles) -> Checked:
        """Returns the pair that `files` make with what is newest, for who looks at it further; nothing is changed.

        Raises:
            Faults: What is wrong.
        """
        known = self._namespace.newest()
        before = await self._before(known)
        texts = {} if before is None else before.texts
        pair = await asyncio.to_thread(check, files, texts, region=self._region)
        return Checked(pair, before, 0 if known.revision is None else known.revision.number)

    async def keep(
        self, checked: Checked, files: AppliedFiles, author: str, dry_run: bool, made_from: int | None = None
    ) -> Applied:
        """Keeps what was checked as the newest revision, unless `dry_run` or nothing changed.

        Args:
            checked: what `check` said of `files`; checked again if another revision has come since.
            files: what was given.
            author: who applies it.
            dry_run: only say what would change.
            made_from: the revision that the files were made from; None: whatever is newest.

        Raises: as `apply`.
        """
        for left in reversed(range(TRIES)):
            checked = await self._newest(checked, files)
            if not checked.changes:
                return await self._unchanged(checked, dry_run)
            if made_from is not None and made_from != checked.made_from:
                raise self._superseded(made_from)
            if dry_run:
                return await _applied(checked, checked.made_from + 1, dry_run)
            try:
                return await _applied(checked, (await self._keep(checked, author)).number, dry_run)
            except Superseded:
                if (made_from is not None and (await self._newest(checked, files)).changes) or not left:
                    raise
        raise AssertionError("unreachable")

    async def rollback(self, number: int, author: str, dry_run: bool, made_from: int | None = None) -> Applied:
        """Keeps the files of an older revision as the newest one.

        Raises:
            Faults: This version does not keep them; nothing was changed.
            NamespaceError: There is no such revision any more.
        """
        texts = await self._namespace.files(number)
        if texts is None:
            kept = await self._namespace.history()
            known = f"{kept[-1].number} to {kept[0].number}" if kept else "none"
            raise NamespaceError(f"there is no revision {number}; kept: {known}")
        files = tuple(File(f"{kind}.yaml of revision {number}", text) for kind, text in texts.items())
        return await self.apply(files, f"{author}, rollback to {number}", dry_run, made_from)

    async def _before(self, known: Known) -> Pair | None:
        """The newest pair with all its texts."""
        pair = await self.read(known)
        if pair is None or known.revision is None or pair.whole:
            return pair
        texts = await self._namespace.files(known.revision.number)
        if not texts:
            # It was restored from a snapshot, which has none.
            return pair
        pair = await asyncio.to_thread(check, (), texts, future=True)
        self._remember(known.revision.digest, pair)
        return pair

    async def _newest(self, checked: Checked, files: AppliedFiles) -> Checked:
        newest = self._namespace.newest().revision
        return checked if checked.made_from == (newest.number if newest else 0) else await self.check(files)

    async def _keep(self, checked: Checked, author: str) -> Revision:
        pair = checked.pair
        items = await asyncio.to_thread(as_items, pair)
        # Before it is kept: this node may hear of it from another side before the answer comes.
        self._remember(pair.digest, pair)
        return await self._namespace.apply(Draft(pair.texts, items, author, self._wall(), checked.made_from))

    async def _unchanged(self, checked: Checked, dry_run: bool) -> Applied:
        """What is known here has these files already; whether others have is doubtful where it has a concern."""
        applied, concern = await _applied(checked, checked.made_from, dry_run), self._namespace.concern()
        return replace(applied, warnings=(*applied.warnings, concern)) if concern else applied

    def _superseded(self, made_from: int) -> Superseded:
        newest = self._namespace.newest().revision
        if newest is None or newest.number < made_from:
            here = "none" if newest is None else f"{newest.number}"
            return Superseded(
                f"this was made from revision {made_from}, and the newest known here is {here}; apply again"
            )
        return came_between(made_from, newest)

    def _remember(self, digest: str, pair: Pair) -> None:
        # Two: the one in force and the one under way.
        self._pairs = dict([*((key, kept) for key, kept in self._pairs.items() if key != digest), (digest, pair)][-2:])


async def _applied(checked: Checked, revision: int, dry_run: bool) -> Applied:
    pair = checked.pair
    # Of 100,000 mounts it is a second's work.
    told = await asyncio.to_thread(changes, checked.before, pair)
    warnings, notes = _first(pair.warnings), _first(pair.notes)
    return Applied(revision, pair.digest, dry_run, told[:MOST_TOLD], warnings, notes, checked.made_from, len(told))


def _first(said: tuple[str, ...]) -> tuple[str, ...]:
    more = len(said) - MOST_TOLD
    return said if more <= 0 else (*said[:MOST_TOLD], f"and {more} more like these")
