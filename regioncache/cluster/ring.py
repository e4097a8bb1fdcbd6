"""Rendezvous hashing: which member owns an extent. Nodes that see the same members compute the same owners.

Each member draws a number for each place, and the one with the highest score owns it: a member that comes or goes
moves only its own places. Among members of one capacity the numbers themselves are compared; a weight of w scores
w / -ln(number) (Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005), which gives w its share.
"""

import math
from collections.abc import Iterable, Sequence

from xxhash import xxh3_64_digest, xxh3_64_intdigest

from regioncache.cluster.members import Member
from regioncache.pages import ObjectId

_SPACE = float(1 << 52)
"""Draws become fractions with 52 bits: with more of them the highest would be 1, whose logarithm is none."""
WEIGHT_BITS = 7
"""A capacity counts with so many leading bits, 0.8 % at most beside the truth: a file system that measures some bytes
more after a restart moves nothing, and machines of one kind are of one weight, which needs no logarithm."""
_LIST = b"\xff" * 8
"""Stands where an extent has its number: no object has so many."""


def place(oid: ObjectId, extent: int) -> bytes:
    """Returns where an extent lies on every ring, whatever its version: 8 bytes."""
    return xxh3_64_digest(oid.bucket + extent.to_bytes(8, "little") + oid.key.encode("utf-8", "surrogateescape"))


def list_place(bucket: bytes, prefix: str) -> bytes:
    """Returns where the lists of a prefix lie on every ring."""
    return xxh3_64_digest(bucket + _LIST + prefix.encode("utf-8", "surrogateescape"))


def weight(capacity: int) -> int:
    """Returns what a capacity (bytes) counts."""
    cut = max(0, capacity.bit_length() - WEIGHT_BITS)
    return (capacity + (1 << cut >> 1)) >> cut << cut


class Ring:
    """The owners among some members. Built once for each view; nothing in it changes."""

    def __init__(self, members: Iterable[Member]) -> None:
        self.members = tuple(sorted((one for one in members if one.owns), key=lambda one: one.name))
        """Those that own, by name."""
        self._seeds = [xxh3_64_intdigest(one.name.encode("utf-8", "surrogateescape")) for one in self.members]
        self._weights = [weight(one.capacity) for one in self.members]
        drawn = list(zip(self.members, self._seeds, self._weights, strict=True))
        self._kinds = [
            _Kind(part, [(one, seed) for one, seed, own in drawn if own == part]) for part in sorted(set(self._weights))
        ]

    def __len__(self) -> int:
        return len(self.members)

    def owner(self, at: bytes) -> Member | None:
        """Returns who owns a place; None where nobody does."""
        if len(self._kinds) == 1:
            kind = self._kinds[0]
            draws = [xxh3_64_intdigest(at, seed) for seed in kind.seeds]
            return kind.members[draws.index(max(draws))]
        best, owner = 0.0, None
        for kind in self._kinds:
            draws = [xxh3_64_intdigest(at, seed) for seed in kind.seeds]
            draw = max(draws)
            score = _score(kind.weight, draw)
            if score > best:
                best, owner = score, kind.members[draws.index(draw)]
        return owner

    def ranks(self, at: bytes, count: int) -> tuple[Member, ...]:
        """Returns the first `count` members for a place, the owner first; fewer where there are fewer."""
        draws = [xxh3_64_intdigest(at, seed) for seed in self._seeds]
        scores: Sequence[float] = draws if len(self._kinds) == 1 else list(map(_score, self._weights, draws))
        order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
        return tuple(self.members[one] for one in order[:count])

    def shares(self) -> dict[str, float]:
        """Returns the share of all places that each member owns, by name."""
        whole = sum(self._weights)
        return {one.name: part / whole for one, part in zip(self.members, self._weights, strict=True)}


class _Kind:
    """Members of one weight: the highest draw among them has the highest score."""

    def __init__(self, part: int, members: Sequence[tuple[Member, int]]) -> None:
        self.weight = part
        self.members = [one for one, _ in members]
        self.seeds = [seed for _, seed in members]


def _score(part: int, draw: int) -> float:
    return part / -math.log(((draw >> 12) + 0.5) / _SPACE)
