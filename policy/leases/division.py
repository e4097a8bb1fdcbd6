"""How an office divides what it may lease among the nodes it hears: `shares` over all their leaves, then what is left.

First every leaf by the passes of the policy; what nobody wants goes to leaves that waited, in class order; what then is
left is spread over all nodes, so that demand that begins anywhere finds room at once. Each node has a little always.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from policy.leases.messages import CeilKey, Want
from policy.model import LinePolicy
from policy.shares import ClassShare, Leaf, TenantShare, Tree, shares

STANDING_PART = 0.04
"""Of what is leased is at most what nodes hold without wanting it: less would leave nodes that were idle too little to
go on with when the office is away, more would keep a node that wants all from 95 % of the quota."""
SURE_PART = 0.84
"""Of what a leaf wants that did not wait, 1.25 x its use, is so much certain: 1.05 x its use. If it grows it waits."""
KICK_PART = 0.1
"""Of what is leased is what a leaf that waits is taken to want at least: doubling from there takes 0.4 s."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one node gets, bytes/s."""

    rate: float
    leaves: Mapping[Leaf, float]
    ceils: Mapping[CeilKey, float]


@dataclass(frozen=True, slots=True)
class Limits:
    """A policy at a moment: ceils that windows give to classes (bytes/s), and what the policy says."""

    policy: LinePolicy
    class_ceils: Mapping[str, float]

    def ceils(self, leased: float) -> dict[CeilKey, float]:
        """Returns the ceils that hold anything back, bytes/s."""
        of_tenants = {("tenant", name): tenant.ceil for name, tenant in self.policy.tenants.items()}
        of_classes = {("class", name): ceil for name, ceil in self.class_ceils.items()}
        return {key: ceil for key, ceil in (of_tenants | of_classes).items() if ceil < leased}

    def standing(self, leased: float) -> float:
        """Returns what all nodes together hold without wanting it, bytes/s."""
        interactive = self.policy.classes["interactive"].floor
        return leased * min(STANDING_PART, max(interactive * self.policy.safe, STANDING_PART / 4))


def divide(limits: Limits, leased: float, room: float, wants: Mapping[str, Mapping[Leaf, Want]]) -> dict[str, Part]:
    """Returns each node's part; their sum is `room`.

    Args:
        limits: The policy.
        leased: What the line has to lease altogether, bytes/s.
        room: What there is for these nodes, bytes/s.
        wants: By node and leaf.
    """
    if not wants:
        return {}
    each = min(limits.standing(leased), room) / len(wants)
    idle = {node for node, leaves in wants.items() if sum(want.rate for want in leaves.values()) < each}
    tree = Tree.of(limits.policy, room - each * len(idle), limits.class_ceils)
    demands: dict[Leaf, float] = {}
    waited: dict[Leaf, None] = {}
    # What a leaf asks for beyond its use is lent to others while any waits: a node cannot lend it to another.
    sure = SURE_PART if any(want.waited for leaves in wants.values() for want in leaves.values()) else 1.0
    for node, leaves in wants.items():
        for leaf, want in leaves.items():
            at = Leaf(*tree.home(leaf), f"{leaf.load}\0{node}")
            demands[at] = demands.get(at, 0.0) + (
                max(want.rate, KICK_PART * leased) if want.waited else sure * want.rate
            )
            if want.waited:
                waited[at] = None
    rates = shares(tree, demands)
    for leaf, rate in shares(_left(tree, rates), dict.fromkeys(waited, leased)).items():
        rates[leaf] += rate
    spread = (room - sum(rates.values()) - each * len(idle)) / len(wants)
    by_node: dict[str, dict[Leaf, float]] = {node: {} for node in wants}
    for leaf, rate in rates.items():
        load, _, node = leaf.load.partition("\0")
        by_node[node][replace(leaf, load=load)] = rate
    ceils = _ceils(limits.ceils(leased), by_node)
    return {
        node: Part(max(0.0, sum(leaves.values()) + (each if node in idle else 0.0) + spread), leaves, ceils[node])
        for node, leaves in by_node.items()
    }


def _left(tree: Tree, rates: Mapping[Leaf, float]) -> Tree:
    """What is left when everybody has what it wants or its ceil: for those that waited, by class and weight alone."""
    by_tenant: defaultdict[str, float] = defaultdict(float)
    by_class: defaultdict[str, float] = defaultdict(float)
    for leaf, rate in rates.items():
        by_tenant[leaf.tenant] += rate
        by_class[leaf.cls] += rate
    classes = tuple(ClassShare(item.name, 0.0, max(0.0, item.ceil - by_class[item.name])) for item in tree.classes)
    tenants = {
        name: TenantShare(0.0, max(0.0, tenant.ceil - by_tenant[name]), tenant.weight)
        for name, tenant in tree.tenants.items()
    }
    return Tree(max(0.0, tree.quota - sum(rates.values())), classes, tenants)


def _ceils(
    ceils: Mapping[CeilKey, float], by_node: Mapping[str, Mapping[Leaf, float]]
) -> dict[str, dict[CeilKey, float]]:
    """Each node's part of each ceil: what its leaves have of it, and an equal part of what is left."""
    parts: dict[str, dict[CeilKey, float]] = {node: {} for node in by_node}
    for key, ceil in ceils.items():
        used = {
            node: sum(rate for leaf, rate in leaves.items() if _under(leaf, key)) for node, leaves in by_node.items()
        }
        spare = max(0.0, ceil - sum(used.values())) / len(by_node)
        for node, rate in used.items():
            parts[node][key] = rate + spare
    return parts


def _under(leaf: Leaf, key: CeilKey) -> bool:
    kind, name = key
    return (leaf.tenant if kind == "tenant" else leaf.cls) == name


def fitted(wanted: Mapping[str, float], counted: Mapping[str, float], most: float) -> dict[str, float]:
    """Returns what each may be given so that all that is counted stays within `most`.

    What is wanted below what is counted is given as it is (and frees nothing yet); above it, a part of what is free.

    Args:
        wanted: By node.
        counted: By node, those that want nothing too: what may be in use already.
        most: Of all together.
    """
    growth = {node: max(0.0, want - counted.get(node, 0.0)) for node, want in wanted.items()}
    needed = sum(growth.values())
    part = min(1.0, max(0.0, most - sum(counted.values())) / needed) if needed > 0 else 0.0
    return {node: min(want, counted.get(node, 0.0)) + growth[node] * part for node, want in wanted.items()}


def shrunk(rates: Mapping[str, float], rests: Mapping[str, float], most: float) -> dict[str, float]:
    """Returns rates that leave free what nodes may come to use by themselves, should they take no grant any more.

    Args:
        rates: What each would be given.
        rests: By node, those that are given nothing too: what it may use when all that is given now has run out.
        most: Of all together.
    """
    above = sum(max(0.0, rate - rests.get(node, 0.0)) for node, rate in rates.items())
    room = max(0.0, most - sum(rests.values()))
    if above <= room:
        return dict(rates)
    part = room / above
    return {
        node: min(rate, (rest := rests.get(node, 0.0)) + max(0.0, rate - rest) * part) for node, rate in rates.items()
    }
