"""A grouping by the first part of the key, as tests write it."""

from dataclasses import dataclass, field

from regioncache.pages import ObjectId
from regioncache.store.groups import PLAIN, Keep


@dataclass(slots=True)
class ByFolder:
    """`folders` says of each first part of a key how it is kept; `asked` counts the questions."""

    folders: dict[str, Keep] = field(default_factory=dict)
    asked: int = 0

    @property
    def digest(self) -> str:
        """Of which folder has which name."""
        return ",".join(f"{folder}={keep.name}" for folder, keep in sorted(self.folders.items()))

    @property
    def pins(self) -> bool:
        """Whether a folder is pinned."""
        return any(keep.pinned for keep in self.folders.values())

    def keep_of(self, oid: ObjectId) -> Keep:
        """See `groups.Grouping`."""
        self.asked += 1
        return self.folders.get(oid.key.partition("/")[0], PLAIN)

    def named(self, name: str) -> Keep | None:
        """See `groups.Grouping`."""
        if not name:
            return PLAIN
        return next((keep for keep in self.folders.values() if keep.name == name), None)
