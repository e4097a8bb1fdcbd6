"""What is written is what is read: identities, facts, headers, records, journals and runs of pages."""

import itertools
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from regioncache.pages import EXTENT_BYTES, MIB, Meta, ObjectId, Version
from regioncache.store import facts
from regioncache.store.groups import PLAIN_NUMBER
from regioncache.store.header import (
    START_BYTES,
    BadHeader,
    Identity,
    decode_identity,
    decode_presence,
    encode_identity,
    encode_presence,
    label_of,
    outline_identity,
)
from regioncache.store.identity import extent_digest, object_digest, squeeze, unsqueeze
from regioncache.store.index import mask, runs
from regioncache.store.label import UNKNOWN, Label, decode_age, encode_age
from regioncache.store.record import (
    BadRecord,
    Entry,
    What,
    decode_entries,
    decode_facts,
    decode_record,
    encode_entry,
    encode_record,
)

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
ETAGS = st.one_of(
    TEXT,
    st.from_regex(r'"[0-9a-f]{32}"', fullmatch=True),
    st.from_regex(r'"[0-9a-fA-F ]{32}"', fullmatch=True),
    st.from_regex(r'"[0-9a-f]{32}-[0-9]{1,6}"', fullmatch=True),
)
OIDS = st.builds(
    ObjectId, st.binary(min_size=16, max_size=16), st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
)
METAS = st.builds(
    Meta,
    ETAGS.map(Version),
    st.integers(0, 2**50),
    ETAGS,
    st.floats(0, 2e9),
    TEXT,
    st.lists(st.tuples(TEXT, TEXT), max_size=5).map(tuple),
    st.floats(0, 2e9),
)


@given(ETAGS)
def test_a_squeezed_version_comes_back_exactly(version: str) -> None:
    assert unsqueeze(squeeze(version)) == version


def test_the_versions_of_s3_are_squeezed_small() -> None:
    assert len(squeeze(f'"{"ab" * 16}"')) == 17
    assert len(squeeze(f'"{"ab" * 16}-10000"')) == 19


@given(OIDS, METAS)
def test_facts_come_back(oid: ObjectId, meta: Meta) -> None:
    raw = memoryview(facts.encode(oid, meta))

    assert facts.decode(raw) == (oid, meta)
    assert facts.outline(raw) == (object_digest(oid), meta.version, meta.size, meta.learned_at)


@pytest.mark.parametrize("word", ["a\0b", "\0"])
def test_facts_with_a_nul_are_not_kept(word: str) -> None:
    meta = Meta(Version("v"), 1, "v", 0.0, "t", (("x", word),))

    with pytest.raises(facts.FactsTooLarge):
        facts.encode(ObjectId(b"b" * 16, "k"), meta)


@given(OIDS, METAS, st.integers(0, 2**20), st.sampled_from([65536, MIB, 16 * MIB]))
def test_a_header_comes_back(oid: ObjectId, meta: Meta, extent: int, page_bytes: int) -> None:
    identity = Identity(oid, meta, extent, page_bytes)
    raw = memoryview(encode_identity(identity).ljust(START_BYTES, b"\0"))

    assert decode_identity(raw) == identity
    assert outline_identity(raw) == (extent, page_bytes, facts.outline(memoryview(facts.encode(oid, meta))))


@given(OIDS, METAS, st.data())
def test_no_flipped_bit_in_an_identity_passes(oid: ObjectId, meta: Meta, data: st.DataObject) -> None:
    raw = bytearray(encode_identity(Identity(oid, meta, 3, MIB)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(BadHeader):
        decode_identity(memoryview(raw.ljust(START_BYTES, b"\0")))


@given(st.integers(0, 2**1024 - 1), st.lists(st.tuples(st.integers(0, 1024), st.integers(0, 1024)), max_size=512))
def test_presence_comes_back_from_one_page(bits: int, notes: list[tuple[int, int]]) -> None:
    raw = encode_presence(bits, notes)

    assert len(raw) <= 4096
    assert decode_presence(memoryview(bytes(4096) + raw.ljust(4096, b"\0"))) == (bits, notes)


@given(st.integers(0, 2**70), st.integers(0, 50), st.integers(0, 70))
def test_runs_are_the_ones(bits: int, first: int, count: int) -> None:
    found = runs(bits, first, count)

    pages = [page for run in found for page in range(run.start, run.end)]
    assert pages == [first + at for at in range(count) if bits >> at & 1]
    assert all(one.end < other.start for one, other in itertools.pairwise(found))


def test_a_mask_has_the_bits_of_its_span() -> None:
    assert mask(2, 5) == 0b11100
    assert mask(3, 3) == 0


@given(OIDS, METAS, st.binary(max_size=300))
def test_a_record_comes_back(oid: ObjectId, meta: Meta, data: bytes) -> None:
    head, length = encode_record(oid, meta, data)
    raw = memoryview(head + data)

    assert len(raw) == length
    assert decode_record(raw) == (oid, meta, data)
    assert decode_facts(raw[: len(head)]) == (oid, meta)


@given(OIDS, METAS, st.binary(max_size=300), st.data())
def test_no_flipped_bit_in_a_record_passes(oid: ObjectId, meta: Meta, content: bytes, data: st.DataObject) -> None:
    head, _ = encode_record(oid, meta, content)
    raw = bytearray(head + content)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(BadRecord):
        decode_record(memoryview(raw))


ENTRIES = st.builds(
    Entry,
    st.integers(0, 2**128 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.floats(0, 2e9),
    st.sampled_from(What),
    st.binary(max_size=22),
)
LABELLED = st.builds(
    lambda entry, group, age: replace(entry, label=Label(group, entry.learned_at - age)),
    ENTRIES.map(lambda entry: replace(entry, learned_at=float(int(entry.learned_at)))),
    st.integers(0, 65535),
    st.integers(-4_000_000, 4_000_000),
)


@given(st.lists(ENTRIES | LABELLED, max_size=6), st.integers(0, 63))
def test_a_journal_comes_back_up_to_its_torn_end(entries: list[Entry], torn: int) -> None:
    raw = b"".join(encode_entry(entry) for entry in entries) + b"x" * torn

    found = list(decode_entries(memoryview(raw)))

    assert found == [(e.digest, e.offset, e.length, e.learned_at, e.what, e.version, *_label_read(e)) for e in entries]


def _label_read(entry: Entry) -> tuple[int, float]:
    """A version of more than 17 bytes takes the label's place."""
    if entry.label is None or len(entry.version or b"") > 17:
        return UNKNOWN, entry.learned_at
    return entry.label.group, entry.label.brought


@pytest.mark.parametrize("version", [b"", b"\x01" * 17, b"\x02" * 19, b"\x00" * 22])
def test_a_journal_without_labels_is_read_as_of_the_plain_group(version: bytes) -> None:
    fixed = struct.pack("<16sIIdBB22s", b"d" * 16, 7, 8, 9.5, What.KEPT, len(version), version)
    raw = struct.pack("<Q", xxh3_64_intdigest(fixed)) + fixed

    (line,) = decode_entries(memoryview(raw))

    assert line[:6] == (int.from_bytes(b"d" * 16, "little"), 7, 8, 9.5, What.KEPT, version)
    assert line[6:] == (PLAIN_NUMBER if len(version) <= 17 else UNKNOWN, 9.5)


@given(st.floats(0, 2e9), st.floats(0, 2e9))
def test_when_an_entry_was_brought_comes_back_to_the_second_or_the_minute(learned_at: float, brought: float) -> None:
    found = decode_age(learned_at, encode_age(learned_at, brought))

    apart = abs(learned_at - brought)
    if apart < 48 * 86400:
        assert abs(found - brought) <= 1
    elif apart < 7 * 365 * 86400:
        assert abs(found - brought) <= 61
    else:
        assert abs(learned_at - found) >= 7 * 365 * 86400


@given(st.integers(0, 2**64 - 1), st.integers(0, 970), st.integers(0, 65535))
def test_a_label_comes_back_with_the_presence_it_belongs_to(bits: int, count: int, group: int) -> None:
    notes = [(1, 2)] * count
    raw = encode_presence(bits, notes, Label(group, 1.7e9))
    page = bytearray(bytes(4096) + raw.ljust(4096, b"\1"))

    assert len(raw) <= 4096
    assert label_of(memoryview(page)) == Label(group, 1.7e9)
    assert decode_presence(memoryview(page)) == (bits, notes)

    # An older version writes the presence and leaves what is behind it.
    page[4096 : 4096 + 150] = encode_presence(bits ^ 1, [])[:150].ljust(150, b"\0")
    assert label_of(memoryview(page)) is None


@given(st.lists(ENTRIES, min_size=1, max_size=6), st.data())
def test_a_journal_ends_at_a_flipped_bit(entries: list[Entry], data: st.DataObject) -> None:
    raw = bytearray(b"".join(encode_entry(entry) for entry in entries))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))

    assert len(list(decode_entries(memoryview(raw)))) == at // 64


def test_extents_and_versions_have_hashes_of_their_own() -> None:
    one = object_digest(ObjectId(b"b" * 16, "a"))

    assert extent_digest(one, "v", 0) == one
    assert len({extent_digest(one, version, extent) for version in "vw" for extent in range(1, 100)}) == 2 * 99
    assert object_digest(ObjectId(b"c" * 16, "a")) != one


@pytest.mark.parametrize(
    ("size", "extent", "bytes_there", "pages"),
    [(0, 0, 0, 0), (1, 0, 1, 1), (EXTENT_BYTES + 1, 0, EXTENT_BYTES, 64), (EXTENT_BYTES + 1, 1, 1, 1), (5, 1, 0, 0)],
)
def test_an_extent_has_its_part_of_the_object(size: int, extent: int, bytes_there: int, pages: int) -> None:
    meta = Meta(Version("v"), size, "v", 0.0, "t")
    identity = Identity(ObjectId(b"b" * 16, "k"), meta, extent, MIB)

    assert identity.extent_bytes() == bytes_there
    assert identity.pages() == pages
