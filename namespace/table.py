"""The table of mounts: which mount a path belongs to, by the longest prefix of whole components.

A mount hides its parent's keys beneath it. A path that lies under no mount belongs to none; parents of mounts exist as
names in the tree.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from namespace import paths
from namespace.errors import BadPath
from namespace.model import Mount

FEW = 100
"""Changes that are made one by one; more make a new table."""


@dataclass(slots=True)
class _Place:
    """One component of the tree: what is mounted here, and what lies beneath."""

    mount: Mount | None = None
    beneath: dict[str, "_Place"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Within:
    """Where the names that begin with some string come from.

    `mount` and `prefix` are the mount that holds them and the beginning of its keys; `mounts` are the mounts all of
    whose names begin so, in key order, each of which hides the keys of `mount` beneath it.
    """

    mount: Mount | None
    prefix: str
    mounts: tuple[Mount, ...]


class Table:
    """Mounts by path. Finding one costs a few dictionary look-ups, however many there are."""

    def __init__(self, mounts: Iterable[Mount]) -> None:
        self._root = _Place()
        self._ordered = sorted(mounts, key=lambda mount: f"{mount.path}/")
        self._beginnings = [f"{mount.path}/" for mount in self._ordered]
        for mount in self._ordered:
            place = self._root
            for part in mount.path.split("/")[2:]:
                place = place.beneath.setdefault(part, _Place())
            place.mount = mount

    def changed(self, gone: Collection[str], put: Collection[Mount]) -> "Table":
        """Returns the table without the mounts at `gone` and with those of `put`; what stays is shared."""
        if len(gone) + len(put) > max(FEW, len(self._ordered) // 10):
            kept = {mount.path: mount for mount in self._ordered}
            for path in gone:
                del kept[path]
            return Table((kept | {mount.path: mount for mount in put}).values())
        made = Table(())
        made._root = self._root
        made._ordered, made._beginnings = list(self._ordered), list(self._beginnings)
        for path in gone:
            made._root = _with(made._root, path.split("/")[2:], None) or _Place()
            at = bisect_left(made._beginnings, f"{path}/")
            del made._ordered[at], made._beginnings[at]
        for mount in put:
            made._root = _with(made._root, mount.path.split("/")[2:], mount) or _Place()
            beginning = f"{mount.path}/"
            at = bisect_left(made._beginnings, beginning)
            known = at < len(made._beginnings) and made._beginnings[at] == beginning
            made._ordered[at : at + known], made._beginnings[at : at + known] = [mount], [beginning]
        return made

    def __repr__(self) -> str:
        return f"<Table of {len(self._ordered)} mounts>"

    def find(self, path: str) -> tuple[Mount, str] | None:
        """Returns the mount that `path` belongs to and the origin's key, or None where nothing is mounted.

        The key is exact: the mount's prefix and whatever follows the slash behind the mount. It is empty where no
        object can be: the mount's own path.

        Raises:
            BadPath: the path is not under `/ns`, not UTF-8, holds a NUL, or its `..` lead out of the mount.
            KeyTooLong: the key would have more than 1,024 bytes.
        """
        paths.check(path)
        found: Mount | None = None
        place, at, rest = self._root, len(paths.ROOT) + 1, 0
        while place.beneath:
            slash = path.find("/", at)
            end = len(path) if slash < 0 else slash
            below = place.beneath.get(path[at:end])
            if below is None:
                break
            place, at = below, end + 1
            if place.mount is not None:
                found, rest = place.mount, at
            if slash < 0:
                break
        if found is None:
            return None
        return found, _key(found, path, rest)

    def children(self, path: str) -> tuple[str, ...]:
        """Returns the names directly beneath `path` that are mounts or lead to some, in order."""
        place = self._place(path)
        return () if place is None else tuple(sorted(place.beneath, key=lambda part: part + "/"))

    def exists(self, path: str) -> bool:
        """Whether `path` is a mount, or leads to one; a slash at its end means nothing here."""
        return self._place(path) is not None

    def mounts_under(self, path: str) -> tuple[Mount, ...]:
        """Returns the mounts at `path` and beneath it, in key order; a slash at its end means nothing here."""
        return self._beginning(path.removesuffix("/") + "/")

    def within(self, beginning: str) -> Within:
        """Returns where names come from that begin with `beginning`: `/ns/train/pub` as well as `/ns/train/`."""
        parent = beginning.rpartition("/")[0]
        held = self.find(parent + "/") if parent else None
        inside = self._beginning(beginning)
        if held is None:
            return Within(None, "", inside)
        mount, prefix = held
        key_prefix = prefix + beginning[len(parent) + 1 :]
        return Within(mount, key_prefix, tuple(other for other in inside if other is not mount))

    def hidden(self, mount: Mount) -> tuple[str, ...]:
        """Returns what other mounts hide of this one, in order: these keys, and all beneath them."""
        hidden: list[Mount] = []
        for other in self.mounts_under(mount.path)[1:]:
            if not hidden or not paths.covers(hidden[-1].path, other.path):
                hidden.append(other)
        return tuple(mount.prefix + other.path[len(mount.path) + 1 :] for other in hidden)

    def _beginning(self, beginning: str) -> tuple[Mount, ...]:
        first = bisect_left(self._beginnings, beginning)
        after = first
        while after < len(self._ordered) and self._beginnings[after].startswith(beginning):
            after += 1
        return tuple(self._ordered[first:after])

    def _place(self, path: str) -> _Place | None:
        paths.check(path)
        place: _Place | None = self._root
        for part in path.removesuffix("/").split("/")[2:]:
            place = place.beneath.get(part) if place is not None else None
        return place


def _with(place: _Place | None, parts: Sequence[str], mount: Mount | None) -> _Place | None:
    """A copy of a place in which what lies at `parts` beneath has another mount; None where nothing is left."""
    made = _Place() if place is None else _Place(place.mount, dict(place.beneath))
    if not parts:
        made.mount = mount
    else:
        below = _with(made.beneath.get(parts[0]), parts[1:], mount)
        if below is None:
            made.beneath.pop(parts[0], None)
        else:
            made.beneath[parts[0]] = below
    return made if made.mount is not None or made.beneath else None


def _key(mount: Mount, path: str, rest: int) -> str:
    if rest > len(path):
        return ""
    below = path[rest:]
    if ".." in below and paths.climbs(below):
        raise BadPath(f"the '..' in {path!r} lead out of mount {mount.path}: some stores follow them")
    key = mount.prefix + below
    paths.check_key(key)
    return key
