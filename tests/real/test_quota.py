"""Quota: a line never carries more than its policy says, counted outside the program with timestamps."""

from pathlib import Path

import pytest

from tests.real.conftest import Note
from tests.real.lab.carried import OVERHEAD, QUOTA_TEXT, Carried, carrying
from tests.real.lab.load import Get
from tests.real.lab.reads import Read, Stage, Thing, stage
from tests.real.lab.regions import policy
from tests.real.lab.unlimited import unlimited

pytestmark = pytest.mark.real
MIB = 1 << 20
READERS = 16
RULES = policy(QUOTA_TEXT, overhead=OVERHEAD)


def cold(running: Stage, seconds: float) -> list[Get]:
    """Reads of objects of 4 MiB that nobody has read, more than a line of the quota brings in so many seconds."""
    things = [Thing(f"{n:04}", 4 * MIB, n % 7) for n in range(int(seconds * 200) + READERS)]
    running.put(things)
    return running.gets(Read(each, 0, each.size, True) for each in things)


def read_for(running: Stage, seconds: float) -> Carried:
    """Sixteen readers read what is cold for so many seconds; checks every byte."""
    gets = cold(running, seconds)
    with carrying(running) as carried:
        seen = running.load(gets, READERS, seconds=seconds)
    assert seen.faults == ()
    assert seen.count < len(gets), "a reader has read something warm"
    return carried


def test_sixteen_readers_never_exceed_the_quota_in_any_second(tmp_path: Path, note: Note) -> None:
    with stage(tmp_path, RULES) as running:
        carried = read_for(running, 6.0)

    carried.noted("quota of 200 Mbit/s, 6 s", note)
    assert carried.within


def test_without_the_limiter_the_same_readers_exceed_it(tmp_path: Path, note: Note) -> None:
    with stage(tmp_path, RULES, before=unlimited()) as running:
        gets, line = cold(running, 3.0), running.regions.line
        # A busy machine takes its time; in some second of a minute it brings more than the quota.
        with carrying(running) as carried, running.loading(gets, READERS, seconds=60.0) as readers:
            while line.report().most_in(1.0) * OVERHEAD <= carried.bound(1.0):
                readers.process.check()

    carried.noted("the same without a limiter", note)
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
