"""What the nodes of a granted region are told: objects beneath its paths, and names there, whatever they ask for.

A rented pool is no judge of what it may have, so the region that answers looks. Objects and lists are asked for by
bucket and key: what has no path that is granted is refused in the same words whether it exists or not, and names of a
list that lie outside are left out of it, also where a page ends on one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from namespace import paths
from namespace.errors import NamespaceError
from namespace.model import Region
from namespace.resolver import Resolver
from namespace.table import Table
from regioncache.errors import NotGranted, OriginUnavailable
from regioncache.origins.base import ListPage
from regioncache.pages import ObjectId
from regioncache.places import Shown

LAST = "\U0010ffff"
"""Behind every character that a key may hold."""
_BEFORE_SLASH = "."
"""The character before `/`."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What one granted region may have."""

    region: Region
    table: Table
    shown: Shown

    def check(self, bucket: bytes, key: str) -> None:
        """Raises NotGranted unless the object, or what begins so, is at a path that is granted."""
        if self._path(bucket, key) is None:
            raise NotGranted(refusal(self.region))

    def page(self, bucket: bytes, prefix: str, page: ListPage) -> ListPage:
        """Returns a page of the list of `prefix`, which was checked, without the names that are not granted."""
        entries = tuple(entry for entry in page.entries if self._path(bucket, entry.key) is not None)
        prefixes = tuple(rolled for rolled in page.prefixes if self._path(bucket, rolled) is not None)
        after = page.next_after
        if after is not None and self._path(bucket, after) is None:
            after = self._going_on(self._path(bucket, prefix) or "", prefix, after)
        return replace(page, entries=entries, prefixes=prefixes, next_after=after)

    def _path(self, bucket: bytes, key: str) -> str | None:
        """The first path of a key that is granted."""
        return next((path for path in self.shown.paths(ObjectId(bucket, key)) if self.region.may_read(path)), None)

    def _going_on(self, beginning: str, prefix: str, after: str) -> str | None:
        """From where the list of `prefix`, at the path `beginning`, goes on instead of at a name that is not told."""
        path = beginning + after[len(prefix) :]
        place = next((place for place in self.region.paths if paths.covers(place, path)), None)
        if place is None:
            # The grant itself is listed, without a slash: what lies beside it comes before or behind its own names.
            return f"{prefix}{_BEFORE_SLASH}{LAST}" if after < f"{prefix}/" else None
        climbed = _climbed(path[len(place) :])
        if climbed:
            return f"{prefix}{(place + climbed)[len(beginning) :]}/{LAST}"
        try:
            found = self.table.find(path)
        except NamespaceError:
            return after
        if found is None or not found[0].path.startswith(beginning):
            return after
        return f"{prefix}{found[0].path[len(beginning) :]}/{LAST}"


class Grants:
    """What each region may have, by the topology in force."""

    def __init__(self, resolver: Resolver, shown: Callable[[], Shown]) -> None:
        """Args: shown: where objects show, of the topology in force."""
        self._resolver = resolver
        self._shown = shown

    def of(self, region: str) -> Granted | None:
        """What the nodes of a region may have; None: everything. Raises OriginUnavailable for one that is not known."""
        asking = self._resolver.topology.regions.get(region)
        if asking is None:
            raise OriginUnavailable(
                f"region {region!r} is not in the topology of {self._resolver.region}: apply the same to both", 5.0
            )
        if asking.trust == "full" or region == self._resolver.region:
            return None
        return Granted(asking, self._resolver.table, self._shown())


def refusal(region: Region) -> str:
    """Returns why a granted region is not told of something: not what it is, nor whether it is there."""
    return f"region {region.name!r} is granted other paths only"


def _climbed(rest: str) -> str:
    """As much of what follows a place as leads out of it, empty where nothing does; all beneath leads out too."""
    parts = rest.split("/")
    beginnings = ("/".join(parts[:end]) for end in range(1, len(parts) + 1))
    return next((one for one in beginnings if paths.climbs(one)), "")
