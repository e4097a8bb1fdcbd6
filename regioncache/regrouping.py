"""Keeps the store's grouping in step with the cache rules, the mounts, the pins and the partitions that are known.

Whatever changes is in force for the next admission and for what groups mean; the store labels what it holds behind.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from namespace.model import Topology
from policy.model import CacheRule
from regioncache.partitions import Partitions
from regioncache.places import Shown
from regioncache.rulegrouping import RuleGrouping
from regioncache.store.groups import Grouping


class Regrouped(Protocol):
    """What is told of a new grouping: the store."""

    def regroup(self, grouping: Grouping) -> None:
        """Goes on with this grouping."""
        ...


class Regrouping:
    """Mutable state: rules, mounts and pins in force, the grouping made of them, and whether a new meaning is due."""

    def __init__(self, store: Regrouped) -> None:
        self.partitions = Partitions()
        self.on_rules: Callable[[], None] = lambda: None
        """Told after other rules or mounts came into force: partitions are listed anew."""
        self._store = store
        self._rules: tuple[CacheRule, ...] = ()
        self.shown = Shown(Topology(regions={}))
        self._pins: frozenset[str] = frozenset()
        self._adopted = False
        self._due = False
        self.now = self._made()

    def __repr__(self) -> str:
        return f"<Regrouping {self.now!r}>"

    def adopt(self, topology: Topology, rules: Sequence[CacheRule], shown: Shown | None = None) -> None:
        """Goes on with these mounts and rules; `shown` is what was made of the mounts before."""
        self.shown, self._rules, self._adopted = shown or Shown(topology), tuple(rules), True
        self._regroup()
        self.on_rules()

    def pin(self, paths: Collection[str]) -> None:
        """Goes on with these paths pinned by commands; at a start they wait for the mounts.

        A grouping without the one or the other would have everything labelled, and then labelled again.
        """
        before, self._pins = self._pins, frozenset(paths)
        if self._adopted and before != self._pins:
            self._regroup()

    def listed(self, pattern: str, partitions: Collection[str], since: int, *, whole: bool) -> None:
        """See `Partitions.listed`; the oldest ones are unpinned, and the newer pinned, at once."""
        if self.partitions.listed(pattern, partitions, since, whole=whole):
            self.now.changed()

    def _regroup(self) -> None:
        self.now = self._made()
        self._store.regroup(self.now)

    def _made(self) -> RuleGrouping:
        return RuleGrouping(self._rules, self.shown, self._pins, self.partitions, self._changed)

    def _changed(self) -> None:
        """Other partitions are the newest. Once this turn of the loop is over: the store may be amid an admission."""
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._mean_anew)

    def _mean_anew(self) -> None:
        self._due = False
        self._store.regroup(self.now)
