"""Rules that change while a cache path is out are for what it held too, when it is back."""

import asyncio
import errno
from pathlib import Path

import pytest

from regioncache.pages import MIB, Span
from regioncache.store.base import StoreSettings
from regioncache.store.groups import Keep
from regioncache.store.store import Store
from tests.fakes.faulty_disk import FaultyDisk
from tests.fakes.grouping import ByFolder
from tests.fakes.storing import content, meta, oid, put

pytestmark = pytest.mark.anyio


async def test_rules_that_changed_while_a_path_was_out_are_for_what_it_held_too(tmp_path: Path) -> None:
    disk = FaultyDisk(tmp_path / "a")
    store = await Store.open(StoreSettings((disk.path,), size=1 << 34), disk.calls())
    assert await put(store, "a", meta(2 * MIB), Span(0, 2))
    assert await store.pack(oid("b"), meta(3000), content(Span(0, 3000)))
    rules = ByFolder({"a": Keep("rule 0", pinned=True), "b": Keep("rule 1")})
    disk.fails(errno.EIO, "pwritev")
    assert not await put(store, "c", meta(MIB), Span(0, 1))

    store.regroup(rules)
    await store.regrouped()
    disk.heal()
    disk.probe()
    while store.statistics().paths_out:
        await asyncio.sleep(0)
    await store.regrouped()

    entries = {use.keep.name: use.entries for use in store.statistics().groups if use.entries}
    assert entries == {"rule 0": 1, "rule 1": 1}
    await store.close()
    store = await Store.open(StoreSettings((disk.path,), size=1 << 34), disk.calls())
    asked = rules.asked
    store.regroup(rules)
    await store.regrouped()
    assert rules.asked == asked
    assert store.statistics().pinned_bytes > 2 * MIB
    await store.close()
