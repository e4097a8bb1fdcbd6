"""What is put into the store comes out of it again: the same bytes, or nothing."""

from pathlib import Path

import pytest

from regioncache.pages import EXTENT_BYTES, KIB, MIB, Meta, ObjectId, Span, Version
from regioncache.store.base import StoreSettings, WouldBlock
from regioncache.store.store import Store

pytestmark = pytest.mark.anyio
RAMP = bytes(range(251)) * (2 * MIB // 251 + 2)


def ramp(span: Span) -> bytes:
    return RAMP[span.start % 251 : span.start % 251 + len(span)]


def meta(size: int, version: str = '"0123456789abcdef0123456789abcdef"', learned_at: float = 1.0) -> Meta:
    return Meta(Version(version), size, version, 5.0, "text/plain", (("x-amz-meta-a", "b"),), learned_at)


OID = ObjectId(b"b" * 16, "dir//key")


async def put(store: Store, oid: ObjectId, about: Meta, pages: Span, page_bytes: int = MIB) -> None:
    extent = pages.start * page_bytes // EXTENT_BYTES
    landing = await store.land(oid, about, page_bytes, extent, pages)
    assert landing is not None
    at, end = pages.start * page_bytes, min(pages.end * page_bytes, about.size)
    while at < end:
        step = min(100 * KIB, end - at)
        await landing.write(at, memoryview(ramp(Span(at, at + step))))
        at += step
    await landing.close()


async def read(store: Store, oid: ObjectId, version: Version, span: Span) -> bytes:
    try:
        return bytes(store.read_now(oid, version, span))
    except WouldBlock:
        return bytes(await store.read(oid, version, span))


async def test_a_landed_page_is_read_back(tmp_path: Path) -> None:
    store = await Store.open(StoreSettings((tmp_path,), size=1 << 30))
    about = meta(3 * MIB + 17)

    await put(store, OID, about, Span(1, 4))

    assert store.present(OID, about.version, MIB, Span(0, 4)) == [Span(1, 4)]
    assert await read(store, OID, about.version, Span(MIB + 5, 2 * MIB)) == ramp(Span(MIB + 5, 2 * MIB))
    assert await read(store, OID, about.version, Span(3 * MIB, 3 * MIB + 17)) == ramp(Span(3 * MIB, 3 * MIB + 17))
    await store.close()


async def test_a_restart_finds_what_was_landed_and_packed(tmp_path: Path) -> None:
    store = await Store.open(StoreSettings((tmp_path,), size=1 << 30))
    about, small, far = meta(3 * MIB + 17), ObjectId(b"b" * 16, "small"), ObjectId(b"b" * 16, "far")
    await put(store, OID, about, Span(1, 4))
    await put(store, far, meta(EXTENT_BYTES + 2 * MIB), Span(64, 65))
    assert await store.pack(small, meta(3000), ramp(Span(0, 3000)))
    await store.close()

    store = await Store.open(StoreSettings((tmp_path,), size=1 << 30))

    assert store.present(OID, about.version, MIB, Span(0, 4)) == [Span(1, 4)]
    assert await store.recall(OID) == about
    assert await store.packed(small) == (meta(3000), ramp(Span(0, 3000)))
    assert store.packed_now(small) == (meta(3000), ramp(Span(0, 3000)))
    assert await store.recall(far) == meta(EXTENT_BYTES + 2 * MIB)
    assert store.present(far, about.version, MIB, Span(0, 66)) == [Span(64, 65)]
    assert store.statistics().extents == 3
    await store.close()
