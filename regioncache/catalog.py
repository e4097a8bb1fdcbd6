"""Which version of an object is the newest, as far as is known here, and until when that may be believed.

A bounded memory in front of the metadata on disk. What a fill, a HEAD or a list learned is dropped if a refresh (or,
later, a write) for that key came after it began: each question takes a ticket first, and an answer whose ticket is
older than the key's last doubt teaches nothing (line-rules, Newest pointer).
"""

from collections import OrderedDict
from dataclasses import dataclass, replace

from regioncache.errors import CacheError, NoSuchObject, OriginForbids
from regioncache.pages import Meta, ObjectId

NEGATIVE_SECONDS = 1.5
"""404 and 403 are remembered for 1 to 2 s (line-rules, section 2)."""


@dataclass(frozen=True, slots=True)
class _Doubt:
    bucket: bytes
    prefix: str
    ticket: int
    at: float  # seconds since the epoch

    def covers(self, oid: ObjectId) -> bool:
        return self.bucket == oid.bucket and oid.key.startswith(self.prefix)


@dataclass(frozen=True, slots=True)
class CatalogStatistics:
    known: int
    absent: int
    doubts: int


class Catalog:
    """Newest versions and recent absences. Mutable state: `_known`, `_absent`, `_doubts`, `_ticket`, `_floor`."""

    def __init__(self, limit: int = 65_536, doubts: int = 1024) -> None:
        self._limit = limit
        self._doubt_limit = doubts
        self._known: OrderedDict[ObjectId, Meta] = OrderedDict()
        self._absent: OrderedDict[ObjectId, tuple[float, CacheError]] = OrderedDict()
        self._doubts: list[_Doubt] = []
        self._ticket = 0
        self._floor = (0, 0.0)  # (ticket, epoch seconds): nothing learned before is believed

    def ticket(self) -> int:
        """Returns the ticket of a question that is asked now."""
        self._ticket += 1
        return self._ticket

    def find(self, oid: ObjectId) -> Meta | None:
        """The newest version in memory, whatever its age."""
        return self._known.get(oid)

    def absence(self, oid: ObjectId, now: float) -> CacheError | None:
        """The fault to repeat for a key that was just found missing or forbidden; `now` is monotonic."""
        found = self._absent.get(oid)
        if found is None:
            return None
        if now < found[0]:
            return found[1]
        del self._absent[oid]
        return None

    def learn(self, oid: ObjectId, meta: Meta, ticket: int) -> bool:
        """Notes that `meta` was the newest when the question with this ticket was asked; False if that is void."""
        if self._void(oid, ticket):
            return False
        self._absent.pop(oid, None)
        self._known[oid] = meta
        self._known.move_to_end(oid)
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
        return True

    def learn_absent(self, oid: ObjectId, fault: NoSuchObject | OriginForbids, ticket: int, now: float) -> None:
        """Notes a 404 or 403, for a moment."""
        if self._void(oid, ticket):
            return
        if isinstance(fault, NoSuchObject):
            self._known.pop(oid, None)
        self._absent[oid] = (now + NEGATIVE_SECONDS, fault)
        if len(self._absent) > self._limit:
            self._absent.popitem(last=False)

    def doubt(self, bucket: bytes, prefix: str, at: float) -> int:
        """From now on nothing learned before is believed of keys with this prefix; `at` is seconds since the epoch.

        Returns how many newest versions and absences in memory that drops.
        """
        ticket = self.ticket()
        self._doubts = [d for d in self._doubts if not (d.bucket == bucket and d.prefix.startswith(prefix))]
        if len(self._doubts) >= self._doubt_limit:
            self._doubts, self._floor = [], (ticket, at)
        else:
            self._doubts.append(_Doubt(bucket, prefix, ticket, at))
        gone = [o for o in self._absent if o.bucket == bucket and o.key.startswith(prefix)]
        for oid in gone:
            del self._absent[oid]
        return len(gone) + sum(1 for o in self._known if o.bucket == bucket and o.key.startswith(prefix))

    def forget(self, oid: ObjectId) -> None:
        """Drops what memory holds of one key (its pages stay)."""
        self._known.pop(oid, None)

    def age(self, oid: ObjectId, meta: Meta, now: float) -> float | None:
        """Seconds since `meta` was known to be the newest, or None where a doubt came after; `now` is epoch seconds."""
        if meta.learned_at <= self._floor[1]:
            return None
        if self._doubts and any(d.at >= meta.learned_at and d.covers(oid) for d in self._doubts):
            return None
        return max(0.0, now - meta.learned_at)

    def statistics(self) -> CatalogStatistics:
        return CatalogStatistics(len(self._known), len(self._absent), len(self._doubts))

    def _void(self, oid: ObjectId, ticket: int) -> bool:
        return ticket < self._floor[0] or any(d.ticket > ticket and d.covers(oid) for d in self._doubts)


def renewed(meta: Meta, learned_at: float) -> Meta:
    """The same metadata, confirmed at `learned_at`."""
    return replace(meta, learned_at=learned_at)
