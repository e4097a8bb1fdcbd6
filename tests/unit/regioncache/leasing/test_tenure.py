"""What an office leaves the next: an epoch that only grows, rosters over crashes, and what is lost is known as lost."""

from pathlib import Path

import pytest

from policy.leases.messages import Holder, Roster, Safe
from regioncache.leasing.tenure import (
    OfficeFile,
    Record,
    SoleTenure,
    TenureUnkept,
    next_epoch,
    parsed,
    plain,
    record_of,
)

pytestmark = pytest.mark.anyio
ROSTER = Roster({"cache-1": Holder(7, Safe(4e6, 4e4)), "cache-2": Holder(9, Safe(4e6, 4e4))})
LINE, DIRECTION = "bj-use1", "idc-bj>aws-use1"
FIRST = 20


def test_a_record_is_read_as_it_was_written() -> None:
    record = Record(5, {DIRECTION: ROSTER})

    assert record_of(plain(record)) == record


def test_a_direction_that_never_had_an_office_has_an_empty_roster() -> None:
    assert Record(5, {}).roster(DIRECTION) == Roster()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"epoch": 3}', '{"epoch": 3, "lost": false, "rosters": {"a": 1}}'])
def test_a_record_that_cannot_be_read_is_one_that_was_lost(text: str) -> None:
    assert parsed(text).roster(DIRECTION) is None


def test_the_epoch_of_a_record_outlives_its_rosters() -> None:
    assert parsed('{"epoch": 3, "lost": false, "rosters": {"a": 1}}').epoch == 3


async def test_each_time_in_office_has_a_higher_epoch_over_restarts(tmp_path: Path) -> None:
    first = await SoleTenure.begin(OfficeFile(tmp_path / "offices"), LINE, 0, FIRST)
    second = await SoleTenure.begin(OfficeFile(tmp_path / "offices"), LINE, 0, FIRST)

    assert 0 < first.record.epoch < second.record.epoch


async def test_an_office_that_was_superseded_goes_on_above_the_epoch_that_nodes_know(tmp_path: Path) -> None:
    tenure = await SoleTenure.begin(OfficeFile(tmp_path / "offices"), LINE, 41, FIRST)

    assert tenure.record.epoch == 42


async def test_a_successor_reads_the_roster_that_was_kept(tmp_path: Path) -> None:
    tenure = await SoleTenure.begin(OfficeFile(tmp_path / "offices"), LINE, 0, FIRST)
    await tenure.keep(tenure.record.with_roster(DIRECTION, ROSTER))

    after = await SoleTenure.begin(OfficeFile(tmp_path / "offices"), LINE, 0, FIRST)

    assert after.record.roster(DIRECTION) == ROSTER


async def test_the_offices_of_two_lines_do_not_mix(tmp_path: Path) -> None:
    file = OfficeFile(tmp_path / "offices")
    one, other = await SoleTenure.begin(file, LINE, 0, FIRST), await SoleTenure.begin(file, "other", 0, FIRST)
    await one.keep(one.record.with_roster(DIRECTION, ROSTER))
    await other.keep(other.record)

    again = OfficeFile(tmp_path / "offices")

    assert again.record(LINE).roster(DIRECTION) == ROSTER
    assert again.record("other").roster(DIRECTION) == Roster()


async def test_where_the_file_is_damaged_every_roster_was_lost(tmp_path: Path) -> None:
    (tmp_path / "offices").write_bytes(b'{"bj-use1": {"epo')

    tenure = await SoleTenure.begin(OfficeFile(tmp_path / "offices"), LINE, 0, FIRST)

    assert tenure.record.roster(DIRECTION) is None


async def test_what_cannot_be_written_is_not_kept(tmp_path: Path) -> None:
    file = OfficeFile(tmp_path / "no such directory" / "offices")

    with pytest.raises(TenureUnkept, match="make room"):
        await SoleTenure.begin(file, LINE, 0, FIRST)

    assert file.record(LINE).epoch == 0


@pytest.mark.parametrize(("known", "above", "epoch"), [(0, 0, 21), (5, 0, 6), (5, 41, 42), (0, 41, 42), (41, 5, 42)])
def test_an_epoch_is_above_all_that_are_known_and_never_begins_anew_at_the_first(
    known: int, above: int, epoch: int
) -> None:
    assert next_epoch(known, above, FIRST) == epoch
