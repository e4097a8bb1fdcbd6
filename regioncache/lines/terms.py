"""What may cross one direction of a line now, in the arithmetic's own figures: rates, bursts, steps, tree.

A node that is alone holds the quota less what is never leased; else its lease says what it may bring (line-rules).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from policy.leases.messages import CeilKey
from policy.model import CONTROL_BURST_PART, CONTROL_PART, STEP_BYTES, LinePolicy
from policy.shares import Leaf, Tree, fill, shares

PIECE_PART = 0.25
"""Of the line's burst is the most that one debit takes. A debit that took all of it would lose, each time its timer
is 1 ms late, a tenth of a burst of 10 ms."""
LEAST_BURST = 1024.0
"""Debited bytes: below it the timers would cost more than the bytes; where a lease lets less, nothing is let."""
LEAST_PIECE = 4096
"""Payload bytes: a smaller debit costs more than it is worth; what is above the burst is paid in parts."""
LEAST_WEIGHT_PART = 1e-6
"""Of the quota is the least weight of a leaf beside the others, so that nobody's turn is endless."""
_NONE: Mapping[str, float] = MappingProxyType({})
TENANT, CLASS = "tenant", "class"
"""Of what a ceil may be."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a node's lease lets it bring now, of the part of the quota that is leased. All are debited bytes or bytes/s.

    Without a lease all of it is 0: everybody waits.
    """

    rate: float = 0.0
    """Bytes/s, of all leaves together."""
    burst: float = 0.0
    leaves: Mapping[Leaf, float] = field(default_factory=dict)
    """Bytes/s by leaf: those of one node share its rate in proportion to these. Empty: by the policy, as if the rate
    were the quota."""
    ceils: Mapping[CeilKey, float] = field(default_factory=dict)
    """Bytes/s that a tenant or a class may use here; who has 0 gets nothing."""
    control_rate: float = 0.0
    """Of the part that is never leased, what this node may use."""
    control_burst: float = 0.0
    until: float = math.inf
    """Monotonic seconds; from then on it holds no more, and whoever gave it says what does."""
    silence: str = ""
    """Why there is nothing, or less than the policy says, and since when; empty while the office speaks."""
    retry_after: float = 1.0
    """Seconds after which it may be better, for those who are told to come again."""


@dataclass(frozen=True, slots=True)
class Terms:
    """One direction of a line. Rates are debited bytes/s; a debited byte is a payload byte times `overhead`."""

    quota: float
    """Of the line, whatever part of it this node may use."""
    overhead: float
    main_rate: float
    main_burst: float
    """Debited bytes that may run ahead of the rate."""
    control_rate: float
    control_burst: float
    tree: Tree
    """Who shares what may be used here."""
    allowed: Allowed | None = None
    """None: this node is alone."""
    orders: Mapping[str, int] = field(init=False, repr=False)
    """The places of the known classes: asked for each running request whenever one waits."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "orders", {item.name: at for at, item in enumerate(self.tree.classes)})

    @classmethod
    def of(
        cls, policy: LinePolicy, class_ceils: Mapping[str, float] = _NONE, allowed: Allowed | None = None
    ) -> "Terms":
        """Returns the terms of a node.

        Args:
            policy: What is written.
            class_ceils: What windows allow a class at present, bytes/s.
            allowed: What its lease says; None where it is alone and holds the quota less what is never leased.
        """
        quota, burst = policy.quota, float(policy.burst_bytes)
        if allowed is None:
            main, control = quota * (1 - CONTROL_PART), quota * CONTROL_PART
            bursts = burst * (1 - CONTROL_BURST_PART), burst * CONTROL_BURST_PART
            return cls(quota, policy.overhead, main, bursts[0], control, bursts[1], Tree.of(policy, main, class_ceils))
        idle = allowed.burst < LEAST_BURST
        main = 0.0 if idle else allowed.rate
        tree = Tree.of(policy, main, class_ceils)
        bursts = max(LEAST_BURST, allowed.burst), max(LEAST_BURST, allowed.control_burst)
        return cls(quota, policy.overhead, main, bursts[0], allowed.control_rate, bursts[1], tree, allowed)

    @property
    def burst(self) -> float:
        """Debited bytes that may run ahead of both rates."""
        return self.main_burst + self.control_burst

    @property
    def rate(self) -> float:
        """What may be brought in all; of a node that is alone the quota."""
        return self.main_rate + self.control_rate if self.allowed is not None else self.quota

    @property
    def piece(self) -> int:
        """Payload bytes of the largest debit; a step (256 KiB) at most."""
        return max(LEAST_PIECE, int(min(STEP_BYTES, self.burst * PIECE_PART / self.overhead)))

    def order(self, cls: str) -> int:
        """The place of a class, 0 the most urgent."""
        return self.orders.get(cls, len(self.orders))

    def shares(self, demands: Mapping[Leaf, float]) -> dict[Leaf, float]:
        """Returns the rate of each leaf: by the policy, or in proportion to what the lease gives each of them.

        A leaf that the lease does not know yet (its demand has just begun) has its share by the policy meanwhile. What
        one leaf does not want the others have.
        """
        by_policy = shares(self.tree, demands)
        if self.allowed is None or not self.allowed.leaves:
            return by_policy
        granted, least = self.allowed.leaves, self.quota * LEAST_WEIGHT_PART
        weights = [max(least, granted.get(leaf, by_policy[leaf])) for leaf in demands]
        return dict(zip(demands, fill(self.main_rate, list(demands.values()), weights), strict=True))

    def closed(self, cls: str) -> bool:
        """Whether a class gets nothing now."""
        allowed = self.allowed
        return allowed is not None and (not self.main_rate or allowed.ceils.get((CLASS, cls)) == 0)

    def ceils(self) -> Iterator[tuple[CeilKey, float]]:
        """Yields what holds a tenant or a class back, with its bytes/s; 0 lets nothing pass.

        Several nodes keep a ceil together: what each may use of it is in its lease.
        """
        if self.allowed is not None:
            yield from self.allowed.ceils.items()
            return
        for name, tenant in self.tree.tenants.items():
            if tenant.ceil < self.main_rate:
                yield (TENANT, name), tenant.ceil
        for item in self.tree.classes:
            if item.ceil < self.main_rate:
                yield (CLASS, item.name), item.ceil
