"""Reports and grants over the wire: what arrives is what was sent, and what nobody sends is refused."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.leases.messages import Ceil, Grant, LeaseId, Report, Safe, Want
from policy.shares import Leaf
from regioncache.leasing.proto import leases_pb2 as pb
from regioncache.leasing.wire import (
    BadLeaseMessage,
    Granted,
    answer_message,
    answer_of,
    grant_message,
    grant_of,
    report_message,
    report_of,
)

amounts = st.floats(0, 1e12)
names = st.text("abcxyz-0", max_size=12)
leaves = st.builds(Leaf, names, names, names)
leases = st.builds(LeaseId, st.integers(0, 1 << 60), st.integers(0, 1 << 40))
grants = st.builds(
    Grant,
    node=st.just("cache-1"),
    process=st.just(7),
    lease=leases,
    answers=amounts,
    rate=amounts,
    burst=amounts,
    leaves=st.dictionaries(leaves, amounts, max_size=4),
    safe=st.builds(Safe, amounts, amounts),
    hold_seconds=st.floats(0, 1e6),
    static_seconds=st.floats(0, 1e6),
    seconds=st.floats(0, 100),
    ceils=st.dictionaries(st.tuples(names, names), st.builds(Ceil, amounts, amounts), max_size=3),
)


def over_the_wire(message: pb.FromNode) -> pb.Report:
    return pb.FromNode.FromString(message.SerializeToString()).report


def a_report(grant: Grant | None = None) -> Report:
    held = LeaseId(0, 0) if grant is None else grant.lease
    return Report(
        "cache-1", 7, 3, 12.5, {Leaf("rec", "training"): Want(5.0, True)}, 99.0, held, grant, grant is not None
    )


@given(grants, st.dictionaries(leaves, st.builds(Want, amounts, st.booleans()), max_size=4), amounts, st.booleans())
def test_a_report_arrives_as_it_was_sent(grant: Grant, wants: dict[Leaf, Want], amount: float, running: bool) -> None:
    report = Report("cache-1", 7, 3, amount, wants, amount, grant.lease, grant, running)

    assert report_of(over_the_wire(report_message(report))) == report


def test_the_report_of_a_node_that_was_never_granted_anything_arrives_as_it_was_sent() -> None:
    assert report_of(over_the_wire(report_message(a_report()))) == a_report()


@given(grants, amounts, amounts)
def test_a_grant_arrives_as_it_was_made(grant: Grant, rate: float, burst: float) -> None:
    granted = Granted(grant, rate, burst)

    assert answer_of(pb.FromOffice.FromString(answer_message(granted, 4).SerializeToString())) == granted


def test_an_answer_without_a_grant_says_only_that_the_office_lives() -> None:
    assert answer_of(answer_message(None, 4)) is None


@pytest.mark.parametrize("figure", [math.nan, math.inf, -1.0])
@pytest.mark.parametrize("name", ["rate", "burst", "answers", "hold_seconds", "static_seconds", "seconds"])
def test_a_grant_of_no_finite_amount_is_refused(name: str, figure: float) -> None:
    message = pb.Grant(node="cache-1", process=7, lease=pb.LeaseId(office=1, number=1))
    setattr(message, name, figure)

    with pytest.raises(BadLeaseMessage):
        grant_of(message)


def test_a_report_of_a_grant_that_was_made_for_another_node_is_refused() -> None:
    theirs = Grant("cache-2", 7, LeaseId(1, 1), 0.0, 1.0, 1.0, {}, Safe(), 1.0, 1.0)
    message = pb.Report(
        node="cache-1", process=7, held=pb.LeaseId(office=1, number=1), grant=grant_message(theirs), wants=[]
    )

    with pytest.raises(BadLeaseMessage, match="cache-2"):
        report_of(message)


def test_a_report_that_holds_another_lease_than_its_grant_is_refused() -> None:
    grant = Grant("cache-1", 7, LeaseId(1, 1), 0.0, 1.0, 1.0, {}, Safe(), 1.0, 1.0)
    message = over_the_wire(report_message(a_report(grant)))
    message.held.number = 9

    with pytest.raises(BadLeaseMessage, match="another lease"):
        report_of(message)


def test_a_report_of_nobody_is_refused() -> None:
    with pytest.raises(BadLeaseMessage, match="names a node"):
        report_of(pb.Report(process=7))
