"""Random operations on two tiers of which one goes out and comes back: never an older version, never a wrong byte."""

import asyncio
import errno
import shutil
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from regioncache.pages import KIB, MIB, Span, cover
from regioncache.store.base import CorruptPage, PageGone, StoreSettings
from regioncache.store.index import Kind
from regioncache.store.store import Store
from tests.fakes.faulty_disk import FaultyDisk
from tests.fakes.storing import content, meta, oid, packed, put, read, version

T = TypeVar("T")
PAGE = 64 * KIB
SIZES = {"s1": 3000, "s2": 40_000, "x1": 5 * PAGE + 17, "x2": 3 * PAGE}


class DisksMachine(RuleBasedStateMachine):
    """Of each object the model knows the version kept last; None where it was forgotten, or never kept."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="disks-model-"))
        self.runner = asyncio.Runner()
        self.disk = FaultyDisk(self.folder / "a")
        self.store = self.run(self.opened())
        self.newest: dict[str, int] = {}
        self.number = 1

    def run(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        return self.runner.run(awaited())

    async def opened(self) -> Store:
        paths = (self.folder / "a", self.folder / "b")
        chosen = StoreSettings(paths, size=1 << 34, tiers=(0, 1), open_files=2, segment_bytes=MIB)
        return await Store.open(chosen, self.disk.calls())

    def teardown(self) -> None:
        self.disk.heal()
        self.run(self.store.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    @rule(key=st.sampled_from(list(SIZES)), fresh=st.booleans())
    def keep(self, key: str, fresh: bool) -> None:
        if fresh or key not in self.newest:
            self.number += 1
            self.newest[key] = self.number
        number = self.newest[key]
        about = meta(SIZES[key], number, float(number))
        if key.startswith("s"):
            self.run(self.store.pack(oid(key), about, content(Span(0, SIZES[key]), number)))
        else:
            self.run(put(self.store, key, about, cover(Span(0, SIZES[key]), PAGE), PAGE, number))

    @rule(key=st.sampled_from(list(SIZES)))
    def forget(self, key: str) -> None:
        async def forget() -> None:
            self.store.forget(oid(key))

        self.run(forget())
        self.newest.pop(key, None)

    @rule(key=st.sampled_from(list(SIZES)))
    def learn_of_a_newer_version(self, key: str) -> None:
        self.number += 1
        self.newest[key] = self.number
        self.run(self.store.relearn(oid(key), meta(SIZES[key], self.number, float(self.number))))

    @rule(
        number=st.sampled_from([errno.EIO, errno.EROFS]),
        what=st.lists(st.tuples(st.sampled_from(["forget", "keep", "learn", "move"]), st.sampled_from(list(SIZES)))),
    )
    def go_out_and_come_back(self, number: int, what: list[tuple[str, str]]) -> None:
        self.run(self.fail(number))
        for do, key in what:
            if do == "forget":
                self.forget(key)
            elif do == "keep":
                self.keep(key, fresh=len(what) % 2 == 0)
            elif do == "learn":
                self.learn_of_a_newer_version(key)
            elif self.store._index.slots:
                self.move_one(max(self.store._index.slots.values()), reused=True)
            self.what_is_held_is_the_newest_and_right()
        self.run(self.back())

    async def fail(self, number: int) -> None:
        self.disk.fails(number)
        self.store._paths[0].failed(OSError(number, "it failed"))

    async def back(self) -> None:
        self.disk.heal()
        path = self.store._paths[0]
        while path.disk.hangs():
            await asyncio.sleep(0)
        self.disk.probe()
        while path.disk.out is not None or path.returning._task is not None:
            await asyncio.sleep(0)

    @precondition(lambda self: len(self.store._index.slots))
    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        self.move_one(data.draw(st.sampled_from(sorted(self.store._index.slots.values()))), data.draw(st.booleans()))

    def move_one(self, slot: int, reused: bool) -> None:
        paths = self.store._paths
        here = paths[self.store._index.paths[slot]]
        moved = self.run(self.store._moving.move(slot, here, paths[1 - here.number], reused=reused))
        assert moved or paths[0].disk.out is not None

    @rule()
    def restart(self) -> None:
        self.run(self.store.close())
        self.store = self.run(self.opened())
        kinds = [self.store._index.kinds[slot] for slot in self.store._index.slots.values()]
        on_disk = list(self.folder.glob("*/extents/*/*"))
        assert len(on_disk) == sum(kind != Kind.PACKED for kind in kinds)

    @invariant()
    def what_is_held_is_the_newest_and_right(self) -> None:
        for key, size in SIZES.items():
            held = self.store.newest(oid(key))
            if held is None:
                continue
            assert key in self.newest, f"{key} was forgotten"
            number = self.newest[key]
            assert held == version(number)
            self.run(self.look(key, size, number))

    async def look(self, key: str, size: int, number: int) -> None:
        try:
            if key.startswith("s"):
                found = await packed(self.store, key)
                assert found is None or found[1] == content(Span(0, size), number)
                return
            for run in self.store.present(oid(key), version(number), PAGE, cover(Span(0, size), PAGE)):
                span = Span(run.start * PAGE, min(run.end * PAGE, size))
                assert await read(self.store, key, span, number) == content(span, number)
        except CorruptPage as wrong:
            raise AssertionError("a checksum is wrong") from wrong
        except PageGone:
            assert self.store._paths[0].disk.out is not None

    @invariant()
    def the_bytes_add_up(self) -> None:
        index = self.store._index
        for path in self.store._paths:
            mine = [s for s in range(len(index.kinds)) if index.kinds[s] != Kind.FREE and index.paths[s] == path.number]
            assert path.fifo.used == sum(index.links.weight[slot] for slot in mine)
            assert list(path.fifo.held()) == []


TestDisksModel = DisksMachine.TestCase
TestDisksModel.settings = settings(stateful_step_count=15, max_examples=100)
