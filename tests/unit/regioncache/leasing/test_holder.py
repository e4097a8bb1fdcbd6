"""What a node holds of a line, put to the line: lease, hold, safe rate, nothing, and what people are told of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from policy.leases.messages import Ceil, Grant, LeaseId, Safe
from policy.shares import Leaf
from regioncache.leasing.holder import PATIENCE_SECONDS, Leaseholder
from regioncache.leasing.wire import Granted
from regioncache.ledger import Ledger
from regioncache.lines.line import Line
from tests.fakes.alarms import Alarms
from tests.fakes.hearing import Heard
from tests.fakes.scheduling import policy

REC = Leaf("rec", "training")
OFFICE = 3


@dataclass
class Node:
    line: Line
    holder: Leaseholder
    alarms: Alarms
    heard: Heard

    def pass_(self, seconds: float) -> None:
        self.alarms._now += seconds
        self.holder.look()

    def granted(
        self, rate: float = 8e6, number: int = 1, office: int = OFFICE, process: int = 7, **more: object
    ) -> bool:
        said: dict[str, object] = {
            "safe": Safe(2e6, 2e4), "hold_seconds": 30.0, "static_seconds": 3600.0, "leaves": {REC: rate}, **more
        }  # fmt: skip
        self.holder.report(office)
        grant = Grant(
            "cache-1", process, LeaseId(office, number), self.alarms(), rate, 8e4, **said  # type: ignore[arg-type]
        )  # fmt: skip
        return self.holder.hear(Granted(grant, 50_000.0, 5_000.0))

    @property
    def now(self) -> tuple[float, float, str]:
        allowed = self.line.allowed
        assert allowed is not None
        return allowed.rate, allowed.control_rate, self.holder.statistics().state


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    alarms, heard, ledger = Alarms(), Heard(), Ledger.open(tmp_path / "ledger")
    line = Line("bj-use1", "idc-bj>aws-use1", policy(), ledger, alarms, later=alarms.later, leased=True)
    holder = Leaseholder(line, "cache-1", "idc-bj", alarms, lambda: 1_795_995_795.0 + alarms(), heard.tidings())
    holder.restart(7)
    yield Node(line, holder, alarms, heard)
    ledger.close()


def test_a_grant_is_put_to_the_line_with_the_nodes_part_of_what_is_never_leased(node: Node) -> None:
    assert node.granted(ceils={("tenant", "rec"): Ceil(1e6, 2e5)})

    allowed = node.line.allowed
    assert allowed is not None
    assert (allowed.rate, allowed.burst, allowed.leaves) == (8e6, 8e4, {REC: 8e6})
    assert (allowed.control_rate, allowed.control_burst) == (50_000.0, 5_000.0)
    assert allowed.ceils == {("tenant", "rec"): 1e6}
    assert allowed.silence == ""


def test_what_is_held_goes_from_lease_to_hold_to_the_safe_rate_to_nothing(node: Node) -> None:
    node.granted(rate=1e6)
    seen = [node.now]
    for seconds in (10.0, 30.0, 3600.0):
        node.pass_(seconds)
        seen.append(node.now)

    assert seen == [(1e6, 5e4, "leased"), (1e6, 5e4, "hold"), (2e6, 5e4, "static"), (0.0, 0.0, "over")]


def test_in_the_silence_of_the_office_prefetch_and_backfill_have_nothing(node: Node) -> None:
    node.granted()
    node.pass_(10.0)

    allowed = node.line.allowed
    assert allowed is not None
    assert {key: rate for key, rate in allowed.ceils.items() if rate == 0} == {
        ("class", "prefetch"): 0.0,
        ("class", "backfill"): 0.0,
    }


def test_a_lower_office_is_refused(node: Node) -> None:
    node.granted(rate=1e6)

    assert not node.granted(rate=9e6, number=99, office=OFFICE - 1)
    assert node.now[0] == 1e6


def test_what_was_granted_to_a_former_process_of_the_name_is_refused(node: Node) -> None:
    assert not node.granted(process=6)
    assert node.now[0] == 0


def test_who_goes_on_as_another_process_gives_up_what_it_held_first(node: Node) -> None:
    node.granted()

    node.holder.restart(8)

    assert node.now[0] == 0
    assert node.holder.report(OFFICE).grant is None


def test_before_a_first_lease_nobody_is_told_to_come_again_for_a_moment(node: Node) -> None:
    allowed = node.line.allowed
    assert allowed is not None
    assert allowed.silence == ""

    node.pass_(PATIENCE_SECONDS)

    allowed = node.line.allowed
    assert allowed is not None
    assert "the lease office of line bj-use1 (in idc-bj) is silent since" in allowed.silence


def test_an_office_that_speaks_and_grants_nothing_is_not_called_silent(node: Node) -> None:
    node.holder.hear(None)
    node.pass_(PATIENCE_SECONDS)

    allowed = node.line.allowed
    assert allowed is not None
    assert allowed.silence == "the lease office of line bj-use1 (in idc-bj) has granted nothing yet"


def test_people_are_told_once_of_each_change(node: Node) -> None:
    node.granted()
    for _ in range(20):
        node.pass_(1.0)
    node.granted(number=2)
    node.granted(number=3)

    assert len(node.heard.warnings) == 1
    assert re.search(r"silent since 2026-.* UTC: this node goes on at 16 Mbit/s for \d+ s", node.heard.warnings[0])
    assert node.heard.news == ["the lease office of line bj-use1 (in idc-bj) grants this node room"] * 2


def test_the_end_of_all_that_was_granted_is_told(node: Node) -> None:
    node.granted()
    for seconds in (10.0, 30.0, 3600.0):
        node.pass_(seconds)

    assert "is refused until it speaks" in node.heard.warnings[-1]


def test_each_stretch_counts_by_its_own_rate_however_late_it_is_looked_at(node: Node) -> None:
    node.granted(rate=1e6)

    node.pass_(10.0 + 30.0 + 3600.0 + 5.0)

    assert node.now == (0.0, 0.0, "over")


def test_after_the_end_nothing_is_put_to_the_line_any_more(node: Node) -> None:
    node.granted()
    node.holder.end("this node stops")

    node.granted(number=2)

    allowed = node.line.allowed
    assert allowed is not None
    assert (allowed.rate, allowed.silence) == (0.0, "this node stops")


def test_why_the_office_is_not_reached_is_said_once_where_it_lasts(node: Node) -> None:
    node.holder.complain("nobody says where it is")
    node.pass_(PATIENCE_SECONDS + 0.1)
    for why in ("nobody says where it is", "nobody says where it is", "it refuses us"):
        node.holder.complain(why)

    said = [text for text in node.heard.warnings if text.startswith("line bj-use1: ")]

    assert said == ["line bj-use1: nobody says where it is", "line bj-use1: it refuses us"]
