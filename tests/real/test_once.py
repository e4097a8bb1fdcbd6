"""Once: each page of an object crosses the line once, counted outside the program, whatever its readers do."""

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.real.conftest import Note
from tests.real.lab.reads import PAGE, STEP, Read, Stage, Thing, crossed, stage, touched
from tests.real.lab.regions import policy

pytestmark = pytest.mark.real
KIB, MIB = 1 << 10, 1 << 20
READERS = 50
FEW, MANY = (1, 2), tuple(range(1, 11))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("once"), policy("10Gbps")) as running:
        yield running


def some_things(draw: random.Random, prefix: str) -> list[Thing]:
    """Packed ones and paged ones, ends within pages and at their edges, and one of several extents."""
    sizes = [1, 100 * KIB, 256 * KIB, 256 * KIB + 1, MIB - 1, MIB, MIB + 1, 64 * MIB, 70 * MIB + 12_345]
    sizes += [draw.randrange(1, 256 * KIB) for _ in range(6)] + [draw.randrange(256 * KIB, 12 * MIB) for _ in range(10)]
    return [Thing(f"{prefix}/{n:02}", size, n) for n, size in enumerate(sizes)]


def some_reads(draw: random.Random, things: list[Thing], count: int) -> list[Read]:
    """Random ranges of 1 B to 8 MiB, one in ten the object whole."""
    reads = []
    for _ in range(count):
        thing = draw.choice(things)
        start = draw.randrange(thing.size)
        length = min(int(2 ** draw.uniform(0, 23)), thing.size - start)
        whole = draw.random() < 0.1 and thing.size <= 12 * MIB
        reads.append(Read(thing, 0, thing.size, True) if whole else Read(thing, start, start + length))
    return reads


def read_once(pair: Stage, seed: int, note: Note) -> None:
    draw = random.Random(seed)
    things = some_things(draw, f"once-{seed}")
    pair.put(things)
    reads = some_reads(draw, things, 600)
    before, line, origin = pair.kinds(), pair.regions.line, pair.regions.origin
    line.reset()
    origin.reset()

    seen = pair.load(pair.gets(reads), READERS)
    # A reader has its bytes before the page they are of has come whole.
    pair.settle()

    outside, kinds, pages = line.report().payload, pair.kinds() - before, touched(reads)
    note(f"once, seed {seed}", f"{outside} B outside, {dict(kinds)}, {origin.report().payload} B read", f"{pages} B")
    assert seen.faults == ()
    assert seen.count == len(reads)
    assert outside == pages
    assert dict(kinds) == {"unique": pages}
    assert origin.report().payload == pages


def read_with_cancels(pair: Stage, seed: int, note: Note) -> None:
    """One read in five is cut within its first MiB; then all are read again, whole."""
    draw = random.Random(seed)
    things = some_things(draw, f"cut-{seed}")
    # Nobody else waits for these, and more of them remains than an abandoned flight finishes.
    lonely = [Thing(f"cut-{seed}/lonely-{n}", 20 * MIB + n, 100 + n) for n in range(6)]
    pair.put(things + lonely)
    reads = some_reads(draw, things, 119) + [Read(thing, draw.randrange(MIB), thing.size) for thing in lonely]
    draw.shuffle(reads)
    cut = {at for at, read in enumerate(reads) if read.thing in lonely}
    cut |= set(draw.sample(sorted(set(range(len(reads))) - cut), len(reads) // 5 - len(cut)))
    gets = pair.gets(reads)
    with_cuts = [one.cut_after(draw.randrange(min(one.size, MIB))) if at in cut else one for at, one in enumerate(gets)]
    before, line = pair.kinds(), pair.regions.line
    line.reset()

    first = pair.load(with_cuts, READERS)
    pair.settle()
    report, kinds = line.settled(), pair.kinds() - before
    again = pair.load(gets, READERS)
    pair.settle()

    closed = sum(not one.whole for one in report.exchanges)
    ahead, held = crossed(kinds) - report.payload, closed * (report.buffer + STEP)
    most = held + report.unsure
    after = pair.kinds() - before
    over_read = after["over_read"]
    note(
        f"once, {first.cut} of {len(reads)} reads cut, seed {seed}",
        f"{report.payload} B outside, ledger {ahead} B above, {over_read} B over-read",
        f"0 to {most} B above ({closed} connections closed, buffer {report.buffer} B)",
    )
    assert (first.faults, again.faults) == ((), ())
    assert first.cut == len(cut)
    assert 0 <= ahead <= most
    assert over_read <= held + closed * PAGE
    assert after == Counter(unique=touched(reads), over_read=over_read), "a whole page was not kept"


@pytest.mark.parametrize("seed", FEW)
def test_50_readers_of_random_ranges_bring_each_page_over_the_line_once(pair: Stage, seed: int, note: Note) -> None:
    read_once(pair, seed, note)


@pytest.mark.parametrize("seed", FEW)
def test_readers_that_leave_cost_no_more_than_what_their_connections_may_hold(
    pair: Stage, seed: int, note: Note
) -> None:
    read_with_cancels(pair, seed, note)


@pytest.mark.soak
@pytest.mark.parametrize("seed", MANY)
def test_50_readers_bring_each_page_once_whatever_the_seed(pair: Stage, seed: int, note: Note) -> None:
    read_once(pair, seed, note)


@pytest.mark.soak
@pytest.mark.parametrize("seed", MANY)
def test_readers_that_leave_cost_no_more_whatever_the_seed(pair: Stage, seed: int, note: Note) -> None:
    read_with_cancels(pair, seed, note)
