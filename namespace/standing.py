"""Whether a snapshot that is offered may take the place of the one that is held: it must be a later one of the same.

A namespace that was put back from an old copy, or made anew, would take paths and keys away from readers without
anybody having said so. It is refused until an operator says `--adopt`.
"""

from dataclasses import dataclass

from namespace.contents import revision_of
from namespace.items import Snapshot


@dataclass(frozen=True, slots=True)
class Standing:
    """Which namespace it is, how many changes of it there were, and the number of its revision (0: none yet)."""

    cluster: str = ""
    serial: int = 0
    number: int = 0

    @classmethod
    def of(cls, snapshot: Snapshot) -> "Standing":
        """The standing of a snapshot."""
        revision = revision_of(snapshot.items)
        return cls(snapshot.cluster, snapshot.serial, 0 if revision is None else revision.number)


def objection(held: Standing, offered: Standing) -> str:
    """Returns why what is offered may not take the place of what is held; empty: it may."""
    if not held.cluster:
        return ""
    if offered.cluster != held.cluster:
        return (
            f"it is another namespace (id {offered.cluster[:8] or 'none'}, revision {offered.number}) than the one"
            f" known here (id {held.cluster[:8]}, revision {held.number})"
        )
    if offered.number < held.number:
        return f"its newest revision is {offered.number}, here {held.number} is known already: it may be an old copy"
    if offered.serial < held.serial:
        return f"it has seen {held.serial - offered.serial} changes less than this node: it lags, or is an old copy"
    return ""
