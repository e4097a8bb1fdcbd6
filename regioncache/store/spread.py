"""Which of several disks has an entry: rendezvous hashing weighted by their size. One taken out moves only its own."""

import math
from collections.abc import Sequence
from typing import Protocol, TypeVar

from xxhash import xxh3_64_intdigest


class Sized(Protocol):
    """A cache path, as far as its share of the entries goes."""

    number: int
    limit_bytes: int


P = TypeVar("P", bound=Sized)


def best_of(paths: Sequence[P], digest: int) -> P | None:
    """Returns the path for the entry of this hash; None where there is no path."""
    if len(paths) < 2:
        return paths[0] if paths else None
    raw = digest.to_bytes(16, "little")

    def score(path: P) -> float:
        chance: float = (xxh3_64_intdigest(raw, path.number) + 1) / (2**64 + 2)
        return -path.limit_bytes / math.log(chance)

    return max(paths, key=score)
