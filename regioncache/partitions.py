"""Which partitions of a pattern (`/ns/notes/dt=*`) are known, and which of them are the newest: those that sort last.

They are learned from listings and from what is read. A listing takes back what it does not show; where none can be had
the last known stays.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

SPARE = 1000
"""Known beyond the newest: should those be deleted at the origin, the next ones are pinned before the next listing."""


@dataclass(slots=True)
class _Known:
    """The partitions of one pattern, each with the moment it was last heard of; `newest` of them sort last."""

    count: int
    heard: dict[str, int] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    """What a listing did not show although it was known: pages of it may lie here still, and prove nothing."""
    newest: frozenset[str] = frozenset()
    last: list[str] = field(default_factory=list)
    """The components of the one of them that sorts first."""

    def settle(self) -> bool:
        """Works out the newest; returns whether they are others than before."""
        ordered = sorted(self.heard, key=_order, reverse=True)
        for old in ordered[self.count + SPARE :]:
            del self.heard[old]
        before, self.newest = self.newest, frozenset(ordered[: self.count])
        self.last = min(map(_order, self.newest), default=[])
        return self.newest != before

    def matters(self, partition: str) -> bool:
        """Whether the newest may be others now that this one is known too."""
        few = len(self.newest) < self.count
        return few or _order(partition) > self.last or len(self.heard) > 2 * (self.count + SPARE)


class Partitions:
    """Mutable state: what is known by pattern, and a count of the events it came by."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._events = 0

    def __repr__(self) -> str:
        return f"Partitions({', '.join(f'{name}: {len(known.heard)}' for name, known in self._known.items())})"

    def adopt(self, patterns: Mapping[str, int]) -> None:
        """Goes on with these patterns, each with how many are pinned; what is known of those that stay is kept."""
        self._known = {name: self._known.get(name, _Known(count)) for name, count in patterns.items()}
        for name, count in patterns.items():
            self._known[name].count = count
            self._known[name].settle()

    def moment(self) -> int:
        """Now, for `listed`: what is seen after it is not taken back by a listing that began at it."""
        return self._events

    def seen(self, pattern: str, partition: str) -> bool:
        """Something of this partition came into the cache; returns whether the newest are others now."""
        known = self._known.get(pattern)
        if known is None or partition in known.gone:
            return False
        self._events += 1
        new = partition not in known.heard
        known.heard[partition] = self._events
        return new and known.matters(partition) and known.settle()

    def listed(self, pattern: str, partitions: Collection[str], since: int, *, whole: bool = True) -> bool:
        """A listing that began at `since` shows these; returns whether the newest are others now.

        Args:
            whole: these are all there are; else the last of them, and nothing is said of what sorts before.
        """
        known = self._known.get(pattern)
        if known is None:
            return False
        shown = dict.fromkeys(partitions, since)
        least = [] if whole else min(map(_order, partitions), default=[])
        later = {name: at for name, at in known.heard.items() if at > since or _order(name) < least}
        known.gone = (known.gone | known.heard.keys()) - shown.keys() - later.keys()
        if len(known.gone) > known.count + SPARE:
            known.gone = set(sorted(known.gone, key=_order, reverse=True)[: known.count + SPARE])
        known.heard = {**shown, **later}
        return known.settle()

    def newest(self, pattern: str) -> tuple[str, ...]:
        """The partitions that sort last, as many as are counted, the newest first."""
        known = self._known.get(pattern)
        return () if known is None else tuple(sorted(known.newest, key=_order, reverse=True))

    def is_newest(self, pattern: str, partition: str) -> bool:
        """Whether this partition is among them."""
        known = self._known.get(pattern)
        return known is not None and partition in known.newest


def _order(partition: str) -> list[str]:
    """Component by component: `a/b` before `a-x/b`, as their parents stand, though `-` sorts before `/`."""
    return partition.split("/")
