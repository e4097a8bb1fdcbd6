"""The region's cluster as its administrators see it: who is a member, who leaves, who is taken out."""

from gateway.admin.clusteranswers import Draining, MemberShown, MembersShown, RemovedMember
from gateway.admin.operations import BadOperation, Unavailable
from gateway.operating.running import Running
from namespace.errors import NamespaceError
from regioncache.cluster.members import BadMember, Member
from regioncache.cluster.ring import Ring
from regioncache.errors import CacheError

NO_CLUSTER = (
    "this node is its region's only one: name the region's `etcd` in node.yaml to make it a member of a cluster"
)


class Gathering:
    """`gateway.admin.operations.Gathering`."""

    running: Running

    def members(self) -> MembersShown:
        """Who is a member, by the view in force here."""
        running = self.running
        clustering = running.clustering
        if clustering is None:
            return MembersShown(running.settings.region, "", 0, "", (self._alone(),))
        membership = clustering.membership
        view = membership.views.view
        if view is None:
            return MembersShown(running.settings.region, "", 0, membership.away)
        shares = Ring(view.members).shares()
        shown = tuple(self._shown(one, shares.get(one.name, 0.0)) for one in view.members)
        return MembersShown(running.settings.region, view.cluster, view.epoch, membership.away, shown)

    async def drain(self, node: str) -> Draining:
        """Has a node hand over what it owns, and leave; returns once it has begun."""
        clustering = self.running.clustering
        if clustering is None:
            raise BadOperation(NO_CLUSTER)
        # Without a name all of the own node: a worker is `NODE/NUMBER`.
        node = node or self.running.settings.node.partition("/")[0]
        if clustering.membership.away:
            raise Unavailable(f"nobody can leave now: {clustering.membership.away}", 5.0)
        view = clustering.membership.views.view
        if view is not None and not view.others_active(node):
            raise BadOperation(
                f"no other node than {node} is active and would take over what it owns: just stop it (SIGTERM)"
            )
        try:
            names = await clustering.drain(node)
        except CacheError as fault:
            raise Unavailable(f"node {node} was not told: {fault}", 5.0) from fault
        if not names:
            raise BadOperation(f"{node!r} is no member; `causeway members` lists them")
        return Draining(node, names)

    async def remove_member(self, name: str, author: str) -> RemovedMember:
        """Takes a dead member out."""
        from regioncache.cluster.membership import StillAlive

        clustering = self.running.clustering
        if clustering is None:
            raise BadOperation(NO_CLUSTER)
        try:
            return RemovedMember(name, await clustering.membership.remove(name))
        except StillAlive as fault:
            raise BadOperation(str(fault)) from fault
        except (NamespaceError, BadMember) as fault:
            raise Unavailable(f"member {name} was not removed: {fault}", 5.0) from fault

    def _alone(self) -> MemberShown:
        running = self.running
        held = running.app.store.statistics()
        urls = {door: running.url(door) for door in running.addresses}
        return MemberShown(
            running.settings.node, "active", 0, held.limit_bytes, 1.0, urls.get("peer", ""), urls.get("s3", ""),
            urls.get("admin", ""), own=True,
        )  # fmt: skip

    def _shown(self, one: Member, share: float) -> MemberShown:
        clustering = self.running.clustering
        heard = None if clustering is None else clustering.membership.confirming.heard.get(one.name)
        own = one.name == self.running.settings.node
        where = one.addresses
        return MemberShown(
            one.name,
            one.state.value,
            one.process_epoch,
            one.capacity,
            share,
            where.peer,
            where.s3,
            where.admin,
            where.control,
            own,
            None if heard is None else max(0.0, self.running.app.settings.clock() - heard.at),
            None if heard is None else heard.said.epoch,
        )
