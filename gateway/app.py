"""Builds a node: the cache, the doors on it, the namespace it keeps, and the tasks that watch it.

A node without a topology serves its admin port and is not ready; `apply` makes it so.
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

import structlog

from gateway import loopdelay, publishing, tls
from gateway.admin import token
from gateway.admin.token import AdminToken
from gateway.admin.visitors import MOST
from gateway.adopting import RunningParts
from gateway.applying import Applying
from gateway.config import Address, Listener, NodeSettings
from gateway.controldoor import ControlDoor
from gateway.descriptors import connections
from gateway.files import Files
from gateway.following import Following
from gateway.keeper import open_namespace
from gateway.logs import AccessLog, faults_in, fill_fault, namespace_fault, partition_fault, tidings
from gateway.operating.accounting import OPERATION
from gateway.operating.looking import ADMIN
from gateway.operating.operating import Operating
from gateway.operating.running import InForce, Running
from gateway.partitionwatch import PartitionWatch
from gateway.peercount import CountedPeers
from gateway.peertls import PeerCertificate
from gateway.roles import ROLES, Role, roles_of
from gateway.s3.auth import Authenticator
from gateway.s3.door import Door
from gateway.s3.visit import Accounts
from gateway.telemetry.telemetry import Telemetry
from gateway.telemetry.telemetry import start as start_telemetry
from gateway.version import VERSION
from gateway.walking import Walk
from namespace.keeping import Namespace
from namespace.keys import Keys
from namespace.references import SecretRef
from namespace.store.local import LocalNamespace
from policy.match import Rules
from regioncache.app import CacheApp, CacheAppSettings
from regioncache.cluster.ownership import Alone, Ownership, Shared
from regioncache.http.handshakes import Contexts
from regioncache.http.limits import Limits
from regioncache.http.messages import Handler
from regioncache.http.server import Server
from regioncache.peers.desks import for_members
from regioncache.recent import Recent
from regioncache.tracing import untraced

if TYPE_CHECKING:
    from gateway.admin.server import AdminServer
    from gateway.clustering import Clustering
    from gateway.served import ServedNamespace
    from gateway.workers.part import Part
    from namespace.keeping import Adopt

GRACE_SECONDS = 20.0
"""How long running replies may go on after SIGTERM; orchestrators kill after 30 s."""


@dataclass(slots=True)
class Node:
    """A running node. `operations` is what its admin port asks."""

    running: Running
    operations: Operating
    servers: dict[str, Server]
    admin_connections: int = MOST
    admin: "AdminServer | None" = None
    watching: list[asyncio.Task[None]] = field(default_factory=list)
    control: ControlDoor | None = None
    roles: frozenset[Role] = ROLES
    served: "ServedNamespace | None" = None
    part: "Part | None" = None
    """Of a node of several workers; None: it is one process."""

    @classmethod
    async def start(
        cls,
        settings: NodeSettings,
        *,
        access_every: int = 100,
        limited: bool = True,
        adopt: "Adopt" = "",
        roles: frozenset[Role] | None = None,
        wall: Callable[[], float] = time.time,
        ownership: Ownership | None = None,
        part: "Part | None" = None,
    ) -> "Node":
        """Starts a node: on return its listeners are open.

        Args:
            settings: node.yaml, checked.
            access_every: one answered request in so many is logged; 0 = only faults.
            limited: False lets lines carry what they can, for a test that must be seen failing.
            adopt: takes the namespace that is offered, whatever the node knew.
            roles: what it does; None: all that its settings make sense of.
            wall: seconds since the epoch.
            ownership: whose what is among the members of the region; None: everything is this node's.
            part: what a worker inherited from its supervisor; `settings` are its share.

        Raises: SecretUnreadable, TokenUnusable, TelemetryUnavailable, CertificateFault, StoreBroken, StoreError,
        LedgerUnreadable, EtcdRefused, OtherCluster, OSError.
        """
        # The others are the store's affair: one that is broken does not keep the node from starting.
        settings.directory.mkdir(parents=True, exist_ok=True)
        token_file = settings.token_file if part is None else part.whole.token_file
        admin_token = AdminToken(token.read_or_draw(token_file))
        namespace = await open_namespace(settings, adopt=adopt, wall=wall)
        telemetry: Telemetry | None = None
        try:
            telemetry = _telemetry(settings)
            ownership = ownership or (Alone() if settings.etcd is None else Shared(settings.node))
            peer = None if settings.listen.peer.tls is None else PeerCertificate(settings.listen.peer.tls)
            app = await CacheApp.start(_cache_settings(settings, limited, wall, telemetry, ownership, peer, part))
        except BaseException:
            await namespace.close()
            if telemetry is not None:
                await telemetry.stop(0.0)
            raise
        node = _assembled(settings, app, namespace, access_every, wall, telemetry)
        node.running.certificates += [] if peer is None else [peer]
        node.roles = roles_of(settings) if roles is None else roles
        node.part = part
        try:
            node.running.clustering = _clustering(settings, app, ownership, part)
            _lease(node.running, node.control)
            await node._serve_namespace()
            await node.running.following.catch_up(strict=isinstance(namespace, LocalNamespace))
            await node._open(admin_token)
        except BaseException:
            await node.stop(0.0)
            raise
        return node

    async def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Stops taking requests, lets running replies end, then closes everything. Safe to call once."""
        clustering = self.running.clustering
        if self.part is not None:
            await self.part.quiet(self.servers["s3"], self.admin, grace_seconds)
            self.admin = None
        leasing = self.running.app.leasing
        if leasing is not None:
            await leasing.resign()
        if clustering is not None:
            await clustering.membership.part()
        if self.served is not None:
            self.served.leave()
        # All doors at once: a reply of the admin port that hangs must not hold the others open.
        async with asyncio.TaskGroup() as doors:
            if self.admin is not None:
                doors.create_task(self.admin.stop())
            if self.control is not None:
                doors.create_task(self.control.close(grace_seconds))
            stops = [doors.create_task(server.stop(grace_seconds)) for server in self.servers.values()]
        if cut := sum(stop.result() for stop in stops):
            structlog.stdlib.get_logger("causeway").warning(
                "replies were cut: they outlived the grace of a stop", replies=cut, grace_seconds=grace_seconds
            )
        for task in self.watching:
            task.cancel()
        await asyncio.gather(*self.watching, return_exceptions=True)
        if leasing is not None:
            await leasing.stop()
        if clustering is not None:
            await clustering.close()
        await self.running.app.stop()
        await self.running.namespace.close()
        if self.served is not None:
            await self.served.close()
        await self._let_go()

    async def _let_go(self) -> None:
        if self.running.telemetry is not None:
            await self.running.telemetry.stop()
        if self.part is not None:
            self.part.close()

    async def _open(self, admin_token: AdminToken) -> None:
        """Opens the listeners; the doors first, so that `readyz` never says more than is true."""
        running = self.running
        await running.app.history.start()
        certificates = running.certificates
        listen = running.settings.listen
        contexts = {"s3": tls.context("s3", listen.s3, certificates), "peer": tls.peer_contexts(certificates)}
        clustering = running.clustering
        await self._listen("peer", listen.peer, contexts["peer"], "peer" if self.part is None else "own")
        own = dict(running.addresses)
        if clustering is not None:
            # Who owns what is known before anybody reads.
            await clustering.join(own)
        if self.part is not None:
            await self._listen("peer", listen.peer, contexts["peer"])
        if "s3" in self.roles:
            await self._listen("s3", listen.s3, contexts["s3"])
        if self.control is not None and (opened := await self.control.open()) is not None:
            running.addresses["control"] = opened
        await _begin_leasing(running)
        if "admin" in self.roles:
            await self._open_admin(admin_token)
        if clustering is not None:
            await clustering.open({**running.addresses, "peer": own["peer"]})
        running.app.prober.start()
        running.app.calendar.start()
        running.app.refresher.start()
        self.watching = [
            asyncio.create_task(loopdelay.watch(running.loop_delay)),
            asyncio.create_task(running.following.follow()),
            asyncio.create_task(tls.Watch(certificates, tidings("causeway.tls"), running.wall).follow()),
            asyncio.create_task(self._partitions().watch()),
        ]
        if not isinstance(running.namespace, LocalNamespace):
            self.watching.append(asyncio.create_task(publishing.publish(running)))
        if running.telemetry is not None:
            self.watching.append(asyncio.create_task(running.telemetry.tell(self.operations.metrics)))

    async def _open_admin(self, admin_token: AdminToken) -> None:
        # A fifth of what a start loads, in a thread: other members and clients are being served meanwhile.
        await asyncio.to_thread(import_module, "gateway.admin.server")
        from gateway.admin.server import AdminServer

        running = self.running
        listen = running.settings.listen
        context = tls.context("admin", listen.admin, running.certificates)
        self.admin = await AdminServer.start(
            listen.admin.address,
            self.operations,
            admin_token,
            running.counters,
            context,
            connections=self.admin_connections,
            sock=None if self.part is None else self.part.sockets["admin"],
            whole=None if self.part is None else self.part.answering(running, self.operations),
        )
        running.visitors = self.admin.visitors
        running.addresses["admin"] = self.admin.address

    async def _listen(
        self, door: str, listener: Listener, context: ssl.SSLContext | Contexts | None, inherited: str = ""
    ) -> None:
        address = (listener.address.host, listener.address.port)
        at = address if self.part is None else self.part.sockets[inherited or door]
        where = await self.servers[door].listen(at, tls=context)
        self.running.addresses[door] = Address(listener.address.host, where[1])

    async def given_up(self) -> str:
        """Returns, if ever, why this node must stop by itself: another process has its name."""
        clustering = self.running.clustering
        replaced = asyncio.Future[str]() if clustering is None else asyncio.shield(clustering.membership.replaced)
        return await (replaced if self.part is None else self.part.orphaned_or(replaced))

    async def _serve_namespace(self) -> None:
        if "namespace" not in self.roles or self.control is None:
            return
        from gateway.served import ServedNamespace

        self.served = ServedNamespace(self.running.settings, self.running.wall)
        await self.served.start(self.control)

    def _partitions(self) -> PartitionWatch:
        app, files = self.running.app, self.running.files
        return PartitionWatch(
            app.regrouping,
            app.resolver,
            lambda: Walk(lambda ask: files.list(ADMIN, ask)),
            app.settings.clock,
            app.settings.tidings,
            partition_fault,
        )


def _assembled(
    settings: NodeSettings,
    app: CacheApp,
    namespace: Namespace,
    access_every: int,
    wall: Callable[[], float],
    telemetry: Telemetry | None,
) -> Node:
    in_force = InForce(Rules(()))
    keys, recent, applying = Keys(), Recent(), Applying(namespace, wall, settings.region)
    files = Files(app.resolver, lambda: in_force.rules, app.cache, app.lists, recent)
    parts = RunningParts(app, keys, in_force)
    following = Following(
        namespace,
        applying,
        parts,
        tidings("causeway.namespace"),
        namespace_fault,
    )
    running = Running(settings, app, namespace, applying, following, keys, files, recent, in_force, wall, wall())
    running.telemetry = telemetry
    tracing = None if telemetry is None else telemetry.of_clients()
    accounts = Accounts(running.counters, AccessLog(access_every), time.perf_counter, tracing)
    domain = settings.listen.s3.domain
    door = Door(files, app.resolver, Authenticator(keys, wall), accounts, faults_in("s3"), domain)
    shares = connections(len(settings.cache.paths))
    peers = CountedPeers(app.peers.answer, running.counters, time.perf_counter)
    running.servers = {"s3": _server(door, "s3", shares.s3), "peer": _server(peers, "peer", shares.peer)}
    operating = Operating(running)
    app.peers.desks[OPERATION] = for_members(settings.region, operating.lines_desk)
    control = ControlDoor(settings.listen.control, settings.region, app.settings.secrets)
    return Node(running, operating, running.servers, shares.admin, control=control)


def _clustering(
    settings: NodeSettings, app: CacheApp, ownership: Ownership, part: "Part | None"
) -> "Clustering | None":
    if settings.etcd is None or not isinstance(ownership, Shared):
        return None
    from gateway.clustering import Clustering

    process = None if part is None else part.order.process
    clustering = Clustering(settings, settings.etcd, app, ownership, process)
    if part is not None:
        part.attach(clustering.sibling_ended)
    return clustering


def _lease(running: Running, control: ControlDoor | None) -> None:
    """Has the node hold leases, and be a line's office, where it is of use: else nothing of that is loaded."""
    if control is None or (running.clustering is None and "control" not in running.settings.listen.model_fields_set):
        return
    from gateway.leasing import lease

    lease(running, control)


async def _begin_leasing(running: Running) -> None:
    if running.app.leasing is not None:
        from gateway.leasing import reached

        await running.app.leasing.start(reached(running))


def _server(handler: Handler, door: str, connections: int) -> Server:
    return Server(
        handler, Limits(connections=connections, handshakes=max(8, connections // 4)), on_fault=faults_in(door)
    )


def _telemetry(settings: NodeSettings) -> Telemetry | None:
    if settings.telemetry is None:
        return None
    return start_telemetry(settings.telemetry, settings.node, settings.region, VERSION, tidings())


def _cache_settings(
    settings: NodeSettings,
    limited: bool,
    wall: Callable[[], float],
    telemetry: Telemetry | None,
    ownership: Ownership,
    peer: PeerCertificate | None,
    part: "Part | None",
) -> CacheAppSettings:
    cache = settings.cache
    secrets = {region: _secret(reference) for region, reference in settings.secrets.items()}
    return CacheAppSettings(
        settings.region,
        cache.directories,
        cache.size.said,
        settings.memory,
        secrets.get,
        fill_fault,
        tidings=tidings(),
        sizes=cache.sizes,
        tiers=tuple(one.tier for one in cache.paths),
        high=settings.cache.high,
        low=settings.cache.low,
        keep_days=settings.ledger.keep,
        limited=limited,
        leased=settings.etcd is not None,
        peer_tls=None if peer is None else lambda: peer.asking,
        tracing=untraced if telemetry is None else telemetry.of_peers(),
        ownership=ownership,
        siblings=None if part is None else part.siblings,
        wall=wall,
    )


def _secret(reference: SecretRef) -> str:
    return reference.read().decode("utf-8")
