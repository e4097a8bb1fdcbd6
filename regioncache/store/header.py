"""The 16 KiB before an extent's first page, as four pages of 4 KiB, each replaced whole or not at all.

    0     identity and facts, with their checksum: written when the file is made, again when metadata change
    4096  presence bitmap and the runs noted as under way, with their checksum, and the entry's label, with its own:
          written at each whole page
    8192  xxh3_64 of each 64 KiB block: a wrong one shows when its block is read

A killed process leaves each of the first two as it was before or after a write, because one write never crosses a
page of the kernel's cache. A power loss may tear them: then the checksum fails and the extent is dropped.
"""

import struct
from array import array
from dataclasses import dataclass

from xxhash import xxh3_64_intdigest

from regioncache.pages import BLOCK_BYTES, EXTENT_BYTES, Meta, ObjectId
from regioncache.store import facts
from regioncache.store.label import LABEL, Label, decode_label, encode_label
from regioncache.store.layout import PREFIX_BYTES, NotOurs, check_prefix, encode_prefix

MAGIC = b"CWEXTENT"
IDENTITY_AT, PRESENCE_AT, SUMS_AT = 0, 4096, 8192
START_BYTES = SUMS_AT
"""What a restart reads of each file: identity and presence, not the checksums."""
BLOCKS = EXTENT_BYTES // BLOCK_BYTES

_IDENTITY = struct.Struct("<QIII")  # after the prefix: checksum of what follows, extent, page bytes, length of facts
_PREFIX = encode_prefix(MAGIC)
_SUMMED_FROM = PREFIX_BYTES + 8
_FACTS_AT = PREFIX_BYTES + _IDENTITY.size
_PRESENCE = struct.Struct("<QI")  # checksum of what follows, number of notes
_BITMAP_BYTES = BLOCKS // 8
_NOTE_BYTES = 4
_PAGE_BYTES = SUMS_AT - PRESENCE_AT


class BadHeader(ValueError):
    """No header of ours, of an older layout, or damaged: the file is dropped."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose bytes a file holds. `extent` counts from the object's start; a page has `page_bytes`."""

    oid: ObjectId
    meta: Meta
    extent: int
    page_bytes: int

    def extent_bytes(self) -> int:
        """How many bytes of the object lie in this extent."""
        return extent_bytes(self.meta.size, self.extent)

    def pages(self) -> int:
        """How many pages they make."""
        return -(-self.extent_bytes() // self.page_bytes)


def extent_bytes(size: int, extent: int) -> int:
    """How many bytes of an object of `size` bytes lie in the extent."""
    return max(0, min(EXTENT_BYTES, size - extent * EXTENT_BYTES))


def encode_identity(identity: Identity) -> bytes:
    """Returns the first page, unpadded. Raises FactsTooLarge."""
    about = facts.encode(identity.oid, identity.meta)
    tail = struct.pack("<III", identity.extent, identity.page_bytes, len(about)) + about
    return encode_prefix(MAGIC) + struct.pack("<Q", xxh3_64_intdigest(tail)) + tail


def decode_identity(raw: memoryview) -> Identity:
    """Reads the first page. Raises BadHeader, LayoutTooNew."""
    extent, page_bytes, end = _checked(raw)
    oid, meta = facts.decode(raw[_FACTS_AT:end])
    return Identity(oid, meta, extent, page_bytes)


def outline_identity(raw: memoryview) -> tuple[int, int, facts.Outline]:
    """Reads of the first page what the index wants: extent, bytes of a page, facts. Raises BadHeader, LayoutTooNew."""
    extent, page_bytes, end = _checked(raw)
    return extent, page_bytes, facts.outline(raw[_FACTS_AT:end])


def _checked(raw: memoryview) -> tuple[int, int, int]:
    if len(raw) < START_BYTES:
        raise BadHeader("cut short")
    if raw[:PREFIX_BYTES] != _PREFIX:
        try:
            check_prefix(raw, MAGIC)
        except NotOurs as error:
            raise BadHeader(str(error)) from error
    checksum, extent, page_bytes, about = _IDENTITY.unpack_from(raw, PREFIX_BYTES)
    end = _FACTS_AT + about
    if end > PRESENCE_AT or xxh3_64_intdigest(raw[_SUMMED_FROM:end]) != checksum:
        raise BadHeader("damaged identity")
    return extent, page_bytes, end


def encode_presence(bits: int, notes: list[tuple[int, int]], label: Label | None = None) -> bytes:
    """Returns the second page, unpadded. Notes are runs of pages [start, end), counted within the extent."""
    flat = [number for note in notes for number in note]
    tail = struct.pack("<I", len(notes)) + bits.to_bytes(_BITMAP_BYTES, "little") + struct.pack(f"<{len(flat)}H", *flat)
    raw = struct.pack("<Q", xxh3_64_intdigest(tail)) + tail
    # With hundreds of notes there is no room for it: then it is looked for again after a restart.
    return raw if label is None or len(raw) + LABEL.size > _PAGE_BYTES else raw + encode_label(label, raw[:8])


def decode_presence(raw: memoryview) -> tuple[int, list[tuple[int, int]]]:
    """Reads the second page from the header's first 8 KiB. Raises BadHeader."""
    checksum, count = _PRESENCE.unpack_from(raw, PRESENCE_AT)
    bits_at = PRESENCE_AT + _PRESENCE.size
    notes_at = bits_at + _BITMAP_BYTES
    end = notes_at + count * _NOTE_BYTES
    if end > SUMS_AT or xxh3_64_intdigest(raw[PRESENCE_AT + 8 : end]) != checksum:
        raise BadHeader("damaged presence")
    if not count:
        return int.from_bytes(raw[bits_at:notes_at], "little"), []
    flat = struct.unpack_from(f"<{2 * count}H", raw, notes_at)
    return int.from_bytes(raw[bits_at:notes_at], "little"), list(zip(flat[::2], flat[1::2], strict=True))


def label_of(raw: memoryview) -> Label | None:
    """Reads the label from the header's first 8 KiB, whose presence was checked; None where it has none."""
    _, count = _PRESENCE.unpack_from(raw, PRESENCE_AT)
    end = PRESENCE_AT + _PRESENCE.size + _BITMAP_BYTES + count * _NOTE_BYTES
    return decode_label(raw[end:SUMS_AT], raw[PRESENCE_AT : PRESENCE_AT + 8])


def decode_sums(raw: memoryview) -> "array[int]":
    """Reads the checksums of an extent's blocks."""
    sums = array("Q")
    sums.frombytes(raw)
    return sums
