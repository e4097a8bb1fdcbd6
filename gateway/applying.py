"""Topology and policy as one pair: checked together, compared with the pair in force, kept as one revision.

A pair is refused whole or taken whole. Which file is which is seen from what stands in it, so the order of the command
line does not matter, and one file alone goes with the other as it is in force.
"""

from dataclasses import dataclass

TOPOLOGY = "topology"
POLICY = "policy"


@dataclass(frozen=True, slots=True)
class File:
    """A file as it was given: its name is what faults call it."""

    name: str
    text: str


AppliedFiles = tuple[File, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One setting that differs: `path` as `topology: lines.bj-use1.capacity`, None where it is absent on that side."""

    path: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply did, or would do. Nothing changed: `revision` is the one in force already."""

    revision: int
    digest: str
    dry_run: bool
    changes: tuple[Change, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision of the namespace: who put it in force, and when (seconds since the epoch)."""

    revision: int
    author: str
    at: float
    digest: str
