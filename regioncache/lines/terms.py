"""What a line's policy comes to in one direction, in the arithmetic's own figures: rates, bursts, steps, tree."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from policy.model import STEP_BYTES, LinePolicy
from policy.shares import Tree

CONTROL_PART = 0.01
"""Of the quota is never leased: it carries control traffic (line-rules, What is debited)."""
CONTROL_BURST_PART = 0.25
"""Of the line's burst belongs to control traffic, so that one piece of a listing can be paid from it at once."""
PIECE_PART = 0.25
"""Of the line's burst is the most that one debit takes. A debit that took all of it would lose, each time its timer
is 1 ms late, a tenth of a burst of 10 ms."""
_NONE: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Terms:
    """One direction of a line. Rates are debited bytes/s; a debited byte is a payload byte times `overhead`."""

    quota: float
    overhead: float
    burst: float
    """Debited bytes that may run ahead of the quota; main and control bucket divide it."""
    tree: Tree
    """Who shares the leased part of the quota."""
    orders: Mapping[str, int] = field(init=False, repr=False)
    """The places of the known classes: asked for each running request whenever one waits."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "orders", {item.name: at for at, item in enumerate(self.tree.classes)})

    @classmethod
    def of(cls, policy: LinePolicy, class_ceils: Mapping[str, float] = _NONE) -> "Terms":
        """Returns the terms of a node that is alone: it holds the quota less what is never leased.

        Args:
            policy: What is written.
            class_ceils: What windows allow a class at present, bytes/s.
        """
        tree = Tree.of(policy, policy.quota * (1 - CONTROL_PART), class_ceils)
        return cls(policy.quota, policy.overhead, float(policy.burst_bytes), tree)

    @property
    def main_rate(self) -> float:
        return self.quota * (1 - CONTROL_PART)

    @property
    def main_burst(self) -> float:
        return self.burst * (1 - CONTROL_BURST_PART)

    @property
    def control_rate(self) -> float:
        return self.quota * CONTROL_PART

    @property
    def control_burst(self) -> float:
        return self.burst * CONTROL_BURST_PART

    @property
    def piece(self) -> int:
        """Payload bytes of the largest debit; a step (256 KiB) at most."""
        return int(min(STEP_BYTES, self.burst * PIECE_PART / self.overhead))

    def order(self, cls: str) -> int:
        """The place of a class, 0 the most urgent."""
        return self.orders.get(cls, len(self.orders))
