"""The first 16 bytes of every file of the store, the same in every layout: what it is, its layout, their checksum.

They alone decide whether a file is of a later version, so that a flipped bit is not taken for one.
"""

import struct

from xxhash import xxh3_64_intdigest

from regioncache.store.base import LAYOUT, LayoutTooNew

_PREFIX = struct.Struct("<8sII")
PREFIX_BYTES = _PREFIX.size


class NotOurs(ValueError):
    """No file of ours, one of an older layout, or a damaged one: it is dropped."""


def encode_prefix(magic: bytes, layout: int = LAYOUT) -> bytes:
    """Returns the first bytes of a file; `magic` has eight."""
    return _PREFIX.pack(magic, layout, _checksum(magic, layout))


def check_prefix(raw: memoryview, magic: bytes) -> None:
    """Raises NotOurs, LayoutTooNew."""
    if len(raw) < PREFIX_BYTES:
        raise NotOurs("cut short")
    found, layout, checksum = _PREFIX.unpack_from(raw)
    if found != magic or checksum != _checksum(found, layout):
        raise NotOurs("damaged, or another program's")
    if layout > LAYOUT:
        raise LayoutTooNew(f"it has layout {layout}, this version knows up to {LAYOUT}")
    if layout != LAYOUT:
        raise NotOurs(f"of layout {layout}")


def _checksum(magic: bytes, layout: int) -> int:
    return xxh3_64_intdigest(magic + layout.to_bytes(4, "little")) & 0xFFFFFFFF
