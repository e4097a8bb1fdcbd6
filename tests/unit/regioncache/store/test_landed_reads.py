"""What a joiner reads while a run lands is what was written, wherever the batches part."""

from pathlib import Path

import pytest

from regioncache.pages import MIB, Meta, ObjectId, Span, Version
from regioncache.store.base import StoreSettings, WouldBlock
from regioncache.store.store import Store
from tests.fakes.ramp import ramp

pytestmark = pytest.mark.anyio
BLOCK = 65_536


async def test_every_span_below_what_has_landed_is_exactly_what_was_written(tmp_path: Path) -> None:
    store = await Store.open(StoreSettings((tmp_path,), 256 * MIB))
    size = 2 * MIB
    oid, meta = ObjectId(b"b" * 16, "key"), Meta(Version('"v"'), size, '"v"', 0.0, "x", (), 1.0)
    landing = await store.land(oid, meta, MIB, 0, Span(0, 2))
    assert landing is not None

    for at in range(0, size, BLOCK):
        await landing.write(at, memoryview(ramp(at, at + BLOCK)))
        for start in range(0, at + BLOCK, BLOCK):
            for end in {start + 1, start + BLOCK, min(start + 3 * BLOCK, at + BLOCK), at + BLOCK}:
                try:
                    got = landing.read_landed(Span(start, end))
                except WouldBlock:
                    got = await landing.read_landed_later(Span(start, end))
                assert bytes(got) == ramp(start, end)

    await landing.close()
    await store.close()
