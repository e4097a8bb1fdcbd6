"""News for those who watch: a whole snapshot, or what changed since the one that they have, each worked out once.

Who watches keeps the serial of the last news and nothing else, so that a slow one costs nothing: it gets everything
since in one, or the whole where that is no longer remembered.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from namespace import contents, forms
from namespace.items import Difference, Items, Snapshot, difference, packed, packed_difference
from namespace.journal import Journal
from namespace.model import Topology
from namespace.service import sights
from namespace.service.sights import Seals, Trust

_KEPT = 64
"""Packets that are kept ready: all watchers ask for the newest few."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a watcher has: the serial, how its region was trusted then, and of a granted one what it saw."""

    serial: int = 0
    trust: Trust | None = None
    items: Items | None = None


@dataclass(frozen=True, slots=True)
class Fresh:
    """News: packets of items; `base` is the serial that they are a difference of, 0: they are the whole."""

    base: int
    packets: tuple[bytes, ...]
    seen: Seen


class Feeds:
    """Works out news. Mutable state: the snapshot, the journal, and what was worked out of late."""

    def __init__(self, seals: Callable[[str], Seals]) -> None:
        """`seals` are those of a region."""
        self.snapshot = Snapshot()
        self._seals = seals
        self._journal = Journal()
        self._topology: Topology | None = None
        self._parts: dict[str, tuple[int, Items]] = {}
        self._kept: OrderedDict[tuple[object, ...], bytes] = OrderedDict()

    def take(self, snapshot: Snapshot, changed: Difference | None) -> None:
        """This snapshot is the newest; `changed` is what makes it of the one before, None: another one altogether."""
        if changed is None:
            self._journal.begin_anew(snapshot.serial)
            self._topology = None
            self._parts.clear()
        else:
            self._journal.add(snapshot.serial, changed)
            if self._topology is not None and any(map(forms.is_of_topology, changed.names())):
                self._topology = forms.changed(self._topology, changed, snapshot.items)
        self.snapshot = snapshot

    def since(self, region: str, seen: Seen) -> Fresh:
        """The news for a region that has `seen`. Raises SealBroken."""
        now, trust = self.snapshot, sights.trust_of(self.snapshot.items, region)
        if trust == "full":
            changed = self._journal.since(seen.serial) if seen.serial and seen.trust == "full" else None
            after = Seen(now.serial, trust)
            if changed is None:
                return Fresh(0, (self._common(), packed(self._own(region, now.items))), after)
            return Fresh(seen.serial, self._changed(region, seen.serial, changed), after)
        items = self._part(region, trust)
        after = Seen(now.serial, trust, items)
        if seen.items is None or seen.trust != trust:
            return Fresh(0, (packed(items),), after)
        return Fresh(seen.serial, (packed_difference(difference(seen.items, items)),), after)

    def _part(self, region: str, trust: Trust) -> Items:
        items = self.snapshot.items
        if trust == "unknown":
            return {contents.TRUST: trust, **sights.of_unknown(items)}
        if (known := self._parts.get(region)) is not None and known[0] == self.snapshot.serial:
            return known[1]
        if self._topology is None:
            self._topology = forms.topology_of(items)
        part = {contents.TRUST: trust, **sights.of_granted(items, self._topology, region, self._seals(region))}
        self._parts[region] = (self.snapshot.serial, part)
        return part

    def _own(self, region: str, items: Items) -> Items:
        return {contents.TRUST: "full", **sights.owns(items, region, self._seals(region))}

    def _common(self) -> bytes:
        return self._once(
            (self.snapshot.cluster, self.snapshot.serial),
            lambda: packed({name: text for name, text in self.snapshot.items.items() if sights.common(name)}),
        )

    def _changed(self, region: str, base: int, changed: Difference) -> tuple[bytes, ...]:
        put = {name: text for name, text in changed.put.items() if sights.common(name)}
        gone = frozenset(name for name in changed.gone if sights.common(name))
        key = (self.snapshot.cluster, base, self.snapshot.serial)
        shared = self._once(key, lambda: packed_difference(Difference(put, gone)))
        own_put, own_gone = {}, set[str]()
        for name in changed.names():
            if sights.common(name):
                continue
            text = changed.put.get(name)
            shown = None if text is None else sights.own(name, text, region, self._seals(region))
            if shown is not None:
                own_put[name] = shown
            elif name.startswith(("key/", f"pin/{region}/")):
                own_gone.add(name)
        own = Difference(own_put, frozenset(own_gone))
        return (shared, packed_difference(own)) if own else (shared,)

    def _once(self, key: tuple[object, ...], make: Callable[[], bytes]) -> bytes:
        if key not in self._kept:
            self._kept[key] = make()
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return self._kept[key]
