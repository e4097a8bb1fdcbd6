"""What a node holds of its lines and which offices it has, for status and metrics. Nothing of gRPC is loaded."""

import math
from typing import TYPE_CHECKING

from gateway.admin.wayanswers import LeaseStatus
from gateway.metrics import LeaseSample
from namespace.model import Topology
from policy.units import show_rate
from regioncache.app import CacheApp

if TYPE_CHECKING:
    from regioncache.leasing.holder import LeaseStatistics

STATES = {"leased": 3, "hold": 2, "static": 1}
"""As the metric tells them; all else is nothing, 0."""
SILENT_SECONDS = 3.0
"""Before that a silence is a stream that is made anew."""


def leases(app: CacheApp) -> tuple[tuple[str, LeaseStatus], ...]:
    """Returns what the node holds, by line; nothing where it is alone."""
    leasing = app.leasing
    if leasing is None:
        return ()
    return tuple((name, _status(held, leasing.fault(name))) for name, held in leasing.statistics().items())


def offices(app: CacheApp) -> tuple[tuple[str, int], ...]:
    """Returns the lines whose office the node has now, with its epoch."""
    return () if app.leasing is None else tuple((name, office.epoch) for name, office in app.leasing.offices().items())


def lease_sample(app: CacheApp, line: str) -> LeaseSample | None:
    """Returns what the metrics tell of one line."""
    held = None if app.leasing is None else app.leasing.statistics().get(line)
    if held is None:
        return None
    return LeaseSample(STATES.get(held.state, 0), held.rate, held.safe, held.epoch, held.silent_seconds)


def lease_faults(app: CacheApp) -> list[str]:
    """Returns what an operator should look at: offices that are silent, and what that costs."""
    found = []
    for name, lease in leases(app):
        if lease.silent_seconds > SILENT_SECONDS:
            left = f"goes on at {show_rate(lease.rate)}" if lease.rate else "brings nothing"
            why = f": {lease.fault}" if lease.fault else ""
            found.append(f"line {name}: its lease office in {lease.office_region} is silent, the node {left}{why}")
    return found


def shut_offices(topology: Topology, own: str) -> list[str]:
    """Returns what a node without a control port lacks, by line: several nodes share it, and this is to be its office.

    Args:
        topology: In force.
        own: The node's region.
    """
    found = []
    for name, line in topology.lines.items():
        if own not in line.between or topology.office_region(line, own) != own:
            continue
        far = next(end for end in line.between if end != own)
        if line.office == own or len(topology.regions[far].nodes) > 1:
            found.append(
                f"line {name}: this node is to be its lease office, and has no control port: nodes of {far} that share"
                " the line get nothing of it. Give `listen.control` in node.yaml an address that they reach, and start"
                " the node again"
            )
    return found


def _status(held: "LeaseStatistics", fault: str) -> LeaseStatus:
    left = None if held.left_seconds == math.inf else held.left_seconds
    return LeaseStatus(
        held.state, held.rate, held.safe, held.office, held.office_region, held.epoch, held.silent_seconds, left, fault
    )
