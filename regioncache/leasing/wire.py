"""Reports and grants as they go over a stream: to and from the messages of leases.proto, every figure checked.

What the far side sends is not trusted to be in order: a message that no node or office makes is `BadLeaseMessage`.
"""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from policy.leases.messages import NO_LEASE, Ceil, CeilKey, Grant, LeaseId, Report, Safe, Want
from policy.shares import Leaf
from regioncache.errors import CacheError
from regioncache.leasing.proto import leases_pb2 as pb

MOST_LEAVES = 4096
"""Leaves of one report: tenants that a policy lists, times five classes; nobody has so many."""
MOST_SECONDS = 366 * 86400.0
"""The longest duration that a grant may have."""
LONGEST_NAME = 256


class BadLeaseMessage(CacheError):
    """The other side sent what no node or office of this protocol sends; end the stream."""


class Granted(NamedTuple):
    """A grant, and what of the never leased part goes with it: bytes/s and bytes."""

    grant: Grant
    control_rate: float
    control_burst: float


def report_message(report: Report) -> pb.FromNode:
    """Returns the message of a report."""
    message = pb.Report(
        node=report.node,
        process=report.process,
        sent=report.sent,
        wants=[
            pb.LeafRate(leaf=_leaf_message(leaf), rate=want.rate, waited=want.waited)
            for leaf, want in report.wants.items()
        ],
        debited=report.debited,
        held=_lease_message(report.held),
        grant=None if report.grant is None else grant_message(report.grant),
        running=report.running,
        epoch=report.office,
    )
    return pb.FromNode(report=message)


def report_of(message: pb.Report) -> Report:
    """Returns the report in a message; raises BadLeaseMessage."""
    if not message.node or len(message.node) > LONGEST_NAME or len(message.wants) > MOST_LEAVES:
        raise BadLeaseMessage(f"a report names a node and at most {MOST_LEAVES} leaves")
    wants = {_leaf_of(one.leaf): Want(_amount("wants", one.rate), one.waited) for one in message.wants}
    grant = grant_of(message.grant) if message.HasField("grant") else None
    if grant is not None and (grant.node, grant.process) != (message.node, message.process):
        raise BadLeaseMessage(f"node {message.node!r} reports a grant that was made for {grant.node!r}")
    held = _lease_of(message.held) if message.HasField("held") else NO_LEASE
    if (grant.lease if grant is not None else NO_LEASE) != held:
        raise BadLeaseMessage(f"node {message.node!r} reports another lease than the grant that it holds")
    return Report(
        message.node,
        message.process,
        message.epoch,
        _amount("sent", message.sent),
        wants,
        _amount("debited", message.debited),
        held,
        grant,
        message.running and grant is not None,
    )


def grant_message(grant: Grant) -> pb.Grant:
    """Returns the message of a grant."""
    return pb.Grant(
        node=grant.node,
        process=grant.process,
        lease=_lease_message(grant.lease),
        answers=grant.answers,
        rate=grant.rate,
        burst=grant.burst,
        leaves=[pb.LeafRate(leaf=_leaf_message(leaf), rate=rate) for leaf, rate in grant.leaves.items()],
        safe=pb.Safe(rate=grant.safe.rate, burst=grant.safe.burst),
        hold_seconds=grant.hold_seconds,
        static_seconds=grant.static_seconds,
        seconds=grant.seconds,
        ceils=[
            pb.Ceil(kind=kind, name=name, rate=ceil.rate, safe=ceil.safe) for (kind, name), ceil in grant.ceils.items()
        ],
    )


def grant_of(message: pb.Grant) -> Grant:
    """Returns the grant in a message; raises BadLeaseMessage."""
    if len(message.leaves) > MOST_LEAVES or len(message.ceils) > MOST_LEAVES:
        raise BadLeaseMessage(f"a grant has at most {MOST_LEAVES} leaves and ceils")
    return Grant(
        node=message.node,
        process=message.process,
        lease=_lease_of(message.lease),
        answers=_amount("answers", message.answers),
        rate=_amount("rate", message.rate),
        burst=_amount("burst", message.burst),
        leaves=_rates(message.leaves),
        safe=Safe(_amount("safe rate", message.safe.rate), _amount("safe burst", message.safe.burst)),
        hold_seconds=_duration(message.hold_seconds),
        static_seconds=_duration(message.static_seconds),
        seconds=_duration(message.seconds),
        ceils=_ceils(message.ceils),
    )


def answer_message(granted: Granted | None, epoch: int) -> pb.FromOffice:
    """Returns the message of an office: a grant, or only that it lives."""
    if granted is None:
        return pb.FromOffice(epoch=epoch)
    return pb.FromOffice(
        grant=grant_message(granted.grant),
        control_rate=granted.control_rate,
        control_burst=granted.control_burst,
        epoch=epoch,
    )


def answer_of(message: pb.FromOffice) -> Granted | None:
    """Returns the grant in an office's message, None where it has none; raises BadLeaseMessage."""
    if not message.HasField("grant"):
        return None
    control = _amount("control rate", message.control_rate), _amount("control burst", message.control_burst)
    return Granted(grant_of(message.grant), *control)


def _leaf_message(leaf: Leaf) -> pb.Leaf:
    return pb.Leaf(tenant=leaf.tenant, cls=leaf.cls, load=leaf.load)


def _leaf_of(message: pb.Leaf) -> Leaf:
    return Leaf(message.tenant, message.cls, message.load)


def _lease_message(lease: LeaseId) -> pb.LeaseId:
    return pb.LeaseId(office=lease.office, number=lease.number)


def _lease_of(message: pb.LeaseId) -> LeaseId:
    return LeaseId(message.office, message.number)


def _rates(messages: Iterable[pb.LeafRate]) -> Mapping[Leaf, float]:
    return {_leaf_of(one.leaf): _amount("rate of a leaf", one.rate) for one in messages}


def _ceils(messages: Iterable[pb.Ceil]) -> Mapping[CeilKey, Ceil]:
    return {(one.kind, one.name): Ceil(_amount("ceil", one.rate), _amount("safe ceil", one.safe)) for one in messages}


def _amount(what: str, value: float) -> float:
    if not 0 <= value < math.inf:
        raise BadLeaseMessage(f"{what} is a finite number that is not below 0, not {value}")
    return value


def _duration(seconds: float) -> float:
    if not 0 <= seconds <= MOST_SECONDS:
        raise BadLeaseMessage(f"a lease lasts at most a year, not {seconds} s")
    return seconds
