"""A packed object as it lies in a segment, and the journal's 64 bytes about it.

    record   checksum of the facts, magic, lengths, checksum of the data | facts | data
    journal  checksum, object's hash, where, how long, learned at, what happened, version, label

The journal lets a restart find a million objects without reading them; it can always be rebuilt from its segment.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from xxhash import xxh3_64_intdigest

from regioncache.pages import PACKED_BYTES, Meta, ObjectId
from regioncache.store import facts
from regioncache.store.label import UNKNOWN, Label, decode_age, encode_age
from regioncache.store.layout import PREFIX_BYTES, NotOurs, check_prefix, encode_prefix

SEGMENT_MAGIC = b"CWSEGMNT"
SEGMENT_HEAD_BYTES = PREFIX_BYTES + 4
_RECORD = struct.Struct("<Q4sIIQ")  # checksum of what follows up to the data, magic, facts, data, checksum of the data
_RECORD_MAGIC = b"CWRC"
RECORD_BYTES_LIMIT = _RECORD.size + facts.FACTS_LIMIT + PACKED_BYTES
HEAD_BYTES = _RECORD.size + facts.FACTS_LIMIT
"""What holds the facts of any record."""
ENTRY = struct.Struct("<Q16sIIdBB17sHBH")  # ..., group, and the age when it was learned of: low byte, the rest
_WITHOUT_LABEL = struct.Struct("<Q16sIIdBB22s")
LABELLED_ROOM = 17
"""A version up to this leaves room for the label; an ETag has as many."""
VERSION_ROOM = 22
_VERSION_AT = ENTRY.size - VERSION_ROOM
VERSION_ELSEWHERE = 255
"""Length of a version that does not fit: it is read from the record."""


class BadRecord(ValueError):
    """No whole record lies there."""


class What(IntEnum):
    """What a journal entry says of its record."""

    KEPT = 1
    GONE = 2
    LEARNED = 3


Line = tuple[int, int, int, float, int, bytes | None, int, float]
"""A journal's entry as it is read: object's hash, offset, length, learned at, what happened, squeezed version, group,
brought."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a journal."""

    digest: int
    offset: int
    length: int
    learned_at: float
    what: What
    version: bytes | None = None
    label: Label | None = None
    """None: its group is to be looked for, and it was brought when it was learned of."""


def encode_record(oid: ObjectId, meta: Meta, data: bytes | bytearray | memoryview) -> tuple[bytes, int]:
    """Returns what stands before the data, and the record's whole length. Raises FactsTooLarge."""
    about = facts.encode(oid, meta)
    tail = struct.pack("<4sIIQ", _RECORD_MAGIC, len(about), len(data), xxh3_64_intdigest(data)) + about
    return struct.pack("<Q", xxh3_64_intdigest(tail)) + tail, 8 + len(tail) + len(data)


def record_length(raw: memoryview) -> int:
    """Returns the length of the record that begins here. Raises BadRecord."""
    if len(raw) < _RECORD.size:
        raise BadRecord("cut short")
    checksum, magic, about, data, _ = _RECORD.unpack_from(raw)
    end = _RECORD.size + about
    if magic != _RECORD_MAGIC or end > len(raw) or xxh3_64_intdigest(raw[8:end]) != checksum:
        raise BadRecord("damaged")
    length: int = end + data
    return length


def facts_end(raw: memoryview) -> int:
    """Returns where a record's facts end, unchecked; 0 where that cannot be seen."""
    return 0 if len(raw) < _RECORD.size else _RECORD.size + int(_RECORD.unpack_from(raw)[2])


def decode_facts(raw: memoryview, learned_at: float | None = None) -> tuple[ObjectId, Meta]:
    """Reads whose record it is and the facts from the record's beginning, checked. Raises BadRecord."""
    record_length(raw)
    return facts.decode(raw[_RECORD.size :], learned_at)


def decode_record(raw: memoryview, learned_at: float | None = None) -> tuple[ObjectId, Meta, memoryview]:
    """Reads a whole record, checked. Raises BadRecord."""
    if len(raw) < _RECORD.size:
        raise BadRecord("cut short")
    checksum, magic, about, length, data_checksum = _RECORD.unpack_from(raw)
    end = _RECORD.size + about
    data = raw[end:]
    if magic != _RECORD_MAGIC or len(data) != length:
        raise BadRecord("damaged")
    if xxh3_64_intdigest(raw[8:end]) != checksum or xxh3_64_intdigest(data) != data_checksum:
        raise BadRecord("wrong checksum")
    oid, meta = facts.decode(raw[_RECORD.size : end], learned_at)
    return oid, meta, data


def encode_entry(entry: Entry) -> bytes:
    """Returns the journal's 64 bytes."""
    version = entry.version or b""
    length = len(version) if len(version) <= VERSION_ROOM else VERSION_ELSEWHERE
    kept = version if length != VERSION_ELSEWHERE else b""
    digest = entry.digest.to_bytes(16, "little")
    fixed = (0, digest, entry.offset, entry.length, entry.learned_at, entry.what, length, kept)
    if len(kept) > LABELLED_ROOM:
        raw = _WITHOUT_LABEL.pack(*fixed)
    else:
        label = entry.label or Label(UNKNOWN, entry.learned_at)
        age = 0 if label.brought == entry.learned_at else encode_age(entry.learned_at, label.brought)
        raw = ENTRY.pack(*fixed, label.group, age & 0xFF, age >> 8)
    return xxh3_64_intdigest(raw[8:]).to_bytes(8, "little") + raw[8:]


def decode_entries(raw: memoryview) -> Iterator[Line]:
    """Reads a journal up to its first damaged entry, or its torn end; plain tuples, for there are millions."""
    from_bytes = int.from_bytes
    at = 8
    whole = raw[: len(raw) - len(raw) % ENTRY.size]
    for checksum, digest, offset, length, learned_at, what, size, version, group, low, high in ENTRY.iter_unpack(whole):
        if xxh3_64_intdigest(raw[at : at + 56]) != checksum:
            return
        at += 64
        if LABELLED_ROOM < size < VERSION_ELSEWHERE:
            start = at - 8 - ENTRY.size + _VERSION_AT
            known = bytes(raw[start : start + size])
            yield from_bytes(digest, "little"), offset, length, learned_at, what, known, UNKNOWN, learned_at
            continue
        brought = decode_age(learned_at, high << 8 | low) if low or high else learned_at
        kept = None if size == VERSION_ELSEWHERE else version[:size]
        yield from_bytes(digest, "little"), offset, length, learned_at, what, kept, group, brought


def adopted_line(entry: Entry) -> Line:
    """What a journal says of a record that was not in it: how it was kept is not known."""
    return (
        entry.digest, entry.offset, entry.length, entry.learned_at, What.KEPT, entry.version, UNKNOWN, entry.learned_at,
    )  # fmt: skip


def encode_segment_head(number: int) -> bytes:
    """Returns a segment's first bytes."""
    return encode_prefix(SEGMENT_MAGIC) + number.to_bytes(4, "little")


def check_segment_head(raw: memoryview, number: int) -> None:
    """Raises BadRecord for what is no segment of ours, LayoutTooNew for one of a later version."""
    try:
        check_prefix(raw, SEGMENT_MAGIC)
    except NotOurs as error:
        raise BadRecord(str(error)) from error
    if raw[PREFIX_BYTES:] != number.to_bytes(4, "little"):
        raise BadRecord("another segment")
