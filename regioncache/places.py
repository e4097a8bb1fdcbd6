"""What this region makes of a request of another node: the place of an object, and the terms it is read on here.

A node asks by the bucket's logical name and the exact key, since its mounts may be others; the mount that covers the
key here, and the cache rules here, say how it is kept.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from namespace.consistency import Immutable, MaxAge, Validate
from namespace.errors import BadPath
from namespace.model import Bucket, Mount, Topology
from namespace.resolver import Place, Resolver
from namespace.routes import routes
from namespace.table import Table
from policy.match import Admit, Rules
from regioncache.opened import Terms
from regioncache.pages import ObjectId


def terms(mount: Mount, admit: Admit) -> Terms:
    """Returns the terms of a mount; `admit` is what the cache rules say of the path."""
    match mount.consistency:
        case Immutable():
            fresh = math.inf
        case MaxAge(seconds):
            fresh = seconds
        case Validate():
            fresh = 0.0
    return Terms(fresh, mount.stale_if_down, admit != "never", admit == "second_read")


class Shown:
    """Under which paths an object shows: a bucket may be mounted in several places, and a mount hide another's keys."""

    def __init__(self, topology: Topology) -> None:
        self._table = Table(topology.mounts.values())
        self._mounts: dict[bytes, list[tuple[str, str, bool]]] = {}
        # The narrowest mount first, as a request of another node finds its place; equals in the document's order.
        for mount in sorted(topology.mounts.values(), key=lambda mount: len(mount.prefix), reverse=True):
            nested = len(self._table.mounts_under(mount.path)) > 1
            bucket = topology.buckets[mount.bucket].id
            self._mounts.setdefault(bucket, []).append((mount.prefix, f"{mount.path}/", nested))
        self.digest = sorted((bucket.hex(), mounts) for bucket, mounts in self._mounts.items())
        """All that `paths` depends on."""

    def paths(self, oid: ObjectId) -> list[str]:
        """The paths of an object, that of the narrowest mount first; none where nothing shows it."""
        bucket, key = oid
        return [
            path
            for prefix, beginning, nested in self._mounts.get(bucket, ())
            if key.startswith(prefix)
            and (path := beginning + key[len(prefix) :])
            and not (nested and self._hidden(path, beginning))
        ]

    def _hidden(self, path: str, beginning: str) -> bool:
        try:
            found = self._table.find(path)
        except BadPath:
            return True
        return found is None or f"{found[0].path}/" != beginning


class Places:
    """Finds places by bucket and key. Mutable state: `rules` in force, and the mounts of a revision by bucket."""

    def __init__(self, resolver: Resolver) -> None:
        self.rules = Rules(())
        self._resolver = resolver
        self._revision = -1
        self._mounts: Mapping[str, tuple[Place, ...]] = {}

    def of(self, bucket: str, key: str) -> Place | None:
        """The place of `key`, through the mount of that bucket with the longest prefix that covers it."""
        if self._resolver.revision != self._revision:
            self._work_out()
        for place in self._mounts.get(bucket, ()):
            prefix = place.mount.prefix
            if key.startswith(prefix):
                return replace(place, path=f"{place.mount.path}/{key[len(prefix) :]}", key=key)
        return None

    def bucket(self, bucket: bytes) -> Bucket | None:
        """The bucket with this id, of those that are mounted."""
        if self._resolver.revision != self._revision:
            self._work_out()
        return next((mounts[0].bucket for mounts in self._mounts.values() if mounts[0].bucket.id == bucket), None)

    def terms(self, place: Place, fresh_seconds: float) -> Terms:
        """The terms of a read of this place by a node that wants an answer about the newest version so fresh."""
        admit = self.rules.match(place.path).admit
        return replace(terms(place.mount, admit), fresh_seconds=fresh_seconds)

    def _work_out(self) -> None:
        topology = self._resolver.topology
        mounts: dict[str, tuple[Place, ...]] = {}
        for mount in sorted(topology.mounts.values(), key=lambda mount: len(mount.prefix), reverse=True):
            bucket = topology.buckets[mount.bucket]
            place = Place(mount.path, mount, bucket, "", routes(topology, mount, self._resolver.region))
            mounts[bucket.name] = (*mounts.get(bucket.name, ()), place)
        self._mounts, self._revision = mounts, self._resolver.revision
