"""Quota: a line never carries more than its policy says, counted outside the program with timestamps."""

from pathlib import Path

import pytest

from tests.real.conftest import Note
from tests.real.lab.carried import OVERHEAD, QUOTA_TEXT, Carried, carrying
from tests.real.lab.reads import Read, Stage, Thing, stage
from tests.real.lab.regions import policy
from tests.real.lab.unlimited import unlimited

pytestmark = pytest.mark.real
MIB = 1 << 20
READERS = 16
RULES = policy(QUOTA_TEXT, overhead=OVERHEAD)


def read_for(running: Stage, seconds: float) -> Carried:
    """Sixteen readers read cold objects of 4 MiB for so many seconds; checks every byte."""
    things = [Thing(f"{n:04}", 4 * MIB, n % 7) for n in range(int(seconds * 200) + READERS)]
    running.put(things)
    with carrying(running) as carried:
        seen = running.load(running.gets(Read(each, 0, each.size, True) for each in things), READERS, seconds=seconds)
    assert seen.faults == ()
    assert seen.count < len(things), "a reader has read something warm"
    return carried


def test_sixteen_readers_never_exceed_the_quota_in_any_second(tmp_path: Path, note: Note) -> None:
    with stage(tmp_path, RULES) as running:
        carried = read_for(running, 6.0)

    carried.noted("quota of 200 Mbit/s, 6 s", note)
    assert carried.within


def test_without_the_limiter_the_same_readers_exceed_it(tmp_path: Path, note: Note) -> None:
    with stage(tmp_path, RULES, before=unlimited()) as running:
        carried = read_for(running, 3.0)

    carried.noted("the same without a limiter, 3 s", note)
    assert carried.most_in_a_second > carried.bound(1.0)
    assert not carried.within


@pytest.mark.soak
def test_sixteen_readers_get_nine_tenths_of_the_quota_for_20_s(tmp_path: Path, note: Note) -> None:
    with stage(tmp_path, RULES) as running:
        carried = read_for(running, 20.0)

    start = carried.outside.timeline[0][0]
    share = carried.share(start, start + 20.0)
    carried.noted("quota of 200 Mbit/s, 20 s", note)
    note("share of the quota, 20 s", f"{share:.1%}", ">= 90 %")
    assert carried.within
    assert share >= 0.9
