"""What a node answers of its region's cluster, as `answers`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MemberShown:
    """One member of the region's cluster.

    `share` is the part of all extents that it owns. `own` is the one that answers; the others' `heard_seconds` and the
    `epoch` of the view that they have are None as long as they were not heard.
    """

    name: str
    state: str
    process_epoch: int
    capacity_bytes: int
    share: float
    peer: str
    s3: str = ""
    admin: str = ""
    control: str = ""
    own: bool = False
    heard_seconds: float | None = None
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class MembersShown:
    """The view in force here. `away` says why etcd does not tell of changes, empty while it does."""

    region: str
    cluster: str
    epoch: int
    away: str
    members: tuple[MemberShown, ...] = ()


@dataclass(frozen=True, slots=True)
class Draining:
    """The members that began to leave; they are gone from the view once they have handed over."""

    node: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RemovedMember:
    """A member taken out by hand; `was` says whether it was still registered."""

    name: str
    was: bool


@dataclass(frozen=True, slots=True)
class OwnersShown:
    """Through whom an object is read, by the view of `epoch`.

    `key_owner` knows the newest version and owns the first extent; `ranks` are those that it asks for pages before a
    line, in order. `extents` says how many each member owns, of `counted` extents looked at. `own` is this member.
    """

    epoch: int
    own: str
    key_owner: str
    ranks: tuple[str, ...]
    extents: tuple[tuple[str, int], ...]
    counted: int
