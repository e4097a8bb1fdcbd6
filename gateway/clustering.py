"""Makes a node a member of its region's cluster. Loaded only where node.yaml names an etcd."""

import asyncio
import secrets
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from gateway.config import Address, NodeSettings
from gateway.logs import tidings
from namespace.etcdclient.client import Etcd
from namespace.etcdclient.config import EtcdSettings, Server
from namespace.etcdclient.errors import EtcdError
from regioncache.app import CacheApp
from regioncache.cluster import confirming
from regioncache.cluster.members import Addresses, BadMember, Member, State
from regioncache.cluster.membership import Membership, MembershipSettings
from regioncache.cluster.ownership import Shared
from regioncache.http.ask import Base
from regioncache.http.messages import Reply
from regioncache.peers.desks import Questioner, Values, for_members
from regioncache.routing import node_base
from regioncache.tidings import Tidings

DRAIN = "drain"
DRAIN_SECONDS = 5.0
"""For a member's word that it begins to leave; how long the leaving takes is its own affair."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clustering:
    """A node's membership, and what its administrators may ask of it.

    Mutable state: the drain under way, and what is done about a supervisor's words.
    """

    def __init__(
        self, settings: NodeSettings, etcd: EtcdSettings, app: CacheApp, shared: Shared, process: str | None = None
    ) -> None:
        """Builds it; `join` begins.

        Args:
            settings: node.yaml.
            etcd: the region's, as it says.
            app: whose ownership is `shared`.
            shared: is told of every view.
            process: random, known to this worker's supervisor; None: drawn here.

        Raises: SecretUnreadable, EtcdRefused.
        """
        self._settings = settings
        self._etcd_settings = etcd
        self.etcd = Etcd(etcd.access(), trouble=self._trouble)
        """The region's."""
        self._tidings: Tidings = tidings("causeway.members")
        self._draining: asyncio.Task[None] | None = None
        self._words: set[asyncio.Task[None]] = set()
        self._questioner = Questioner(settings.region, app.settings.secrets, app.peer_client, app.settings.wall)
        member = Member(
            settings.node, Addresses(""), app.store.statistics().limit_bytes, state=State.JOINING, host=_host()
        )
        of_member = MembershipSettings(
            settings.region, member, process or secrets.token_hex(8), settings.cache.directories[0]
        )
        self.shared = shared
        self.membership = Membership(
            of_member,
            self.etcd,
            shared,
            self._questioner,
            self._tidings,
            app.settings.clock,
            _fault,
            lambda: self._seeds(app),
        )
        self.membership.handover = app.handover.run
        app.peers.desks[confirming.OPERATION] = for_members(settings.region, self.membership.confirming.answer)
        app.peers.desks[DRAIN] = for_members(settings.region, self._drain_desk)

    async def join(self, bound: Mapping[str, Address]) -> None:
        """Registers; returns once it is known who owns what. `bound` are the doors that are open, the peer door's too.

        Raises: OtherCluster.
        """
        where = self._addresses(bound)
        if Address.parse(where.peer.partition("//")[2]).loopback and not self._near():
            self._tidings.warning(
                f"other machines cannot reach this member at {where.peer}: give `listen.peer` in node.yaml an address"
                " of the network, or say by `advertise.peer` how it is reached"
            )
        await self.membership.start(where)

    async def open(self, bound: Mapping[str, Address]) -> None:
        """All doors are open: what this member owns is served from here on."""
        await self.membership.open(self._addresses(bound))

    async def close(self) -> None:
        """Ends it; `membership.part` has said before what becomes of what this member owns."""
        if self._draining is not None:
            self._draining.cancel()
            await asyncio.gather(self._draining, return_exceptions=True)
        for word in self._words:
            word.cancel()
        await asyncio.gather(*self._words, return_exceptions=True)
        await self.membership.close()
        await self.etcd.close()

    def control_at(self, bound: Mapping[str, Address]) -> str:
        """Where others reach this member's control port, `HOST:PORT`."""
        return self._addresses(bound).control

    def process_epoch(self) -> int:
        """This process's epoch as a member; 0 before it is registered."""
        return self.membership.registering.member.process_epoch

    def peers(self) -> Sequence[str]:
        """The peer doors of the other members, as URLs."""
        return [one.addresses.peer for one in self.shared.members()]

    async def drain(self, node: str) -> tuple[str, ...]:
        """Has all members of a node begin to leave; returns their names, none where there is no such node.

        Raises: CacheError (one of them does not answer), EtcdError.
        """
        view = self.membership.views.view
        names = () if view is None else tuple(one.name for one in view.members if node in {one.name, one.node})
        for name in names:
            member = None if view is None else view.of(name)
            if member is None or name == self._settings.node:
                self.leave()
                continue
            base = Base.parse(member.addresses.peer)
            await self._questioner.ask(
                base, self._settings.region, DRAIN, {"name": name}, seconds=DRAIN_SECONDS, most_bytes=64
            )
        return names

    def sibling_ended(self, name: str, process: str) -> None:
        """A supervisor's word that a process it started has ended: it is taken out of the view, behind."""
        task = asyncio.create_task(self._sibling_ended(name, process))
        self._words.add(task)
        task.add_done_callback(self._words.discard)

    async def _sibling_ended(self, name: str, process: str) -> None:
        try:
            if await self.membership.ended(name, process):
                self._tidings.news(f"member {name} has died, by its supervisor's word: what it owned is others' now")
        except (EtcdError, BadMember) as fault:
            self._tidings.warning(f"member {name} has died, and is taken out once its session runs out: {fault}")

    def leave(self) -> None:
        """Begins to hand over and leave, behind; once is enough."""
        if self._draining is None or self._draining.done():
            self._draining = asyncio.create_task(self._leave())

    async def _leave(self) -> None:
        try:
            await self.membership.drain()
        except asyncio.CancelledError:
            raise
        except Exception as fault:  # the task ends here, and whoever drains sees the member active again
            self._tidings.warning(f"this member could not leave, and owns what it did: {fault}")

    async def _drain_desk(self, _region: str, values: Values) -> Reply:
        if values.get("name") != self._settings.node:
            return Reply(404, body=f"this is member {self._settings.node}".encode())
        self.leave()
        return Reply(200)

    def _trouble(self, fault: Exception | None) -> None:
        self.membership.trouble(fault)

    def _near(self) -> bool:
        """Whether etcd is on this machine too: then the others may be."""
        hosts = (Server.parse(url).address.rpartition(":")[0].strip("[]") for url in self._etcd_settings.servers)
        return all(Address(host, 0).loopback for host in hosts)

    def _seeds(self, app: CacheApp) -> Sequence[str]:
        region = app.resolver.topology.regions.get(self._settings.region)
        own = self.membership.registering.member.addresses.peer
        urls = () if region is None else tuple(str(node_base(node)) for node in region.nodes)
        return [url for url in urls if url != own]

    def _addresses(self, bound: Mapping[str, Address]) -> Addresses:
        listen, said = self._settings.listen, self._settings.advertise
        schemes = {"s3": listen.s3, "peer": listen.peer, "admin": listen.admin}
        own = _own_host(self._etcd_settings)
        urls = {}
        for door, listener in schemes.items():
            where = getattr(said, door) or bound.get(door)
            scheme = "http" if listener.tls is None else "https"
            urls[door] = "" if where is None else f"{scheme}://{_reached(where, own)}"
        control = said.control or bound.get("control")
        return Addresses(
            urls["peer"], urls["s3"], urls["admin"], "" if control is None else str(_reached(control, own))
        )


def _fault(fault: BaseException) -> None:
    structlog.stdlib.get_logger("causeway.members").error(
        "fault in the membership", exc_info=(type(fault), fault, fault.__traceback__)
    )


def _reached(address: Address, own: str) -> Address:
    """A wildcard is no address that others can ask."""
    return Address(own, address.port) if address.host in {"0.0.0.0", "::"} else address  # noqa: S104


def _own_host(etcd: EtcdSettings) -> str:
    """Returns the address by which this machine reaches etcd; nothing is sent. Else the host's name."""
    for url in etcd.servers:
        host, _, port = Server.parse(url).address.rpartition(":")
        try:
            kind, _, _, _, where = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
            with socket.socket(kind, socket.SOCK_DGRAM) as probe:
                probe.connect(where)
                return str(probe.getsockname()[0])
        except OSError:
            continue
    return socket.gethostname()


def _host() -> str:
    """Returns what tells this machine from others: the same for all of its containers and processes until it boots."""
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        return socket.gethostname()
