"""The administrator's own look at the tree, past all grants and billed to the tenant `admin`."""

from dataclasses import replace

from gateway.admin.answers import Listing, Name, Refreshed, Stat
from gateway.admin.operations import BadOperation, OperationFault, Unavailable, UnknownPath
from gateway.operating.running import Running
from gateway.s3.base import Caller, ListPath
from namespace import paths
from namespace.errors import NamespaceError
from namespace.keys import AccessKey, new_secret
from namespace.resolver import Place
from regioncache.asked import Asked
from regioncache.catalog import Doubted
from regioncache.doubting import Doubting
from regioncache.errors import CacheError, NoSuchObject, OriginUnavailable, SlowDown
from regioncache.opened import Opened
from regioncache.origins.base import Payer
from regioncache.pages import WHOLE, Wanted

ADMIN = Caller(
    AccessKey("administrator", new_secret(), "administrator", "admin", "interactive", (), (paths.ROOT,)),
    Payer("admin", "interactive"),
)
"""Opens the whole tree; its secret is drawn at import and known to nobody, so that no request can be signed with it."""


class Looking:
    """`gateway.admin.operations.Reading`."""

    running: Running

    async def refresh(self, path: str) -> Refreshed:
        """Doubts everything at `path` and beneath it, and asks anew for the object itself if there is one.

        All members of the region are told before anybody is asked. The doubt is on disk when this returns: what was not
        read again since is looked at again after a restart too.
        """
        app = self.running.app
        try:
            mounts = app.resolver.table.within(path)
            place = app.resolver.find(path)
        except NamespaceError as wrong:
            raise BadOperation(str(wrong)) from wrong
        if place is None and not mounts.mounts:
            raise UnknownPath(f"no mount has {path!r}")
        buckets, doubting = app.resolver.topology.buckets, app.doubting
        doubts = [doubting.beneath(buckets[mount.bucket].id, mount.prefix) for mount in mounts.mounts]
        if place is not None:
            doubts += _doubted(doubting, place)
        dropped = sum(doubting.doubt(one) for one in doubts)
        untold = await doubting.tell(doubts)
        if place is not None and place.key and not place.key.endswith("/"):
            await self._ask_anew(place.path)
        await app.doubts.kept()
        return Refreshed(path, dropped, untold)

    async def list(self, path: str, after: str, limit: int, recursive: bool) -> Listing:
        """Lists names beneath a path. Raises UnknownPath, BadOperation, Unavailable."""
        prefix = path if path.endswith("/") else f"{path}/"
        if not self._leads_somewhere(prefix):
            raise UnknownPath(f"no mount has {path!r}")
        try:
            page = await self.running.files.list(ADMIN, ListPath(prefix, after, "" if recursive else "/", limit))
        except (CacheError, NamespaceError) as fault:
            raise told(fault) from fault
        names = [Name(entry.key, entry.size, entry.last_modified, entry.etag) for entry in page.entries]
        names += [Name(prefix) for prefix in page.prefixes]
        return Listing(tuple(sorted(names, key=lambda name: name.path)), page.next_after)

    async def stat(self, path: str) -> Stat:
        """The object at a path. Raises UnknownPath, BadOperation, Unavailable."""
        try:
            opened = await self.running.files.stat(ADMIN, path)
        except (CacheError, NamespaceError) as fault:
            raise told(fault) from fault
        return Stat(path, opened.meta, opened.source, opened.stale_seconds)

    async def open(self, path: str, wanted: Wanted) -> Opened:
        """Opens an object. Raises UnknownPath, BadOperation, Unavailable, RangeOutside."""
        try:
            return await self.running.files.open(ADMIN, path, wanted)
        except (NoSuchObject, OriginUnavailable, SlowDown, NamespaceError) as fault:
            raise told(fault) from fault

    async def _ask_anew(self, path: str) -> None:
        place = self.running.files.place(path)
        asked = Asked(place, WHOLE, ADMIN.payer, replace(self.running.files.terms(place), fresh_seconds=0.0))
        try:
            await self.running.app.cache.refresh(asked)
        except NoSuchObject:
            return  # a path that is no object may be the beginning of some
        except CacheError as fault:
            raise told(fault) from fault

    def _leads_somewhere(self, prefix: str) -> bool:
        try:
            within = self.running.app.resolver.table.within(prefix)
        except NamespaceError as wrong:
            raise BadOperation(str(wrong)) from wrong
        return within.mount is not None or bool(within.mounts) or prefix == f"{paths.ROOT}/"


def _doubted(doubting: Doubting, place: Place) -> list[Doubted]:
    """The object at a place and what lies beneath it, not what only begins alike."""
    bucket, key = place.bucket.id, place.key
    if not key or key.endswith("/"):
        return [doubting.beneath(bucket, key)]
    return [doubting.object(bucket, key), doubting.beneath(bucket, f"{key}/")]


def told(fault: Exception) -> OperationFault:
    """Returns what a fault means to an administrator."""
    match fault:
        case NoSuchObject():
            return UnknownPath(str(fault))
        case OriginUnavailable() | SlowDown():
            return Unavailable(str(fault), fault.retry_after)
        case NamespaceError():
            return BadOperation(str(fault))
        case _:
            return Unavailable(str(fault))
