"""How a line's quota is shared: hierarchical weighted max-min, in the four passes of the line rules.

(1) the floors of the classes, split by tenant weight; (2) each tenant up to its assured rate over all its classes, in
class order, pass 1 counted in; (3) the rest in class order, weighted max-min over tenants; (4) loads inside a tenant
equally. Every pass is limited by demand, ceil and window. Pure: simulator, lease office and tests
use the same function.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType

from policy.model import OTHER, LinePolicy

OTHER_CLASS = "other"
"""Where traffic of an unknown class goes: behind all others, without a floor."""
Home = tuple[str, str]
"""The tenant and the class under which a leaf is served."""
_NONE: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True, order=True)
class Leaf:
    """Who wants room: a class of a tenant, and within it one load (all plain readers are the load "")."""

    tenant: str
    cls: str
    load: str = ""


@dataclass(frozen=True, slots=True)
class ClassShare:
    """A class: bytes/s promised to it, and what it may use at most (a window)."""

    name: str
    floor: float
    ceil: float = math.inf


@dataclass(frozen=True, slots=True)
class TenantShare:
    """A tenant: bytes/s assured over all its classes, bytes/s at most, and its weight beside others."""

    assured: float = 0.0
    ceil: float = math.inf
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Tree:
    """What is shared (bytes/s) among whom: classes in the order in which they are served, tenants by name."""

    quota: float
    classes: tuple[ClassShare, ...]
    tenants: Mapping[str, TenantShare]

    @classmethod
    def of(cls, policy: LinePolicy, quota: float, class_ceils: Mapping[str, float] = _NONE) -> "Tree":
        """Returns the tree of a line.

        Args:
            policy: Its policy; floors are parts of `quota`, all else stands as it is.
            quota: What there is to share now, bytes/s (the policy's, or less).
            class_ceils: What windows allow a class at present, bytes/s.
        """
        ordered = sorted(policy.classes.items(), key=lambda item: item[1].order)
        classes = [ClassShare(name, item.floor * quota, class_ceils.get(name, math.inf)) for name, item in ordered]
        tenants = {
            name: TenantShare(tenant.assured, tenant.ceil, tenant.weight) for name, tenant in policy.tenants.items()
        }
        tenants.setdefault(OTHER, TenantShare())
        return cls(quota, (*classes, ClassShare(OTHER_CLASS, 0.0)), MappingProxyType(tenants))

    def home(self, leaf: Leaf) -> Home:
        """Returns where `leaf` is served: under `other` where the tree does not know its tenant or class."""
        known = any(item.name == leaf.cls for item in self.classes)
        return leaf.tenant if leaf.tenant in self.tenants else OTHER, leaf.cls if known else OTHER_CLASS


def shares(tree: Tree, demands: Mapping[Leaf, float]) -> dict[Leaf, float]:
    """Returns the rate of each leaf, bytes/s.

    The sum is never above the quota, no leaf gets more than its demand, and while any leaf below its ceils has demand
    left the whole quota is given away.

    Args:
        tree: What there is, and for whom.
        demands: Bytes/s that each leaf wants; inf means all it can get.
    """
    loads: dict[Home, list[Leaf]] = {}
    for leaf in demands:
        loads.setdefault(tree.home(leaf), []).append(leaf)
    filling = _Filling(tree, {home: sum(demands[leaf] for leaf in leaves) for home, leaves in loads.items()})
    filling.floors()
    filling.assured()
    filling.rest()
    return {leaf: rate for home, leaves in loads.items() for leaf, rate in _split(filling.has[home], leaves, demands)}


def fill(total: float, caps: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Returns the weighted max-min division of `total`: nobody above its cap, the others in proportion to weight."""
    given = [0.0] * len(caps)
    order = sorted(range(len(caps)), key=lambda at: caps[at] / weights[at], reverse=True)
    # Summed from the far end: taking weights off their sum would leave rounding where a small weight comes last.
    weights_left = list(accumulate(weights[at] for at in order))
    left = total
    while order:
        at = order.pop()
        given[at] = min(caps[at], left, left * weights[at] / weights_left.pop())
        left -= given[at]
    return given


class _Filling:
    """One computation under way: what each (tenant, class) wants still and has, and what room each limit has left."""

    def __init__(self, tree: Tree, wanted: Mapping[Home, float]) -> None:
        self.has = dict.fromkeys(wanted, 0.0)
        self._wants = dict(wanted)
        self._weights = {name: tenant.weight for name, tenant in tree.tenants.items()}
        self._left = tree.quota
        self._classes = [
            (item, homes) for item in tree.classes if (homes := [home for home in wanted if home[1] == item.name])
        ]
        self._class_left = {item.name: item.ceil for item in tree.classes}
        self._tenant_left = {name: tenant.ceil for name, tenant in tree.tenants.items()}
        self._assured_left = {name: tenant.assured for name, tenant in tree.tenants.items()}

    def floors(self) -> None:
        """Pass 1."""
        for item, homes in self._classes:
            self._give(homes, item.floor, [self._tenant_left[tenant] for tenant, _ in homes])

    def assured(self) -> None:
        """Pass 2."""
        for _, homes in self._classes:
            room = [min(self._tenant_left[tenant], self._assured_left[tenant]) for tenant, _ in homes]
            self._give(homes, math.inf, room)

    def rest(self) -> None:
        """Pass 3."""
        for _, homes in self._classes:
            self._give(homes, math.inf, [self._tenant_left[tenant] for tenant, _ in homes])

    def _give(self, homes: Sequence[Home], most: float, room: Sequence[float]) -> None:
        """Divides up to `most` among the tenants of one class, nobody above its `room` nor above what it wants."""
        cls = homes[0][1]
        total = max(0.0, min(most, self._left, self._class_left[cls]))
        caps = [max(0.0, min(self._wants[home], most_here)) for home, most_here in zip(homes, room, strict=True)]
        rates = fill(total, caps, [self._weights[tenant] for tenant, _ in homes])
        for home, rate in zip(homes, rates, strict=True):
            self._wants[home] -= rate
            self.has[home] += rate
            self._left -= rate
            self._class_left[cls] -= rate
            self._tenant_left[home[0]] -= rate
            self._assured_left[home[0]] -= rate


def _split(rate: float, loads: Sequence[Leaf], demands: Mapping[Leaf, float]) -> Iterable[tuple[Leaf, float]]:
    """Pass 4: the loads of one tenant in one class share equally."""
    return zip(loads, fill(rate, [demands[leaf] for leaf in loads], [1.0] * len(loads)), strict=True)
