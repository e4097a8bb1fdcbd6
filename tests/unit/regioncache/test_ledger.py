"""The ledger: counters that outlive a kill, a table that strangers cannot fill, and the ratio finance asks for."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache import ledger as ledgers
from regioncache.ledger import CAPACITY, HOURS, KINDS, Entry, Ledger, LedgerUnreadable

HOUR = 3600.0


class Wall:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def ledger(path: Path, wall: Wall) -> Iterator[Ledger]:
    ledger = Ledger.open(path, wall)
    yield ledger
    ledger.close()


def entry(kind: str = "unique", tenant: str = "rec", bucket: str = "train-bj", line: str = "bj-use1") -> Entry:
    return Entry(line, "idc-bj>aws-use1", tenant, "training", bucket, kind)


def test_what_is_raised_is_in_the_totals(ledger: Ledger) -> None:
    ledger.raise_(entry(), 300)
    ledger.raise_(entry(), 45)
    ledger.raise_(entry(tenant="search"), 7)

    assert ledger.totals() == {entry(): 345, entry(tenant="search"): 7}


def test_lowering_never_goes_below_zero(ledger: Ledger) -> None:
    ledger.raise_(entry(), 300)

    ledger.lower(entry(), 400)

    assert ledger.totals() == {}


def test_moving_keeps_the_sum(ledger: Ledger) -> None:
    ledger.raise_(entry(), 300)

    ledger.move(entry(), "over_read", 100)

    assert ledger.totals() == {entry(): 200, entry("over_read"): 100}


def test_an_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"no kind 'uniqe'; known: unique, refetch"):
        entry("uniqe")


def test_the_file_has_its_blocks_from_the_start_since_a_full_disk_kills_who_writes_to_a_hole(path: Path) -> None:
    with path.open("wb") as sparse:
        sparse.truncate(8 * 1024 * 1024)

    Ledger.open(path).close()

    found = path.stat()
    assert found.st_blocks * 512 >= found.st_size


def test_counters_outlive_a_restart(path: Path, wall: Wall) -> None:
    before = Ledger.open(path, wall)
    before.raise_(entry(), 300)
    before.raise_(entry("retry"), 100)
    before.close()

    after = Ledger.open(path, wall)

    assert after.totals() == {entry(): 300, entry("retry"): 100}
    assert after.once_ratio("bj-use1") == 0.75
    after.close()


def test_counters_outlive_a_kill(path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from regioncache.ledger import Entry, Ledger\n"
        "ledger = Ledger.open(Path(sys.argv[1]))\n"
        "for n in range(1000): ledger.raise_(Entry('l', 'a>b', f't{n % 10}', 'training', 'b', 'unique'), n)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False, env=os.environ | {"PYTHONPATH": "."})

    after = Ledger.open(path)

    assert done.returncode == -signal.SIGKILL
    assert len(after.totals()) == 10
    assert sum(after.totals().values()) == sum(range(1000))
    after.close()


@pytest.mark.parametrize("size", [10, 100, 4096, ledgers._FILE_BYTES - 1, ledgers._FILE_BYTES + 1])
def test_a_ledger_that_lost_its_end_says_how_much(path: Path, size: int) -> None:
    Ledger.open(path).close()
    os.truncate(path, size)

    ledger = Ledger.open(path)

    assert ledger.statistics().lost == max(0, ledgers._FILE_BYTES - size)
    ledger.close()
    again = Ledger.open(path)
    assert again.statistics().lost == 0
    again.close()


def test_torn_records_are_written_again_and_never_what_lies_behind_them(path: Path, wall: Wall) -> None:
    before = Ledger.open(path, wall)
    before.raise_(entry(), 300)
    before.raise_(entry("retry"), 100)
    before.close()
    with path.open("r+b") as file:
        file.seek(ledgers._HEAD_BYTES)
        file.write(b"\x5a" * (ledgers.CAPACITY * ledgers._RECORD_BYTES))

    after = Ledger.open(path, wall)
    for n in range(ledgers.CAPACITY + 10):
        after.raise_(entry(bucket=f"b{n}"), 1)
    ratio = after.once_ratio("bj-use1")
    after.close()
    again = Ledger.open(path, wall)

    assert sum(again.totals().values()) == ledgers.CAPACITY + 10
    assert again.once_ratio("bj-use1") == ratio > 0.9
    again.close()


def test_one_process_owns_a_ledger(path: Path, ledger: Ledger) -> None:
    with pytest.raises(LedgerUnreadable, match="belongs to another process"):
        Ledger.open(path)


def test_a_file_that_is_no_ledger_is_left_alone(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04 something of the operator's")

    with pytest.raises(LedgerUnreadable, match="is not a ledger; move it away"):
        Ledger.open(path)

    assert path.read_bytes().startswith(b"PK")


def test_another_layout_is_refused_with_both_versions(path: Path, wall: Wall) -> None:
    Ledger.open(path, wall).close()
    with path.open("r+b") as file:
        file.seek(8)
        file.write((ledgers.LAYOUT + 1).to_bytes(4, "little"))

    with pytest.raises(LedgerUnreadable, match=r"has layout 2, this version writes 1"):
        Ledger.open(path)


@pytest.mark.parametrize("size", [0, 7, 4096, 5000, 40_000])
def test_a_file_whose_making_was_cut_short_is_made_whole(path: Path, wall: Wall, size: int) -> None:
    path.write_bytes(bytes(size))

    ledger = Ledger.open(path, wall)
    ledger.raise_(entry(), 5)

    assert ledger.totals() == {entry(): 5}
    ledger.close()


def test_a_ledger_that_lost_its_end_keeps_what_is_left(path: Path, wall: Wall) -> None:
    before = Ledger.open(path, wall)
    for n in range(100):
        before.raise_(entry(bucket=f"b{n}"), 1 + n)
    before.close()
    os.truncate(path, 4096 + 512 * 50)

    after = Ledger.open(path, wall)

    assert after.totals() == {entry(bucket=f"b{n}"): 1 + n for n in range(50)}
    after.close()


@given(st.data())
def test_a_torn_record_is_dropped_and_the_others_stay(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("torn") / "ledger"
    before = Ledger.open(path)
    for n in range(5):
        before.raise_(entry(bucket=f"b{n}"), 1 + n)
    before.close()
    torn = data.draw(st.integers(0, 4))
    at = data.draw(st.integers(8, 18 + len(ledgers._names_of(entry(bucket="b0"))) - 1))
    with path.open("r+b") as file:
        file.seek(4096 + 512 * torn + at)
        old = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([old[0] ^ 0x5A]))

    after = Ledger.open(path)
    after.raise_(entry(bucket="new"), 9)

    kept = {entry(bucket=f"b{n}"): 1 + n for n in range(5) if n != torn}
    assert after.totals() == kept | {entry(bucket="new"): 9}
    assert after.statistics().torn == 1
    after.close()


def test_strangers_names_do_not_fill_the_table(ledger: Ledger) -> None:
    for n in range(2 * CAPACITY):
        ledger.raise_(entry(bucket=f"stranger-{n}"), 1)

    ledger.raise_(entry(tenant="late"), 1000)

    totals = ledger.totals()
    assert sum(totals.values()) == 2 * CAPACITY + 1000
    assert totals[entry(tenant="other", bucket="other")] >= 1000
    assert ledger.statistics().entries < CAPACITY


def test_overflow_of_the_overflow_is_still_counted(ledger: Ledger) -> None:
    for n in range(CAPACITY):
        ledger.raise_(entry(bucket=f"stranger-{n}"), 1)
    for n in range(CAPACITY):
        for kind in KINDS:
            ledger.raise_(entry(kind, line=f"line-{n}"), 1)

    assert sum(ledger.totals().values()) == CAPACITY + CAPACITY * len(KINDS)
    assert ledger.statistics().entries <= CAPACITY


@pytest.mark.parametrize("long", ["x" * 500, "界" * 200, "x" * 5000])
def test_names_too_long_for_a_record_are_counted_under_other(ledger: Ledger, long: str) -> None:
    ledger.raise_(entry(bucket=long), 3)
    ledger.raise_(entry(line=long), 4)

    assert sum(ledger.totals().values()) == 7
    assert all(long not in (counted.bucket, counted.line) for counted in ledger.totals())


def test_once_ratio_is_unique_over_all_that_was_brought(ledger: Ledger) -> None:
    for kind, nbytes in {
        "unique": 900,
        "refetch": 40,
        "retry": 30,
        "over_read": 30,
        "meta": 5000,
        "write": 700,
    }.items():
        ledger.raise_(entry(kind), nbytes)

    assert ledger.once_ratio("bj-use1") == 0.9


def test_once_ratio_of_a_line_that_moved_nothing_is_one(ledger: Ledger) -> None:
    assert ledger.once_ratio("bj-use1") == 1.0


def test_once_ratio_is_of_one_line(ledger: Ledger) -> None:
    ledger.raise_(entry("retry"), 10)
    ledger.raise_(entry(line="use1-gpu7"), 10)

    assert ledger.once_ratio("use1-gpu7") == 1.0
    assert ledger.once_ratio("bj-use1") == 0.0


def test_once_ratio_forgets_after_a_day(ledger: Ledger, wall: Wall) -> None:
    ledger.raise_(entry("refetch"), 100)
    wall.now += HOUR
    ledger.raise_(entry(), 300)
    before = ledger.once_ratio("bj-use1")

    wall.now += (HOURS - 1) * HOUR
    after = ledger.once_ratio("bj-use1")

    assert (before, after) == (0.75, 1.0)


def test_once_ratio_remembers_a_whole_day(ledger: Ledger, wall: Wall) -> None:
    ledger.raise_(entry("refetch"), 100)
    ledger.raise_(entry(), 100)

    wall.now += 24 * HOUR - 1

    assert ledger.once_ratio("bj-use1") == 0.5


def test_a_slot_of_yesterday_is_not_counted_into_today(ledger: Ledger, wall: Wall) -> None:
    ledger.raise_(entry("refetch"), 100)

    wall.now += HOURS * HOUR
    ledger.raise_(entry(), 100)

    assert ledger.once_ratio("bj-use1") == 1.0


def test_an_hour_that_only_credits_does_not_break_the_ratio(ledger: Ledger, wall: Wall) -> None:
    ledger.raise_(entry(), 100)
    wall.now += HOUR
    ledger.lower(entry(), 100)

    assert ledger.once_ratio("bj-use1") == 1.0


Deed = tuple[str, str, str, int]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["raise", "lower", "move"]),
            st.sampled_from(KINDS),
            st.sampled_from(KINDS),
            st.integers(0, 1 << 40),
        )
    )
)
def test_the_ledger_equals_a_plain_table(tmp_path_factory: pytest.TempPathFactory, deeds: list[Deed]) -> None:
    path = tmp_path_factory.mktemp("plain") / "ledger"
    ledger, plain = Ledger.open(path), dict.fromkeys(KINDS, 0)
    for deed, kind, to, nbytes in deeds:
        if deed == "raise":
            ledger.raise_(entry(kind), nbytes)
            plain[kind] += nbytes
        elif deed == "lower":
            ledger.lower(entry(kind), nbytes)
            plain[kind] = max(0, plain[kind] - nbytes)
        else:
            ledger.move(entry(kind), to, nbytes)
            plain[kind] = max(0, plain[kind] - nbytes)
            plain[to] += nbytes
    ledger.close()

    after = Ledger.open(path)

    assert after.totals() == {entry(kind): nbytes for kind, nbytes in plain.items() if nbytes}
    after.close()


def test_closing_twice_is_harmless(path: Path) -> None:
    ledger = Ledger.open(path)
    ledger.close()

    ledger.close()
