"""From a snapshot to what a node of one region works by; what did not change is not made anew.

A key that does not open is no key: nobody gets in by what cannot be read. Who looks is told which.
"""

from namespace import contents, forms
from namespace.errors import NamespaceError
from namespace.items import Difference, Snapshot
from namespace.keeping import Known
from namespace.keys import AccessKey
from namespace.model import Topology
from namespace.sealing import Seal


class Knowing:
    """Makes `Known` of snapshots. Mutable state: the last one, and each key by its item's text."""

    def __init__(self, region: str, seal: Seal | None) -> None:
        """`seal` opens the keys; None: there is none, and every key is unreadable."""
        self.known = Known()
        self.unopened: tuple[str, ...] = ()
        """Names of keys that do not open, and why the first does not."""
        self.why = ""
        self._region = region
        self._seal = seal
        self._keys: dict[str, AccessKey | None] = {}

    def whole(self, snapshot: Snapshot) -> Known:
        """What a snapshot says that has nothing to do with the last one. Raises ValueError, Unreadable."""
        return self._made(snapshot, forms.topology_of(snapshot.items), None)

    def changed(self, snapshot: Snapshot, difference: Difference) -> Known:
        """What a snapshot says that differs so from the last one. Raises ValueError, Unreadable."""
        before = self.known.topology
        if before is None:
            return self.whole(snapshot)
        return self._made(snapshot, forms.changed(before, difference, snapshot.items), difference)

    def _made(self, snapshot: Snapshot, topology: Topology, difference: Difference | None) -> Known:
        items, touched = snapshot.items, None if difference is None else {_kind(name) for name in difference.names()}

        def touches(kind: str) -> bool:
            return touched is None or kind in touched

        before = self.known
        self.known = Known(
            snapshot.serial,
            contents.revision_of(items),
            topology,
            contents.policy_of(items, self._region) if touches("policy") else before.policy,
            None,
            self._opened(snapshot) if touches("key") else before.keys,
            contents.pins_of(items, self._region) if touches("pin") else before.pins,
            contents.nodes_of(items) if touches("node") else before.nodes,
        )
        return self.known

    def _opened(self, snapshot: Snapshot) -> tuple[AccessKey, ...]:
        before, self._keys = self._keys, {}
        unopened, self.why = [], ""
        for name, text in contents.key_items(snapshot.items):
            key = before.get(text)
            if key is None:
                try:
                    key = self._open(text)
                except (NamespaceError, ValueError) as wrong:
                    unopened.append(name.removeprefix("key/"))
                    self.why = self.why or str(wrong)
            self._keys[text] = key
        self.unopened = tuple(unopened)
        mine = (
            key for key in self._keys.values() if key is not None and (not key.regions or self._region in key.regions)
        )
        return tuple(sorted(mine, key=lambda key: key.name))

    def _open(self, text: str) -> AccessKey:
        if self._seal is None:
            raise contents.Unreadable("no secret is named that opens it; name it as namespace: {seal: {file: ...}}")
        return contents.key_of(text, self._seal)


def _kind(name: str) -> str:
    return name.partition("/")[0]
