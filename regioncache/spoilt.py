"""Pages that were held, whole or in part, and are lost: what is fetched in their place counts `refetch`, not `unique`.

Damaged ones, and those that a flight had begun when it failed.
"""

from collections import OrderedDict

from regioncache.pages import ObjectId, Span

PAGES = 4096
"""More lost pages than this between two reads of them mean a dying disk; then the ledger's kinds are no matter."""


class Spoilt:
    """The pages lost last and not fetched again yet, whatever their version. Mutable state: `_pages`."""

    def __init__(self, limit: int = PAGES) -> None:
        self._limit = limit
        self._pages: OrderedDict[tuple[ObjectId, int], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pages)

    def add(self, oid: ObjectId, page: int) -> None:
        """Notes a page that was dropped because its checksum was wrong, or because the rest of it did not come."""
        self._pages[oid, page] = None
        if len(self._pages) > self._limit:
            self._pages.popitem(last=False)

    def take(self, oid: ObjectId, pages: Span) -> frozenset[int]:
        """Returns which of `pages` were lost; they are about to be fetched, and forgotten here."""
        if not self._pages:
            return frozenset()
        found = frozenset(page for key, page in self._pages if key == oid and pages.start <= page < pages.end)
        for page in found:
            del self._pages[oid, page]
        return found
