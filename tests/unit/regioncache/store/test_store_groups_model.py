"""Random histories of a small store under changing rules: pins stay, accounts keep their quota, and the sums are right.

A small model says what may be: which group an object is in, and what must still be there since nothing may evict it.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from regioncache.pages import KIB, MIB, Span
from regioncache.store.base import StoreSettings
from regioncache.store.groups import Keep, Priority, Quota
from regioncache.store.store import Store
from tests.fakes.grouping import ByFolder
from tests.fakes.storing import content, meta, oid, version

T = TypeVar("T")
LIMIT = 6 * MIB
PAGE = 64 * KIB
KEYS = st.builds(lambda folder, number: f"{folder}/{number}", st.sampled_from("abc"), st.integers(0, 25))
PRIORITIES: tuple[Priority, ...] = ("low", "normal", "high")
FOLDERS = st.fixed_dictionaries(
    {},
    optional={
        folder: st.builds(
            Keep,
            name=st.sampled_from(["one", "two", "three"]).map(lambda name, folder=folder: f"{folder} {name}"),
            pinned=st.booleans() if folder == "a" else st.just(False),
            ttl=st.sampled_from([None, None, 100.0]),
            quota=st.sampled_from([None, Quota("x", MIB), Quota("y", 2 * MIB)]),
            priority=st.sampled_from(PRIORITIES),
        )
        for folder in "abc"
    },
)


class GroupedStore(RuleBasedStateMachine):
    """Objects of one page as extents and packed ones, by turns of their number."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.now = 1.7e9
        self.rules = ByFolder()
        self.pinned: set[str] = set()
        """What came when its pin was in force, within nine tenths of the path."""
        self.store = self.run(self.opened())

    def run(self, work: Coroutine[None, None, T]) -> T:
        return self.loop.run_until_complete(work)

    async def opened(self) -> Store:
        paths = (self.folder / "0", self.folder / "1")
        return await Store.open(StoreSettings(paths, size=LIMIT // 2, high=0.95, low=0.9), now=lambda: self.now)

    def teardown(self) -> None:
        self.run(self.store.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    async def bring(self, key: str) -> bool:
        number = int(key.partition("/")[2])
        about = meta(200 * KIB if number % 3 else 90 * KIB, learned_at=self.now)
        if number % 2:
            return await self.store.pack(oid(key), about, content(Span(0, about.size)))
        pages = Span(0, -(-about.size // PAGE))
        landing = await self.store.land(oid(key), about, PAGE, 0, pages)
        if landing is None:
            return False
        await landing.write(0, memoryview(content(Span(0, about.size))))
        await landing.close()
        return True

    def is_there(self, key: str) -> bool:
        return bool(self.store.present(oid(key), version(), PAGE, Span(0, 1)))

    @rule(keys=st.lists(KEYS, min_size=1, max_size=12))
    def bring_some(self, keys: list[str]) -> None:
        for key in keys:
            before = self.store.statistics().pinned_bytes
            came = self.run(self.bring(key))
            more = self.store.statistics().pinned_bytes - before
            if came and more > 0:
                self.pinned.add(key)
            elif more < 0:
                # It came again when no more could be pinned.
                self.pinned.discard(key)

    @rule(keys=st.lists(KEYS, min_size=2, max_size=8, unique=True))
    def bring_together(self, keys: list[str]) -> None:
        async def all_at_once() -> None:
            await asyncio.gather(*(self.bring(key) for key in keys))

        self.run(all_at_once())
        # Which of them came within the nine tenths, nobody can say.
        self.pinned.difference_update(keys)

    @rule(folders=FOLDERS)
    def other_rules(self, folders: dict[str, Keep]) -> None:
        self.rules = ByFolder(folders)

        async def regrouped() -> None:
            self.store.regroup(self.rules)
            await self.store.regrouped()

        self.run(regrouped())
        if not folders.get("a", Keep()).pinned:
            self.pinned.clear()

    @rule()
    def restart(self) -> None:
        self.run(self.store.close())
        self.store = self.run(self.opened())

        async def regrouped() -> None:
            self.store.regroup(self.rules)
            await self.store.regrouped()

        self.run(regrouped())

    @rule(seconds=st.sampled_from([1, 60, 101]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        self.run(self.store.sweep())

    @rule(folder=st.sampled_from("abc"))
    def free(self, folder: str) -> None:
        freed = self.run(self.store.free(lambda whose: whose.key.startswith(folder)))
        assert freed.nbytes >= 0

    @invariant()
    def what_is_pinned_is_there(self) -> None:
        assert [key for key in self.pinned if not self.is_there(key)] == []

    @invariant()
    def an_account_has_at_most_its_quota(self) -> None:
        self.run(self.store.sweep())
        for account in self.store.statistics().accounts:
            pinned = sum(
                use.nbytes
                for use in self.store.statistics().groups
                if use.keep.pinned and use.keep.quota is not None and use.keep.quota.account == account.name
            )
            assert account.used <= max(account.limit, pinned)
            assert account.coming == 0

    @invariant()
    def the_sums_are_right(self) -> None:
        statistics = self.store.statistics()
        assert sum(use.nbytes for use in statistics.groups) == statistics.clean_bytes <= LIMIT
        assert sum(use.nbytes for use in statistics.groups if use.keep.pinned) == statistics.pinned_bytes
        assert sum(use.entries for use in statistics.groups) == statistics.packed + statistics.extents
        assert all(amount >= 0 for amount in statistics.gone_bytes.values())


TestGroupedStore = GroupedStore.TestCase
TestGroupedStore.settings = settings(max_examples=10, stateful_step_count=20, deadline=None)
