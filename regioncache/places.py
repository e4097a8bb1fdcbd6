"""What this region makes of a request of another node: the place of an object, and the terms it is read on here.

A node asks by the bucket's logical name and the exact key, since its mounts may be others; the mount that covers the
key here, and the cache rules here, say how it is kept.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property

from xxhash import xxh3_128_hexdigest

from namespace.consistency import Immutable, MaxAge, Validate
from namespace.errors import BadPath
from namespace.model import Bucket, Mount, Topology
from namespace.resolver import Place, Resolver
from namespace.routes import Routes
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

    def __init__(self, topology: Topology, table: Table | None = None) -> None:
        """`table` is that of the topology, where somebody has made it already."""
        self._topology = topology
        self._table = table or Table(topology.mounts.values())
        by_bucket = {name: bucket.id for name, bucket in topology.buckets.items()}
        self._mounts: dict[bytes, dict[str, list[str]]] = {}
        """By bucket and prefix, in the document's order, where its keys begin in the tree."""
        for mount in topology.mounts.values():
            prefixes = self._mounts.setdefault(by_bucket[mount.bucket], {})
            prefixes.setdefault(mount.prefix, []).append(f"{mount.path}/")

    @property
    def mounted(self) -> bool:
        """Whether there is any mount."""
        return bool(self._mounts)

    @cached_property
    def digest(self) -> str:
        """Of all that `paths` depends on."""
        depends = sorted(
            (bucket.hex(), [(prefix, at, self._nested(at)) for prefix in sorted(mounts, key=len, reverse=True)
                            for at in mounts[prefix]])
            for bucket, mounts in self._mounts.items()
        )  # fmt: skip
        return xxh3_128_hexdigest(json.dumps(depends).encode())

    def hides(self, before: "Shown") -> bool:
        """Whether an object that showed before may show no more: a mount is gone, or another lies in its place."""
        if self._mounts == before._mounts:
            return False
        were, are = set(before._entries()), set(self._entries())
        return not were <= are or any(before._table.find(at[:-1]) is not None for _, _, at in are - were)

    def _entries(self) -> Iterator[tuple[bytes, str, str]]:
        for bucket, mounts in self._mounts.items():
            for prefix, beginnings in mounts.items():
                for at in beginnings:
                    yield bucket, prefix, at

    def paths(self, oid: ObjectId) -> list[str]:
        """The paths of an object, that of the narrowest mount first; none where nothing shows it."""
        bucket, key = oid
        mounts = self._mounts.get(bucket)
        if mounts is None:
            return []
        return [
            path
            for prefix in prefixes_of(key)
            for beginning in mounts.get(prefix, ())
            if (path := beginning + key[len(prefix) :])
            and not (self._nested(beginning) and self._hidden(path, beginning))
        ]

    def _nested(self, beginning: str) -> bool:
        return len(self._table.mounts_under(beginning)) > 1

    def _hidden(self, path: str, beginning: str) -> bool:
        try:
            found = self._table.find(path)
        except BadPath:
            return True
        return found is None or f"{found[0].path}/" != beginning


def prefixes_of(key: str) -> Iterator[str]:
    """Yields what a mount of a key may have as its prefix, the longest first: whole components, and none."""
    at = len(key)
    while (at := key.rfind("/", 0, at)) >= 0:
        yield key[: at + 1]
    yield ""


class Places:
    """Finds places by bucket and key. Mutable state: `rules` in force, and the mounts of a revision by bucket."""

    def __init__(self, resolver: Resolver) -> None:
        self.rules = Rules(())
        self._resolver = resolver
        self._serial = -1
        self._mounts: Mapping[str, Mapping[str, Place]] = {}

    def of(self, bucket: str, key: str) -> Place | None:
        """The place of `key`, through the mount of that bucket with the longest prefix that covers it."""
        if self._resolver.serial != self._serial:
            self._work_out()
        places = self._mounts.get(bucket, {})
        for prefix in prefixes_of(key):
            if (place := places.get(prefix)) is not None:
                return replace(place, path=f"{place.mount.path}/{key[len(prefix) :]}", key=key)
        return None

    def bucket(self, bucket: bytes) -> Bucket | None:
        """The bucket with this id, of those that are mounted."""
        if self._resolver.serial != self._serial:
            self._work_out()
        buckets = (next(iter(places.values())).bucket for places in self._mounts.values())
        return next((one for one in buckets if one.id == bucket), None)

    def terms(self, place: Place, fresh_seconds: float) -> Terms:
        """The terms of a read of this place by a node that wants an answer about the newest version so fresh."""
        admit = self.rules.match(place.path).admit
        return replace(terms(place.mount, admit), fresh_seconds=fresh_seconds)

    def _work_out(self) -> None:
        topology = self._resolver.topology
        mounts: dict[str, dict[str, Place]] = {}
        if self._resolver.region in topology.regions:
            ways = Routes(topology, self._resolver.region)
            for mount in topology.mounts.values():
                bucket = topology.buckets[mount.bucket]
                place = Place(mount.path, mount, bucket, "", ways.of(mount))
                mounts.setdefault(bucket.name, {}).setdefault(mount.prefix, place)
        self._mounts, self._serial = mounts, self._resolver.serial
