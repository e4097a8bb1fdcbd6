"""The resolver: the newest topology in memory, and what a path is in it.

Adopting a topology works all routes out and then swaps one reference; finding a path after that is a few dictionary
look-ups, without a lock or an await. A revision that is not newer than the one in force is not adopted.
"""

from dataclasses import dataclass

from namespace.errors import UnknownRegion
from namespace.model import Bucket, Mount, Topology
from namespace.routes import Routes, Way
from namespace.table import Table


@dataclass(frozen=True, slots=True)
class Place:
    """What a path is: the mount, its bucket, the origin's key, and the ways there, best first.

    An empty key is no object: the path is the mount itself.
    """

    path: str
    mount: Mount
    bucket: Bucket
    key: str
    ways: tuple[Way, ...]


Routed = dict[str, tuple[Bucket, tuple[Way, ...]]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was worked out of a topology: where its mounts are, and how each is reached."""

    table: Table
    routed: Routed


@dataclass(frozen=True, slots=True)
class _View:
    """One revision, worked out for one region."""

    topology: Topology
    revision: int
    table: Table
    routed: Routed
    serial: int


class Resolver:
    """Answers what a path is, as seen from one region."""

    def __init__(self, region: str) -> None:
        self.region = region
        # All there is to change; replaced whole, so that a reader sees one revision or the other.
        self._view = _View(Topology(regions={}), 0, Table(()), {}, 0)

    def __repr__(self) -> str:
        return f"<Resolver of {self.region}: revision {self.revision}, {len(self._view.routed)} mounts>"

    @property
    def topology(self) -> Topology:
        """The topology in force; before the first is adopted, an empty one."""
        return self._view.topology

    @property
    def revision(self) -> int:
        """The revision in force, 0 before the first is adopted."""
        return self._view.revision

    @property
    def serial(self) -> int:
        """Counts what was put in force: who remembers places looks whether it is another one."""
        return self._view.serial

    @property
    def table(self) -> Table:
        """The mounts in force."""
        return self._view.table

    def adopt(
        self, topology: Topology, revision: int, prepared: "Prepared | None" = None, *, again: bool = False
    ) -> bool:
        """Puts a topology in force and returns True, or False if its revision is not newer than the one in force.

        `prepared` is what `prepare` made of it; `again` takes one of the same revision too: of a region that names no
        nodes others are known by now. Raises UnknownRegion if this node's region is not in it; then nothing
        changes.
        """
        if revision < self.revision or (revision == self.revision and not again):
            return False
        made = prepared or self.prepare(topology)
        self._view = _View(topology, revision, made.table, made.routed, self._view.serial + 1)
        return True

    def prepare(self, topology: Topology) -> "Prepared":
        """Works out what `adopt` needs; from any thread: 100,000 mounts take most of a second, one changed one little.

        Raises UnknownRegion.
        """
        if self.region not in topology.regions:
            known = ", ".join(topology.regions)
            raise UnknownRegion(f"region {self.region!r} of this node is not in the topology; known: {known}")
        before, ways = self._view, Routes(topology, self.region)
        old = before.topology
        stays = old.regions is topology.regions and old.lines is topology.lines and old.buckets is topology.buckets
        gone = [path for path in old.mounts if path not in topology.mounts]
        put = [mount for path, mount in topology.mounts.items() if old.mounts.get(path) is not mount]
        routed = dict(before.routed) if stays else {}
        for path in gone if stays else ():
            del routed[path]
        for mount in put if stays else topology.mounts.values():
            routed[mount.path] = (topology.buckets[mount.bucket], ways.of(mount))
        return Prepared(before.table.changed(gone, put), routed)

    def find(self, path: str) -> Place | None:
        """Returns what `path` is, or None where nothing is mounted. Raises BadPath and KeyTooLong."""
        view = self._view
        found = view.table.find(path)
        if found is None:
            return None
        mount, key = found
        bucket, ways = view.routed[mount.path]
        return Place(path, mount, bucket, key, ways)
