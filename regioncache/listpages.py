"""Pages of lists that are kept, and what they show of a key: one truth for lists, HEADs and GETs.

A page says of every key in its range which version was the newest when the page was made, or that there was none. So
an object that is held need not be asked about while a younger page shows it, and must be asked about when a younger
page shows another or none; what an object's own question taught later drops the pages that say otherwise.
"""

from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from math import inf

from regioncache.listranges import PageName, Ranges
from regioncache.origins.base import ListAsk, Listed, ListPage
from regioncache.pages import MIB, Meta, ObjectId

STORE_BYTES = 64 * MIB
"""What all kept pages together may take (design, section 4)."""
ENTRY_BYTES = 400
"""A listed key with its strings and its share of the tuple, measured on CPython 3.11, plus the key's own length."""


class Says(Enum):
    """What the pages say of a version that is held."""

    NOTHING = 0
    """No younger page has the key in its range."""
    SAME = 1
    """It is the newest still."""
    OTHER = 2
    """There is another version, or none."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One page: when it was made (monotonic and epoch seconds), and the ticket of its question."""

    page: ListPage
    learned_at: float
    at: float
    ticket: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Saying:
    """What is said, and by which page."""

    says: Says
    kept: Kept | None = None


_SILENT = Saying(Says.NOTHING)
_Group = tuple[bytes, str, str]
"""The pages of one list: bucket, prefix, delimiter."""


class ListPages:
    """Mutable state: the pages, least used first, their bytes; `_groups`, the ranges of each list's pages;
    `_lengths`, how long the prefixes of lists are; `newest`."""

    def __init__(self, limit: int = STORE_BYTES) -> None:
        self._limit = limit
        self._kept: OrderedDict[tuple[bytes, ListAsk], Kept] = OrderedDict()
        self._nbytes = 0
        self._groups: dict[_Group, Ranges] = {}
        self._lengths: dict[bytes, Counter[tuple[int, str]]] = {}
        self.newest = -inf
        """When the youngest page was made, epoch seconds: what was learned since is contradicted by none."""

    def __repr__(self) -> str:
        return f"ListPages({len(self._kept)} pages, {self._nbytes} bytes)"

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def nbytes(self) -> int:
        """Bytes that the pages take, as they are reckoned."""
        return self._nbytes

    def find(self, bucket: bytes, ask: ListAsk) -> Kept | None:
        """The page that was kept for this question, whatever its age."""
        kept = self._kept.get((bucket, ask))
        if kept is not None:
            self._kept.move_to_end((bucket, ask))
        return kept

    def keep(self, bucket: bytes, ask: ListAsk, page: ListPage, learned_at: float, at: float, ticket: int) -> None:
        """Takes a page; the least used leave for it.

        Args:
            learned_at: when the origin said so, monotonic seconds.
            at: the same in seconds since the epoch.
            ticket: of the question, from the catalog.
        """
        nbytes = sum(ENTRY_BYTES + len(e.key) for e in page.entries) + sum(100 + len(p) for p in page.prefixes) + 500
        self._remove(bucket, ask)
        self._kept[bucket, ask] = Kept(page, learned_at, at, ticket, nbytes)
        self._nbytes += nbytes
        group = (bucket, ask.prefix, ask.delimiter)
        if group not in self._groups:
            self._lengths.setdefault(bucket, Counter())[len(ask.prefix), ask.delimiter] += 1
        self._groups.setdefault(group, Ranges()).add(PageName(ask.after, ask.limit), page.next_after)
        self.newest = max(self.newest, at)
        while self._nbytes > self._limit:
            self._remove(*next(iter(self._kept)))

    def drop(self, bucket: bytes, prefix: str) -> int:
        """Drops every page in whose range a key with this prefix may stand; returns how many."""
        gone = [key for key, kept in self._kept.items() if key[0] == bucket and _may_show(key[1], kept.page, prefix)]
        for key in gone:
            self._remove(*key)
        return len(gone)

    def correct(self, oid: ObjectId, meta: Meta | None, ticket: int) -> int:
        """Drops the pages that say otherwise than an answer to a question with a later ticket; returns how many.

        Args:
            oid: Whose newest version was asked for.
            meta: The answer; None where there is no object.
            ticket: Of that question.
        """
        gone = [
            ask
            for ask, kept in self._covering(oid)
            if kept.ticket < ticket and _says(kept, oid.key, meta) is not Says.SAME
        ]
        for ask in gone:
            self._remove(oid.bucket, ask)
        return len(gone)

    def says(self, oid: ObjectId, meta: Meta) -> Saying:
        """What the youngest page says that is younger than `meta` and has the key in its range."""
        if meta.learned_at >= self.newest:
            return _SILENT
        youngest = max((kept for _, kept in self._covering(oid)), key=lambda kept: kept.at, default=None)
        if youngest is None or youngest.at <= meta.learned_at:
            return _SILENT
        return Saying(_says(youngest, oid.key, meta), youngest)

    def shows(self, oid: ObjectId, since: float) -> bool:
        """Tells whether a page that was made after `since`, monotonic seconds, shows the key."""
        return any(
            kept.learned_at > since and _entry(kept.page, oid.key) is not None for _, kept in self._covering(oid)
        )

    def asked_beneath(self, bucket: bytes, prefix: str) -> list[ListAsk]:
        """The questions whose pages are kept and may show keys with this prefix."""
        return [ask for (of, ask), kept in self._kept.items() if of == bucket and _may_show(ask, kept.page, prefix)]

    def _covering(self, oid: ObjectId) -> Iterator[tuple[ListAsk, Kept]]:
        """All pages whose range has the key."""
        for group in self._lists_of(oid):
            for after, limit in self._groups[group].find(oid.key):
                ask = ListAsk(group[1], after, group[2], limit)
                yield ask, self._kept[oid.bucket, ask]

    def _lists_of(self, oid: ObjectId) -> Iterator[_Group]:
        """The lists that show this key as a key, not rolled up."""
        bucket, key = oid
        for length, delimiter in self._lengths.get(bucket, ()):
            group = (bucket, key[:length], delimiter)
            if group in self._groups and (not delimiter or key.find(delimiter, length) < 0):
                yield group

    def _remove(self, bucket: bytes, ask: ListAsk) -> None:
        kept = self._kept.pop((bucket, ask), None)
        if kept is None:
            return
        self._nbytes -= kept.nbytes
        group = (bucket, ask.prefix, ask.delimiter)
        ranges = self._groups[group]
        ranges.remove(PageName(ask.after, ask.limit), kept.page.next_after)
        if not ranges:
            del self._groups[group]
            lengths = self._lengths[bucket]
            lengths[len(ask.prefix), ask.delimiter] -= 1
            if not lengths[len(ask.prefix), ask.delimiter]:
                del lengths[len(ask.prefix), ask.delimiter]
            if not lengths:
                del self._lengths[bucket]


def _entry(page: ListPage, key: str) -> Listed | None:
    at = bisect_left(page.entries, key, key=lambda entry: entry.key)
    return page.entries[at] if at < len(page.entries) and page.entries[at].key == key else None


def _says(kept: Kept, key: str, meta: Meta | None) -> Says:
    entry = _entry(kept.page, key)
    if entry is None or meta is None:
        return Says.SAME if entry is None and meta is None else Says.OTHER
    # Stores give dates of lists to the millisecond, those of objects to the second.
    same = (entry.etag, entry.size, int(entry.last_modified)) == (meta.etag, meta.size, int(meta.last_modified))
    return Says.SAME if same else Says.OTHER


def _may_show(ask: ListAsk, page: ListPage, prefix: str) -> bool:
    """Whether a key with this prefix may stand on the page, by itself or rolled up."""
    if not (ask.prefix.startswith(prefix) or prefix.startswith(ask.prefix)):
        return False
    if page.next_after is not None and prefix > page.next_after:
        return False
    # Every key with the prefix stands before the page, unless the page begins before or within them.
    return ask.after <= prefix or ask.after.startswith(prefix) or _rolled(ask, prefix) > ask.after


def _rolled(ask: ListAsk, prefix: str) -> str:
    """What a key with this prefix is shown as where it is rolled up, else nothing."""
    at = prefix.find(ask.delimiter, len(ask.prefix)) if ask.delimiter else -1
    return "" if at < 0 else prefix[: at + len(ask.delimiter)]
