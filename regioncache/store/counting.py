"""What the store holds and what happened to it, counted from its parts."""

from collections import Counter
from dataclasses import replace

from regioncache.store.base import PathStatistics, StoreStatistics
from regioncache.store.cachepath import CachePath
from regioncache.store.index import Index, Kind
from regioncache.store.loading import Found
from regioncache.store.tending import Tending


def counted(everywhere: list[CachePath], index: Index, found: Found, tending: Tending) -> StoreStatistics:
    """Returns the sums over all cache paths; what is held is what is in use now."""
    paths, keeping = [path for path in everywhere if path.disk.out is None], tending.keeping
    absent = (*index.aside.values(), *index.outdated)
    packed = index.kinds.count(Kind.PACKED) - sum(index.kinds[slot] == Kind.PACKED for slot in absent)
    return StoreStatistics(
        clean_bytes=sum(path.fifo.used for path in paths),
        dead_bytes=sum(path.packs.dead_bytes for path in paths),
        limit_bytes=sum(path.limit_bytes for path in paths),
        extents=len(index) - packed,
        packed=packed,
        landings=sum(file.landings for path in paths for file in path.landing.values()),
        open_files=sum(len(path.opened) for path in paths),
        evicted_bytes=sum(path.leaving.gone_bytes.total() for path in everywhere),
        gone_bytes=dict(sum((path.leaving.gone_bytes for path in everywhere), Counter[str]())),
        pinned_bytes=sum(path.fifo.pinned for path in paths),
        groups=tuple(keeping.groups),
        accounts=tuple(replace(account) for account in keeping.groups.accounts()),
        unlabelled=tending.labelling.left(),
        corrupt_pages=sum(path.corrupt for path in everywhere),
        dropped_files=found.dropped,
        unknown_files=found.unknown,
        paths_out=tuple(f"{path.disk.path}: {path.disk.out}" for path in everywhere if path.disk.out is not None),
        paths_full=sum(path.disk.full for path in paths),
        paths=tuple(map(_path, everywhere)),
    )


def _path(path: CachePath) -> PathStatistics:
    disk = path.disk
    held = 0 if disk.out is not None else path.fifo.used
    return PathStatistics(
        str(disk.path), path.tier, held, path.limit_bytes, path.fifo.uses, path.moved_bytes, disk.out or "", disk.full,
        disk.slow,
    )  # fmt: skip
