"""The view: the members of a region's cluster at an epoch, and what changes when another one is adopted.

A higher epoch is newer, the same everywhere; a view of another cluster, or an older one, changes nothing.
"""

from collections import deque
from dataclasses import dataclass

from regioncache.cluster.members import BadMember, Member, State, member
from regioncache.cluster.ownership import RANKS, RANKS_AFTER_TWO

AT_ONCE_SECONDS = 60.0
"""Two changes of who owns within this are two at once: what the first moved may not have been asked for yet when the
second comes. A rank more costs a question within the region, before a read of a line."""


class OtherCluster(Exception):
    """A view is of another cluster than ours; the message names both and the remedy."""


@dataclass(frozen=True, slots=True)
class View:
    """Members, by name, at an epoch of the cluster with this random id."""

    cluster: str
    epoch: int
    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        names = [one.name for one in self.members]
        if names != sorted(set(names)):
            raise BadMember("a view names each member once, in order")
        if not self.cluster or self.epoch < 0:
            raise BadMember("a view is of a cluster, at an epoch")

    def of(self, name: str) -> Member | None:
        """The member of that name."""
        return next((one for one in self.members if one.name == name), None)

    def others_active(self, node: str) -> bool:
        """Whether somebody would own, and hold leases, without this node: else there is nobody to hand over to."""
        return any(node not in {one.node, one.name} and one.state is State.ACTIVE for one in self.members)

    def plain(self) -> dict[str, object]:
        """Returns it as plain data, as `view_of` reads it."""
        return {"cluster": self.cluster, "epoch": self.epoch, "members": [one.plain() for one in self.members]}


def view_of(plain: object) -> View:
    """Returns the view that plain data describes. Raises BadMember."""
    if not isinstance(plain, dict) or not isinstance(plain.get("members"), list):
        raise BadMember("a view has members")
    cluster, epoch = plain.get("cluster"), plain.get("epoch")
    if not isinstance(cluster, str) or not isinstance(epoch, int) or isinstance(epoch, bool):
        raise BadMember("a view is of a cluster, at an epoch")
    return View(cluster, epoch, tuple(member(one) for one in plain["members"]))


@dataclass(frozen=True, slots=True)
class Change:
    """What a view changed: names of those that came and went, and of those that do something else than before.

    `moved` says whether extents have other owners now. A process that took a name over is in `anew`.
    """

    came: tuple[str, ...]
    went: tuple[str, ...]
    states: tuple[tuple[str, str], ...]
    anew: tuple[str, ...]
    moved: bool


class Views:
    """The view in force. Mutable state: `view`, None before the first, and the moments of changes of who owns."""

    def __init__(self, view: View | None = None) -> None:
        self.view = view
        self._moved: deque[float] = deque(maxlen=2)

    def adopt(self, view: View, now: float) -> Change | None:
        """Puts a view in force and returns what it changed; None where it is no newer than the one in force.

        Args:
            view: the view.
            now: monotonic seconds.

        Raises:
            OtherCluster: it is none of ours.
        """
        former = self.view
        if former is not None:
            if view.cluster != former.cluster:
                raise OtherCluster(
                    f"this is cluster {view.cluster}, and this node is of cluster {former.cluster}: check `etcd` and"
                    " `region` in node.yaml; a node that shall change its cluster starts without its `view` file"
                )
            if view.epoch <= former.epoch:
                return None
        self.view = view
        change = _change(former.members if former is not None else (), view.members)
        if change.moved:
            self._moved.append(now)
        return change

    def ranks(self, now: float) -> int:
        """How many others an owner asks before a line."""
        twice = len(self._moved) == 2 and now - self._moved[0] < AT_ONCE_SECONDS
        return RANKS_AFTER_TWO if twice else RANKS

    def __repr__(self) -> str:
        if self.view is None:
            return "Views(none yet)"
        return f"Views(epoch {self.view.epoch}, {len(self.view.members)} members)"


def _change(before: tuple[Member, ...], after: tuple[Member, ...]) -> Change:
    old, new = {one.name: one for one in before}, {one.name: one for one in after}
    both = [name for name in new if name in old]
    return Change(
        tuple(name for name in new if name not in old),
        tuple(name for name in old if name not in new),
        tuple((name, new[name].state.value) for name in both if new[name].state is not old[name].state),
        tuple(name for name in both if new[name].process_epoch != old[name].process_epoch),
        {(one.name, one.capacity) for one in before if one.owns}
        != {(one.name, one.capacity) for one in after if one.owns},
    )
