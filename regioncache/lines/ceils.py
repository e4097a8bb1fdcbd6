"""The most that a tenant, or in a window a class, may take of one direction of a line: a bucket for each ceil.

What falls due for whoever has a ceil is, in any interval T, at most ceil x T + the burst of its bucket.
"""

import math

from policy.bucket import TokenBucket
from policy.shares import Leaf
from regioncache.lines.terms import CLASS, TENANT, Terms


class Ceils:
    """Mutable state: the buckets, by what they hold back. Leaves are those under which the policy serves (homes)."""

    def __init__(self, terms: Terms, now: float) -> None:
        self._buckets: dict[tuple[str, str], TokenBucket] = {}
        self.adopt(terms, now)

    def __repr__(self) -> str:
        return f"<Ceils {self._buckets!r}>"

    def adopt(self, terms: Terms, now: float) -> None:
        """Goes on by other terms: what a ceil that stays has saved or owes stays too."""
        before, self._buckets = self._buckets, {}
        for key, ceil in terms.ceils():
            # Two pieces of burst at least, so that a late timer loses nothing.
            burst = max(2 * terms.piece * terms.overhead, terms.main_burst * ceil / terms.quota)
            bucket = before.get(key)
            if bucket is None:
                bucket = TokenBucket(ceil, burst, now)
            else:
                bucket.set_rate(ceil, burst, now)
            self._buckets[key] = bucket

    def wait(self, leaf: Leaf, nbytes: float, now: float) -> float:
        """Returns the seconds until every ceil above the leaf lets `nbytes` pass."""
        # What is saved up counts for nothing where a lease gives nothing.
        return max([bucket.wait(nbytes, now) if bucket.rate else math.inf for bucket in self._above(leaf)], default=0.0)

    def take(self, leaf: Leaf, nbytes: float, now: float) -> None:
        """The leaf is debited."""
        for bucket in self._above(leaf):
            bucket.take(nbytes, now)

    def give(self, leaf: Leaf, nbytes: float) -> None:
        """The leaf is credited back what it did not use."""
        for bucket in self._above(leaf):
            bucket.give(nbytes)

    def _above(self, leaf: Leaf) -> list[TokenBucket]:
        if not self._buckets:
            return []
        keys = ((TENANT, leaf.tenant), (CLASS, leaf.cls))
        return [bucket for key in keys if (bucket := self._buckets.get(key)) is not None]
