"""Which path takes what comes: the fastest in use, and among equals each its share.

What is pinned must stay, and no path may have more than a share of it: where the one it would go to has as much, it
comes to another at once, of a slower tier if need be. So all disks together hold the pins that fit into them all.
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
    if best is None or takes_pinned(best.fifo, best.limit_bytes, nbytes) or not keeping.pins(oid):
        return best
    for tier in sorted({path.tier for path in in_use}):
        takers = [one for one in in_use if one.tier == tier and takes_pinned(one.fifo, one.limit_bytes, nbytes)]
        if takers:
            return best_of(takers, digest)
    return best
