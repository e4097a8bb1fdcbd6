"""Which version of an object is the newest, as far as is known here, and until when that may be believed.

A bounded memory in front of the metadata on disk. What a fill, a HEAD or a list learned is dropped if a refresh (or,
later, a write) for that key came after it began: each question takes a ticket first, and an answer whose ticket is
older than the key's last doubt teaches nothing (line-rules, Newest pointer).
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from regioncache.errors import CacheError, NoSuchObject, OriginForbids
from regioncache.pages import Meta, ObjectId

NEGATIVE_SECONDS = 1.5
"""404 and 403 are remembered for 1 to 2 s (line-rules, section 2)."""

CLOCK_SECONDS = 5.0
"""A clock may be set back by so much; what was learned further in the future would be believed until then."""


@dataclass(frozen=True, slots=True)
class _Doubt:
    ticket: int
    at: float  # seconds since the epoch


EVERYTHING = b""
"""In place of a bucket's id: a doubt of all keys of all buckets."""


@dataclass(frozen=True, slots=True)
class Doubted:
    """A doubt as it is kept: nothing learned up to `at` (epoch seconds) is believed of the key, or of all below it."""

    bucket: bytes
    key: str
    whole: bool
    at: float


@dataclass(frozen=True, slots=True)
class CatalogStatistics:
    known: int
    absent: int
    doubts: int


class Catalog:
    """Newest versions and recent absences.

    Mutable state: `_known`, `_absent`; `_doubted` by key and `_swept` by (bucket, prefix), both oldest first; `_floor`,
    a doubt of everything; `_last_doubt`, the latest time of any of them; `_ticket`.
    """

    def __init__(
        self, limit: int = 65_536, doubts: int = 1024, on_doubt: Callable[[Doubted], None] = lambda _: None
    ) -> None:
        """At most `limit` versions, absences and doubts of keys are known, and `doubts` of prefixes.

        The latter are few: all of them are looked through for what was learned before the last. `on_doubt` is told of
        each, so that it outlives the process.
        """
        self._on_doubt = on_doubt
        self._limit = limit
        self._doubt_limit = doubts
        self._known: OrderedDict[ObjectId, Meta] = OrderedDict()
        self._absent: OrderedDict[ObjectId, tuple[float, CacheError]] = OrderedDict()
        self._doubted: OrderedDict[ObjectId, _Doubt] = OrderedDict()
        self._swept: OrderedDict[tuple[bytes, str], _Doubt] = OrderedDict()
        self._floor = _Doubt(0, float("-inf"))
        self._last_doubt = float("-inf")
        self._ticket = 0

    def ticket(self) -> int:
        """Returns the ticket of a question that is asked now."""
        self._ticket += 1
        return self._ticket

    def find(self, oid: ObjectId) -> Meta | None:
        """The newest version in memory, whatever its age."""
        return self._known.get(oid)

    def known_beneath(self, bucket: bytes, prefix: str) -> list[str]:
        """Returns the keys with this prefix whose newest version is in memory, in order."""
        return sorted(oid.key for oid in self._known if oid.bucket == bucket and oid.key.startswith(prefix))

    def absence(self, oid: ObjectId, now: float) -> CacheError | None:
        """The fault to repeat for a key that was just found missing or forbidden; `now` is monotonic."""
        found = self._absent.get(oid)
        if found is None:
            return None
        if now < found[0]:
            return found[1]
        del self._absent[oid]
        return None

    def absent_since(self, oid: ObjectId) -> float:
        """When a key that `absence` tells of was found missing or forbidden, monotonic seconds."""
        return self._absent[oid][0] - NEGATIVE_SECONDS

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

    def learn_absent(
        self, oid: ObjectId, fault: CacheError, ticket: int, now: float, at: float, *, held: bool = True
    ) -> None:
        """Notes a 404 (NoSuchObject) or 403 (OriginForbids), for a moment; other faults teach nothing.

        What the disk holds of a key that is gone is not believed from then on. Of one that it never held there is
        nothing to doubt: who asks for thousands of absent keys must not use up the doubts that are remembered.

        Args:
            now: monotonic seconds.
            at: seconds since the epoch.
            held: whether anything of the object is on disk.
        """
        if not isinstance(fault, NoSuchObject | OriginForbids) or self._void(oid, ticket):
            return
        if isinstance(fault, NoSuchObject):
            if held:
                self.distrust(oid, at)
            self._known.pop(oid, None)
        # Without its traceback, which would keep every frame of the question: 5 KiB instead of some 500 bytes.
        self._absent[oid] = (now + NEGATIVE_SECONDS, type(fault)(*fault.args))
        self._absent.move_to_end(oid)
        while self._absent and (len(self._absent) > self._limit or next(iter(self._absent.values()))[0] <= now):
            self._absent.popitem(last=False)

    def distrust(self, oid: ObjectId, at: float) -> None:
        """From now on nothing learned before is believed of this key; `at` is seconds since the epoch."""
        self._distrust(oid, at)
        self._on_doubt(Doubted(oid.bucket, oid.key, True, at))

    def _distrust(self, oid: ObjectId, at: float) -> None:
        self._absent.pop(oid, None)
        self._doubted[oid] = _Doubt(self.ticket(), at)
        self._doubted.move_to_end(oid)
        self._last_doubt = max(self._last_doubt, at)
        self._bound(self._doubted, self._limit)

    def doubt(self, bucket: bytes, prefix: str, at: float) -> int:
        """From now on nothing learned before is believed of keys with this prefix; `at` is seconds since the epoch.

        What is known stays known, for when nobody can be asked. Returns how many newest versions and absences in
        memory are touched.
        """
        gone = [oid for oid in self._absent if oid.bucket == bucket and oid.key.startswith(prefix)]
        for oid in gone:
            del self._absent[oid]
        self._sweep(bucket, prefix, at)
        self._on_doubt(Doubted(bucket, prefix, False, at))
        return len(gone) + sum(oid.bucket == bucket and oid.key.startswith(prefix) for oid in self._known)

    def recall(self, doubts: Iterable[Doubted]) -> None:
        """Doubts again what was doubted before a restart, oldest first; nobody is told."""
        for doubt in doubts:
            if doubt.bucket == EVERYTHING:
                self._doubt_everything(_Doubt(self.ticket(), doubt.at))
            elif doubt.whole:
                self._distrust(ObjectId(doubt.bucket, doubt.key), doubt.at)
            else:
                self._sweep(doubt.bucket, doubt.key, doubt.at)

    def doubts(self) -> Iterator[Doubted]:
        """All doubts that are remembered, as `recall` takes them."""
        if self._floor.at != float("-inf"):
            yield Doubted(EVERYTHING, "", False, self._floor.at)
        for oid, doubt in self._doubted.items():
            yield Doubted(oid.bucket, oid.key, True, doubt.at)
        for (bucket, prefix), doubt in self._swept.items():
            yield Doubted(bucket, prefix, False, doubt.at)

    def _sweep(self, bucket: bytes, prefix: str, at: float) -> None:
        for older in [name for name in self._swept if name[0] == bucket and name[1].startswith(prefix)]:
            del self._swept[older]
        self._swept[bucket, prefix] = _Doubt(self.ticket(), at)
        self._last_doubt = max(self._last_doubt, at)
        self._bound(self._swept, self._doubt_limit)

    def age(self, oid: ObjectId, meta: Meta, now: float) -> float | None:
        """Seconds since `meta` was known to be the newest; `now` is epoch seconds.

        None where that is not known: a doubt came after, or the clock has gone back since.
        """
        learned_at = meta.learned_at
        if learned_at > now + CLOCK_SECONDS:
            return None
        if learned_at <= self._last_doubt and any(doubt.at >= learned_at for doubt in self._doubts(oid)):
            return None
        return max(0.0, now - learned_at)

    def statistics(self) -> CatalogStatistics:
        return CatalogStatistics(len(self._known), len(self._absent), len(self._doubted) + len(self._swept))

    def _void(self, oid: ObjectId, ticket: int) -> bool:
        return any(doubt.ticket > ticket for doubt in self._doubts(oid))

    def _doubts(self, oid: ObjectId) -> list[_Doubt]:
        """All doubts that touch this key."""
        found = [self._floor]
        if oid in self._doubted:
            found.append(self._doubted[oid])
        found += [
            doubt
            for (bucket, prefix), doubt in self._swept.items()
            if bucket == oid.bucket and oid.key.startswith(prefix)
        ]
        return found

    def _bound(
        self, doubts: "OrderedDict[ObjectId, _Doubt] | OrderedDict[tuple[bytes, str], _Doubt]", limit: int
    ) -> None:
        """A doubt that there is no room to remember becomes one of everything: too much is asked, nothing believed."""
        if len(doubts) > limit:
            self._doubt_everything(doubts.popitem(last=False)[1])

    def _doubt_everything(self, doubt: _Doubt) -> None:
        self._floor = _Doubt(max(self._floor.ticket, doubt.ticket), max(self._floor.at, doubt.at))
        self._last_doubt = max(self._last_doubt, doubt.at)
