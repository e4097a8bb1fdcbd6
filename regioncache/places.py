"""What this region makes of a request of another node: the place of an object, and the terms it is read on here.

A node asks by the bucket's logical name and the exact key, since its mounts may be others; the mount that covers the
key here, and the cache rules here, say how it is kept.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from namespace.model import Immutable, MaxAge, Mount, Validate
from namespace.resolver import Place, Resolver
from namespace.routes import routes
from policy.match import Admit, Rules
from regioncache.opened import Terms


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
