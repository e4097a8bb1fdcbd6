"""Which path takes what comes: the fastest in use, and among equals each its share.

What is pinned must stay, and no path may have more than a share of it: where the one it would go to has as much, it
comes to another at once, of a slower tier if need be. So all disks together hold the pins that fit into them all.

What comes faster than `moving` makes room for it comes to a slower tier too, as long as that has room: nothing leaves
the cache for it.
"""

from collections.abc import Sequence

from regioncache.pages import ObjectId
from regioncache.store.cachepath import CachePath
from regioncache.store.keeping import Keeping, takes_pinned
from regioncache.store.spread import best_of


def chosen(paths: Sequence[CachePath], keeping: Keeping, digest: int, oid: ObjectId, nbytes: int) -> CachePath | None:
    """Returns the path for `nbytes` under this hash; None where none is in use.

    Rendezvous over the fastest, weighted by their size: one taken out moves only its own.
    """
    in_use = [path for path in paths if path.disk.out is None]
    fastest = min((path.tier for path in in_use), default=0)
    best = best_of([path for path in in_use if path.tier == fastest], digest)
    if best is None:
        return None
    if takes_pinned(best.fifo, best.limit_bytes, nbytes) or not keeping.pins(oid):
        free = best.limit_bytes - best.fifo.used - best.packs.dead_bytes
        return best if nbytes <= free else _slower(in_use, best, digest, nbytes) or best
    for tier in sorted({path.tier for path in in_use}):
        takers = [one for one in in_use if one.tier == tier and takes_pinned(one.fifo, one.limit_bytes, nbytes)]
        if takers:
            return best_of(takers, digest)
    return best


def _slower(in_use: Sequence[CachePath], best: CachePath, digest: int, nbytes: int) -> CachePath | None:
    """The path of the next tier that has room without anything leaving, if there is one."""
    roomy = [
        path
        for path in sorted(in_use, key=lambda one: one.tier)
        if path.tier > best.tier
        and not path.disk.slow
        and path.fifo.used + nbytes <= path.leaving.mark
        and takes_pinned(path.fifo, path.limit_bytes, nbytes)
    ]
    return best_of([path for path in roomy if path.tier == roomy[0].tier], digest) if roomy else None
