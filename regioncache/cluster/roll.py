"""The roll: a region's members as its etcd tells them. From keys and their changes to a view; a core.

A view's epoch is the revision of the newest change of a member, the same for all who followed every change. Who read
the roll whole may have missed one that left no trace, a member that is gone: it writes its own registration again, and
from that change on its epoch is everybody's.
"""

import json
from dataclasses import dataclass, replace

from namespace.etcdclient.values import Changes, Gone, KeyValue, Snapshot
from regioncache.cluster.members import BadMember, Member, member, parsed
from regioncache.cluster.view import View

LEAP = 1 << 20
"""By so much the epochs of an etcd that lost its data, or was put back from a copy, begin above the highest known: what
others saw beyond it is less."""


def cluster_key(region: str) -> bytes:
    """Where the mark of a region's cluster is."""
    return f"/causeway/{region}/cluster".encode()


def members_prefix(region: str) -> bytes:
    """What every registration of a region begins with."""
    return f"/causeway/{region}/members/".encode()


def member_key(region: str, name: str) -> bytes:
    """Where a member's registration is."""
    return members_prefix(region) + name.encode()


def fenced_key(region: str, name: str) -> bytes:
    """Where it is written which process of a name is proven to have ended."""
    return f"/causeway/{region}/fenced/{name}".encode()


@dataclass(frozen=True, slots=True)
class Mark:
    """The mark of a cluster: its random id, and what is added to etcd's revisions so that epochs only ever grow."""

    cluster: str
    base: int = 0

    def text(self) -> bytes:
        """Returns it as `read_mark` reads it."""
        return json.dumps({"cluster": self.cluster, "base": self.base}).encode()


def read_mark(text: bytes) -> Mark:
    """Returns the mark in JSON. Raises BadMember."""
    plain = parsed(text)
    cluster = plain.get("cluster") if isinstance(plain, dict) else None
    base = plain.get("base") if isinstance(plain, dict) else None
    if not isinstance(cluster, str) or not cluster or not isinstance(base, int) or base < 0:
        raise BadMember("a cluster's mark has an id and a base")
    return Mark(cluster, base)


@dataclass(frozen=True, slots=True)
class Registration:
    """A member as it registered itself. `process` is random, drawn at the start of its process."""

    member: Member
    process: str

    def text(self) -> bytes:
        """Returns it as `read_registration` reads it."""
        return json.dumps({**self.member.plain(), "process": self.process}).encode()


def read_registration(item: KeyValue, base: int) -> Registration:
    """Returns the registration at a key. Raises BadMember.

    The first of a process cannot know its own revision, which is its process epoch: it says 0.
    """
    plain = parsed(item.value)
    found = member(plain)
    process = plain.get("process")
    if not isinstance(process, str) or found.name.encode() != item.key.rpartition(b"/members/")[2]:
        raise BadMember("a registration tells its process, and lies under its own name")
    epoch = found.process_epoch or base + item.modified
    return Registration(replace(found, process_epoch=epoch), process)


class Roll:
    """Mutable state: all of it; it begins anew with each `whole`."""

    def __init__(self, region: str) -> None:
        self._prefix = members_prefix(region)
        self._mark = Mark("none")
        self._known: dict[str, Registration] = {}
        self._modified: dict[str, int] = {}
        self._revision = 0
        self._sure_at: int | None = None
        self.faults: dict[str, str] = {}
        """By name: why a registration cannot be read. It is no member meanwhile."""

    def whole(self, snapshot: Snapshot, mark: Mark) -> None:
        """Begins anew with all registrations; the view is known once `wrote` was told and seen."""
        self._mark, self._sure_at = mark, None
        self._known, self._modified, self.faults = {}, {}, {}
        self._revision = max((one.modified for one in snapshot.items), default=0)
        for one in snapshot.items:
            self._put(one)

    def changed(self, changes: Changes) -> None:
        """All changes of one revision, in order."""
        self._revision = max(self._revision, changes.revision)
        for one in changes.changes:
            if isinstance(one, Gone):
                name = self._name(one.key)
                self._known.pop(name, None)
                self._modified.pop(name, None)
                self.faults.pop(name, None)
            else:
                self._put(one)

    def wrote(self, revision: int) -> None:
        """This member wrote its own registration at `revision`, after the whole was read."""
        self._sure_at = revision

    def view(self) -> View | None:
        """The view; None as long as changes may be missing from its epoch."""
        if self._sure_at is None or self._revision < self._sure_at:
            return None
        members = tuple(self._known[name].member for name in sorted(self._known))
        return View(self._mark.cluster, self._mark.base + self._revision, members)

    def of(self, name: str) -> Registration | None:
        """The registration under a name, None: there is none that can be read."""
        return self._known.get(name)

    def modified(self, name: str) -> int:
        """The revision at which the registration of a name was last written, 0: there is none."""
        return self._modified.get(name, 0)

    def _put(self, item: KeyValue) -> None:
        name = self._name(item.key)
        self._modified[name] = item.modified
        self.faults.pop(name, None)
        try:
            self._known[name] = read_registration(item, self._mark.base)
        except BadMember as wrong:
            self._known.pop(name, None)
            self.faults[name] = str(wrong)

    def _name(self, key: bytes) -> str:
        return key.removeprefix(self._prefix).decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"Roll({len(self._known)} members at {self._revision}, sure at {self._sure_at})"
