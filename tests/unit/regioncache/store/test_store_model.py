"""Random operations against a small model: what is read is right or refused, what was kept whole is held."""

import asyncio
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from regioncache.pages import EXTENT_BYTES, KIB, MIB, Meta, Span, cover
from regioncache.store.base import PageGone, StoreSettings
from regioncache.store.header import START_BYTES, decode_identity
from regioncache.store.landing import Landing
from regioncache.store.store import Store
from tests.fakes.storing import content, meta, oid, packed, put, read, version

PAGE = 64 * KIB
SIZES = {"small": 3000, "none": 0, "odd": 5 * PAGE + 17, "wide": EXTENT_BYTES + 3 * PAGE + 1}
PLACES = {"small": [0], "none": [0], "odd": [0, 1, 2, 3, 4, 5], "wide": [0, 1, 1022, 1023, 1024, 1025, 1026, 1027]}


class Model:
    """What one object should look like."""

    def __init__(self, about: Meta, number: int) -> None:
        self.about = about
        self.number = number
        self.pages: set[int] = set()
        self.packed = False


class StoreMachine(RuleBasedStateMachine):
    """`size` is never the limit here, so all that was kept whole must be there."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="store-model-"))
        self.runner = asyncio.Runner()
        self.store = self.run(self.opened())
        self.held: dict[str, Model] = {}
        self.time = 1.0
        self.numbers = 1
        self.landings: dict[str, tuple[Landing, Span, Model]] = {}

    def run(self, work):
        return self.runner.run(work)

    def opened(self):
        paths = (self.folder / "a", self.folder / "b")
        return Store.open(StoreSettings(paths, size=1 << 34, open_files=2, segment_bytes=MIB))

    def teardown(self) -> None:
        for landing, _, _ in self.landings.values():
            self.run(landing.close())
        self.run(self.store.close())
        self.runner.close()
        shutil.rmtree(self.folder)

    def about(self, key: str, fresh: bool) -> tuple[Meta, int]:
        self.time += 1
        model = self.held.get(key)
        if model is not None and not fresh:
            return model.about, model.number
        self.numbers += 1
        return meta(SIZES[key], self.numbers, self.time), self.numbers

    @rule(key=st.sampled_from(["small", "none"]), fresh=st.booleans())
    def pack(self, key: str, fresh: bool) -> None:
        about, number = self.about(key, fresh)
        assert self.run(self.store.pack(oid(key), about, content(Span(0, about.size), number)))
        model = self.held[key] = Model(about, number)
        model.packed = True

    @rule(key=st.sampled_from(["odd", "wide"]), data=st.data(), fresh=st.booleans())
    def land(self, key: str, data: st.DataObject, fresh: bool) -> None:
        about, number = self.about(key, fresh and key not in self.landings)
        run = self.a_run(key, data)
        if key in self.landings and _overlap(self.landings[key][1], run):
            return
        assert self.run(put(self.store, key, about, run, PAGE, number))
        model = self.held.get(key)
        if model is None or model.number != number:
            model = self.held[key] = Model(about, number)
        model.pages |= set(range(run.start, run.end))

    def a_run(self, key: str, data: st.DataObject) -> Span:
        start = data.draw(st.sampled_from(PLACES[key]))
        last = cover(Span(0, SIZES[key]), PAGE).end
        border = EXTENT_BYTES // PAGE
        end = data.draw(st.integers(start + 1, min(start + 4, last, border if start < border else last)))
        return Span(start, end)

    @rule(key=st.sampled_from(["odd", "wide"]), data=st.data(), pieces=st.integers(0, 3 * PAGE))
    def begin_landing(self, key: str, data: st.DataObject, pieces: int) -> None:
        if key in self.landings:
            return
        about, number = self.about(key, fresh=False)
        run = self.a_run(key, data)
        landing = self.run(self.store.land(oid(key), about, PAGE, run.start * PAGE // EXTENT_BYTES, run))
        assert landing is not None
        model = self.held.setdefault(key, Model(about, number))
        model.pages -= set(range(run.start, run.end))
        start = run.start * PAGE
        end = min(start + pieces, run.end * PAGE, about.size)
        self.run(landing.write(start, memoryview(content(Span(start, end), number))))
        landed = landing.landed()
        assert bytes(landing.read_landed(Span(start, landed))) == content(Span(start, landed), number)
        self.landings[key] = (landing, Span(start, end), model)
        if end == about.size:
            end += PAGE - 1
        model.pages |= set(range(run.start, end // PAGE))
        self.landings[key] = (landing, run, model)

    @precondition(lambda self: self.landings)
    @rule()
    def end_landing(self) -> None:
        landing, _, _ = self.landings.pop(next(iter(self.landings)))
        self.run(landing.close())

    @rule(key=st.sampled_from(list(SIZES)))
    def forget(self, key: str) -> None:
        async def forget() -> None:
            self.store.forget(oid(key))

        self.run(forget())
        self.held.pop(key, None)

    @rule(key=st.sampled_from(list(SIZES)), words=st.booleans())
    def relearn(self, key: str, words: bool) -> None:
        model = self.held.get(key)
        if model is None:
            return
        self.time += 1
        model.about = replace(model.about, learned_at=self.time)
        if words:
            model.about = replace(model.about, content_type=f"text/{self.time}")
        self.run(self.store.relearn(oid(key), model.about))

    @rule(key=st.sampled_from(list(SIZES)))
    def what_is_older_is_not_kept(self, key: str) -> None:
        model = self.held.get(key)
        if model is None:
            return
        about = meta(SIZES[key], 1, 0.0)
        if SIZES[key] <= 3000:
            assert not self.run(self.store.pack(oid(key), about, content(Span(0, about.size))))
        else:
            assert self.run(self.store.land(oid(key), about, PAGE, 0, Span(0, 1))) is None

    @rule()
    def restart(self) -> None:
        for landing, _, _ in self.landings.values():
            self.run(landing.close())
        self.landings.clear()
        self.run(self.store.close())
        self.store = self.run(self.opened())

    @rule(key=st.sampled_from(["odd", "wide"]), data=st.data())
    def flip_a_bit(self, key: str, data: st.DataObject) -> None:
        model = self.held.get(key)
        if model is None or not model.pages or key in self.landings:
            return
        page = data.draw(st.sampled_from(sorted(model.pages)))
        span = Span(page * PAGE, min((page + 1) * PAGE, SIZES[key]))
        self.spoil(
            key, span.start % EXTENT_BYTES + data.draw(st.integers(0, len(span) - 1)), span.start >= EXTENT_BYTES
        )
        try:
            self.run(read(self.store, key, span, model.number))
        except PageGone:
            model.pages.remove(page)
        else:
            raise AssertionError("a flipped bit was read")

    def spoil(self, key: str, offset: int, tail: bool) -> None:
        """Flips a bit in every extent file that is the object's."""
        self.run(self.settled())
        for path in self.folder.glob("*/extents/*/*"):
            with path.open("r+b") as file:
                identity = decode_identity(memoryview(file.read(START_BYTES)))
                if identity.oid.key == key and (identity.extent == 1) == tail:
                    file.seek(16 * KIB + offset)
                    if byte := file.read(1):
                        file.seek(16 * KIB + offset)
                        file.write(bytes([byte[0] ^ 4]))

    async def settled(self) -> None:
        """Waits until what was dropped is off the disks: it goes behind, and could go between list and open."""
        while any(path.disk.hangs() for path in self.store._paths):
            await asyncio.sleep(0)

    @invariant()
    def what_is_held_is_what_the_model_holds(self) -> None:
        for key, size in SIZES.items():
            model = self.held.get(key)
            if model is None:
                assert self.store.newest(oid(key)) is None
                continue
            assert self.store.newest(oid(key)) == version(model.number)
            assert self.run(self.store.recall(oid(key))) == model.about
            if model.packed:
                assert self.run(packed(self.store, key)) == (model.about, content(Span(0, size), model.number))
                continue
            whole = cover(Span(0, size), PAGE)
            found = self.store.present(oid(key), version(model.number), PAGE, whole)
            assert {page for run in found for page in range(run.start, run.end)} == model.pages
            for run in found:
                span = Span(run.start * PAGE, min(run.end * PAGE, size))
                assert self.run(read(self.store, key, span, model.number)) == content(span, model.number)


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


TestStoreModel = StoreMachine.TestCase
TestStoreModel.settings = settings(stateful_step_count=30)
