"""What lies on disk beside each entry of how it is kept: the number of its group, and when it was last brought.

Both stand where older files of the same layout have zeros: those are of the plain group, brought when learned.
"""

import struct
from typing import NamedTuple

from xxhash import xxh3_64_intdigest

UNKNOWN = 0xFFFF
"""Written instead of a group's number where the group is to be looked for again."""
LABEL = struct.Struct("<QdH")  # checksum, brought, group
_MINUTES = 1 << 22
_EARLIER = 1 << 23
_MOST = _MINUTES - 1


class Label(NamedTuple):
    """A group's number, and seconds since the epoch. A named tuple: a start makes many."""

    group: int
    brought: float


def encode_label(label: Label, beside: bytes) -> bytes:
    """Returns the label as it stands behind the `beside` bytes, which it belongs to."""
    about = struct.pack("<dH", label.brought, label.group)
    return struct.pack("<Q", xxh3_64_intdigest(about, int.from_bytes(beside, "little"))) + about


def decode_label(raw: memoryview, beside: memoryview) -> Label | None:
    """Reads the label that belongs to the `beside` bytes; None where there is none."""
    if len(raw) < LABEL.size:
        return None
    checksum, brought, group = LABEL.unpack_from(raw)
    if xxh3_64_intdigest(raw[8 : LABEL.size], int.from_bytes(beside, "little")) != checksum:
        return None
    return Label(group, brought)


def encode_age(learned_at: float, brought: float) -> int:
    """Returns in 24 bits how long before (or after) it was learned of an entry was brought: to the second up to 48
    days, to the minute up to 7 years, and never more."""
    seconds = round(abs(learned_at - brought))
    word = seconds if seconds < _MINUTES else min(seconds // 60, _MOST) | _MINUTES
    return word | _EARLIER if learned_at < brought else word


def decode_age(learned_at: float, word: int) -> float:
    """Returns when the entry was brought."""
    seconds = (word & _MOST) * (60 if word & _MINUTES else 1)
    return learned_at + seconds if word & _EARLIER else learned_at - seconds
