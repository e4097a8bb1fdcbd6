"""Amplification: what a read brings over the line is the pages that it touches, however large the object is."""

import random
from collections.abc import Iterator

import pytest

from tests.real.conftest import Note
from tests.real.lab.reads import PAGE, Read, Stage, Thing, stage, touched
from tests.real.lab.regions import BUCKET, policy

pytestmark = pytest.mark.real
KIB, GIB = 1 << 10, 1 << 30


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("amplification"), policy("10Gbps")) as running:
        yield running


def brought_by(pair: Stage, thing: Thing, spans: list[tuple[int, int]], connections: int) -> tuple[int, int, int]:
    """Reads the spans of a sparse object and checks them; returns the payload by line, ledger and origin's line."""
    pair.regions.store.put_sparse(BUCKET, thing.key, thing.size, *spans)
    before = pair.kinds()
    pair.regions.line.reset()
    pair.regions.origin.reset()

    seen = pair.load(pair.gets(Read(thing, *span) for span in spans), connections)
    # A reader has its bytes before the page they are of has come whole.
    pair.settle()

    assert seen.faults == ()
    assert seen.count == len(spans)
    kinds = pair.kinds() - before
    assert set(kinds) == {"unique"}
    return pair.regions.line.report().payload, kinds["unique"], pair.regions.origin.report().payload


def test_5_kib_of_a_10_gib_object_move_one_page(pair: Stage, note: Note) -> None:
    start = 7 * GIB + 300 * KIB

    brought = brought_by(pair, Thing("ten", 10 * GIB, 0), [(start, start + 5 * KIB)], 1)

    note("amplification, 5 KiB of 10 GiB", f"{brought[0]} B outside", f"{PAGE} B")
    assert brought == (PAGE, PAGE, PAGE)


def test_a_thousand_ranges_of_a_1_gib_object_move_the_pages_they_touch(pair: Stage, note: Note) -> None:
    draw, thing = random.Random(1), Thing("one", GIB, 0)
    starts = [draw.randrange(GIB - 64 * KIB) for _ in range(1000)]
    spans = [(start, start + 64 * KIB) for start in starts]
    pages = touched(Read(thing, *span) for span in spans)

    brought = brought_by(pair, thing, spans, 16)

    note("amplification, 1,000 x 64 KiB of 1 GiB", f"{brought[0]} B outside", f"{pages} B ({pages // PAGE} pages)")
    assert brought == (pages, pages, pages)
