"""How a line's quota is shared: hierarchical weighted max-min, in the four passes of the line rules.

(1) the floors of the classes, split by tenant weight; (2) each tenant up to its assured rate over all its classes, in
class order, pass 1 counted in; (3) the rest in class order, weighted max-min over tenants; (4) loads inside a tenant
equally. Every pass is limited by demand, ceil and window. Pure: simulator, lease office and tests
use the same function.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from policy.model import OTHER, LinePolicy

OTHER_CLASS = "other"
"""Where traffic of an unknown class goes: behind all others, without a floor."""
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

    def home(self, leaf: Leaf) -> tuple[str, str]:
        """Returns the tenant and class under which `leaf` is served: `other` where the tree does not know its own."""
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
    loads: dict[tuple[str, str], list[Leaf]] = {}
    for leaf in demands:
        loads.setdefault(tree.home(leaf), []).append(leaf)
    wanted = {home: sum(demands[leaf] for leaf in leaves) for home, leaves in loads.items()}
    filling = _Filling(tree, wanted)
    filling.floors()
    filling.assured()
    filling.rest()
    return dict(filling.split_among_loads(loads, demands))


def fill(total: float, caps: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Returns the weighted max-min division of `total`: nobody above its cap, the others in proportion to weight."""
    given = [0.0] * len(caps)
    left, weight_left = total, sum(weights)
    for index in sorted(range(len(caps)), key=lambda at: caps[at] / weights[at]):
        part = left * weights[index] / weight_left if weight_left > 0 else left
        given[index] = max(0.0, min(caps[index], part))
        left -= given[index]
        weight_left -= weights[index]
    return given


class _Filling:
    """One computation under way: what each (tenant, class) wants still and has, and what room each limit has left."""

    def __init__(self, tree: Tree, wanted: Mapping[tuple[str, str], float]) -> None:
        self._tree = tree
        self._wants = dict(wanted)
        self._has = dict.fromkeys(wanted, 0.0)
        self._left = tree.quota
        self._class_left = {item.name: item.ceil for item in tree.classes}
        self._tenant_left = {name: tenant.ceil for name, tenant in tree.tenants.items()}
        self._assured_left = {name: tenant.assured for name, tenant in tree.tenants.items()}

    def floors(self) -> None:
        """Pass 1."""
        for item in self._tree.classes:
            self._give(item.name, item.floor, self._tenant_left)

    def assured(self) -> None:
        """Pass 2."""
        for item in self._tree.classes:
            room = {name: min(left, self._assured_left[name]) for name, left in self._tenant_left.items()}
            self._give(item.name, math.inf, room)

    def rest(self) -> None:
        """Pass 3."""
        for item in self._tree.classes:
            self._give(item.name, math.inf, self._tenant_left)

    def split_among_loads(
        self, loads: Mapping[tuple[str, str], Sequence[Leaf]], demands: Mapping[Leaf, float]
    ) -> Iterable[tuple[Leaf, float]]:
        """Pass 4."""
        for home, leaves in loads.items():
            parts = fill(self._has[home], [demands[leaf] for leaf in leaves], [1.0] * len(leaves))
            yield from zip(leaves, parts, strict=True)

    def _give(self, cls: str, most: float, room: Mapping[str, float]) -> None:
        """Divides up to `most` among the tenants that want more in a class, nobody above its `room`."""
        homes = [home for home, wants in self._wants.items() if home[1] == cls and wants > 0]
        caps = [max(0.0, min(self._wants[home], room[home[0]])) for home in homes]
        total = max(0.0, min(most, self._left, self._class_left[cls]))
        weights = [self._tree.tenants[tenant].weight for tenant, _ in homes]
        for home, rate in zip(homes, fill(total, caps, weights), strict=True):
            self._wants[home] -= rate
            self._has[home] += rate
            self._left -= rate
            self._class_left[cls] -= rate
            self._tenant_left[home[0]] -= rate
            self._assured_left[home[0]] -= rate
