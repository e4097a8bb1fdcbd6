"""A federation in the laboratory: regions of several nodes, each node a machine, an etcd a region, lines between them.

The bucket lives in the first region, on a machine of its own; its readers live in each region, on another. What crosses
a line is counted at the interface of the region that reads. Nodes are killed, started again, added and taken away while
it runs.
"""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.pairs import UNITS
from gateway.workers import shares as workers
from namespace import codec
from namespace.keys import new_id, new_secret
from policy import units
from regioncache.cluster.members import Addresses, Member
from regioncache.cluster.ring import Ring, place
from regioncache.pages import ObjectId
from tests.real.lab.etcd import EtcdCluster, etcd
from tests.real.lab.load import Get, Load, Loaded, load, loading
from tests.real.lab.network import Cable, Host, Network, Site, network
from tests.real.lab.nodes import Node, Place, node
from tests.real.lab.reads import Read, Thing, ledger, put
from tests.real.lab.regions import BUCKET, credentials
from tests.real.lab.s3 import S3Server, versitygw
from tests.real.lab.service import CONTROL_PORT, SERVICE, Service
from tests.real.lab.sign import Keys

S3_PORT, PEER_PORT, ADMIN_PORT = 9000, 9100, 9200
# line-rules.md: so that Causeway, not the kernel, keeps the quota.
ROOM = 3.0


@dataclass(frozen=True, slots=True)
class Span:
    """A line of the plan: its ends, and its quota each way as people write it."""

    between: tuple[str, str]
    quota: str = "200 Mbit/s"
    delay: float = 0.0
    """Seconds each way; 0: a cable, limited to three times the quota."""
    office: str | None = None
    """The end that has the lease office; None: by the topology's default."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to run: nodes by region (the first has the bucket), lines, parents, and what else files and nodes say."""

    regions: Mapping[str, int]
    lines: Mapping[str, Span]
    parents: Mapping[str, str] = field(default_factory=dict)
    mount: Mapping[str, Any] = field(default_factory=dict)
    rules: Mapping[str, Any] = field(default_factory=dict)
    """Of each line's policy, beside its quota."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of each node's node.yaml."""
    workers: Mapping[str, int] = field(default_factory=dict)
    """Of each node, by region; else it is one process."""
    before: Sequence[str] = ()
    """A command that starts the program of each node."""
    service: bool = False
    """Whether a namespace service tells the regions what is where; else each is told by itself."""

    @property
    def home(self) -> str:
        return next(iter(self.regions))


THREE_REGIONS = Plan(
    {"idc-bj": 2, "aws-use1": 3, "gpu-7": 1},
    {"bj-use1": Span(("idc-bj", "aws-use1")), "use1-gpu7": Span(("aws-use1", "gpu-7"))},
    {"gpu-7": "aws-use1"},
)
"""Those of the design."""


class Machine:
    """One machine of a region and the node on it, which may be down; `given` are arguments of `nodes.node`."""

    def __init__(self, name: str, host: Host, place: Place, **given: Any) -> None:
        self.name, self.host, self.place = name, host, place
        self._given = given
        self._running: contextlib.ExitStack | None = None
        self._node: Node | None = None

    @property
    def node(self) -> Node:
        """The running node."""
        if self._node is None:
            raise LookupError(f"{self.name} is down")
        return self._node

    @property
    def up(self) -> bool:
        return self._node is not None

    @property
    def address(self) -> str:
        """host:port of its S3 door."""
        return f"{self.host.address}:{S3_PORT}"

    def start(self, *, wait: bool = True) -> None:
        """Starts the node and waits, if it shall, until it lives; starting again keeps what its disk holds."""
        running = contextlib.ExitStack()
        self._node = running.enter_context(node(self.place, env=credentials(), wait=wait, **self._given))
        self._running = running

    def kill(self) -> None:
        """SIGKILL, at once."""
        self.node.process.kill()
        self._end()

    def stop(self) -> int:
        """SIGTERM, and until it has gone; returns its exit status."""
        status = self.node.process.stop(60)
        self._end()
        return status

    def _end(self) -> None:
        if self._running is not None:
            self._running.close()
        self._running = self._node = None


class Cluster:
    """One region: its network, its etcd, its machines, and the one from which people read."""

    def __init__(self, site: Site, readers: Host, etcd: EtcdCluster | None, etcd_host: Host | None) -> None:
        self.site, self.readers = site, readers
        self.etcd, self.etcd_host = etcd, etcd_host
        self.machines: list[Machine] = []

    @property
    def name(self) -> str:
        return self.site.name

    @property
    def nodes(self) -> list[Node]:
        """Those that are up."""
        return [machine.node for machine in self.machines if machine.up]

    def kinds(self, line: str) -> Counter[str]:
        """What the ledgers of all its nodes hold of a line, by kind."""
        return sum((ledger(one, line=line) for one in self.nodes), Counter())

    def metric(self, name: str, **labels: str) -> float:
        """The sum over its nodes."""
        return sum(one.metric(name, **labels) for one in self.nodes)


class Federation:
    """The running regions."""

    def __init__(self, plan: Plan, network: Network, directory: Path, stack: contextlib.ExitStack) -> None:
        self.plan, self.network, self.directory = plan, network, directory
        self._stack = stack
        self.clusters: dict[str, Cluster] = {}
        self.cables: dict[str, Cable] = {}
        self.key = Keys(new_id(), new_secret())
        self.service: Service | None = None
        self.store: S3Server
        self.store_host: Host

    @property
    def home(self) -> Cluster:
        return self.clusters[self.plan.home]

    def machine(self, region: str) -> Machine:
        """One more machine for a region, its node not started."""
        cluster = self.clusters[region]
        name = f"cache-{len(cluster.machines) + 1}"
        host = self.network.host(cluster.site, name)
        place = Place(region, self.directory / region / name, host.address, host.netns, S3_PORT, PEER_PORT, ADMIN_PORT)
        settings: dict[str, Any] = {"node": name, **self.plan.settings}
        if region in self.plan.workers:
            settings["workers"] = self.plan.workers[region]
        settings["listen"] = {
            "s3": f"{host.address}:{S3_PORT}",
            "peer": f"{host.address}:{PEER_PORT}",
            "admin": f"127.0.0.1:{ADMIN_PORT}",
            "control": f"{host.address}:{CONTROL_PORT}",
        }
        if cluster.etcd is not None:
            settings["etcd"] = cluster.etcd.urls
        far = [name for name in self.plan.regions if name != region]
        if self.service is not None:
            settings["namespace"] = {"service": [self.service.address]}
            far.append(SERVICE)
        made = Machine(name, host, place, far=far, settings=settings, before=self.plan.before)
        cluster.machines.append(made)
        self._stack.callback(made._end)
        return made

    def key_owner(self, region: str, thing: Thing) -> Machine:
        """The machine that owns a thing's first extent, of those that run."""
        name = self.owning_member(region, thing).partition("/")[0]
        return next(one for one in self.clusters[region].machines if one.name == name)

    def owning_member(self, region: str, thing: Thing) -> str:
        """The member that owns it: a node, or one of a node's workers."""
        bucket = codec.topology(self.topology(), UNITS).buckets["data-bj"].id
        ring = Ring(Member(name, Addresses(""), 1 << 33) for name in self.members(region))
        owner = ring.owner(place(ObjectId(bucket, thing.key), 0))
        assert owner is not None
        return owner.name

    def members(self, region: str) -> list[str]:
        """The names of a cluster's members, as far as its nodes run: `cache-1`, or `cache-1/0` and `cache-1/1`."""
        running = [one.name for one in self.clusters[region].machines if one.up]
        count = self.plan.workers.get(region)
        if count is None:
            return running
        return [workers.name(node, number) for node in running for number in range(count)]

    def put(self, things: Iterable[Thing]) -> None:
        """Puts things into the bucket."""
        put(self.store, things, self.directory)

    def gets(self, reads: Iterable[Read], at: Machine) -> list[Get]:
        return [read.get(at.address, self.key) for read in reads]

    def load(self, at: Machine, reads: Iterable[Read], connections: int = 1, **more: Any) -> Loaded:
        """Reads at a node, from the readers' machine of its region."""
        netns = self._readers(at)
        return load(at.address, self.gets(reads, at), self.directory, connections=connections, netns=netns, **more)

    def loading(
        self, at: Machine, reads: Iterable[Read], connections: int = 1, **more: Any
    ) -> AbstractContextManager[Load]:
        """As `load`, beside what the `with` does."""
        netns = self._readers(at)
        return loading(at.address, self.gets(reads, at), self.directory, connections=connections, netns=netns, **more)

    def _readers(self, at: Machine) -> str:
        return self.clusters[at.place.region].readers.netns

    def wait_ready(self) -> None:
        """Until every node that is up serves."""
        for cluster in self.clusters.values():
            for one in cluster.nodes:
                one.process.wait_until(one.ready)

    def apply(self) -> None:
        """Puts the plan's files in force in every region, and a key that reads everything."""
        made = {"name": "reader", "tenant": "rec", "read": ["/ns"], "id": self.key.access, "secret": self.key.secret}
        told = [self.home] if self.service is not None else self.clusters.values()
        for cluster in told:
            first = cluster.nodes[0]
            first.apply(self.topology(), self.policy())
            first.ask("POST", "keys", {**made, "may_class": ["interactive", "prefetch", "backfill"]})
        self.wait_ready()

    def topology(self) -> dict[str, Any]:
        regions = {
            name: {
                "provider": "idc" if name == self.plan.home else "aws",
                # One for each: what another of its nodes owns, it passes on.
                "nodes": [cluster.machines[0].place.peer],
                **({"parent": self.plan.parents[name]} if name in self.plan.parents else {}),
            }
            for name, cluster in self.clusters.items()
        }
        bucket = {
            "provider": "s3",
            "bucket": BUCKET,
            "region": self.plan.home,
            "endpoints": {"internal": self.store.url},
            "credentials": {"env": "LAB_BUCKET"},
        }
        lines: dict[str, dict[str, Any]] = {}
        for name, line in self.plan.lines.items():
            lines[name] = {"between": list(line.between), "capacity": "10Gbps"}
            if line.office is not None:
                lines[name]["office"] = line.office
        mount = {"bucket": "data-bj", "consistency": {"max_age": "1h"}, **self.plan.mount}
        return {"regions": regions, "lines": lines, "buckets": {"data-bj": bucket}, "mounts": {"/ns/data": mount}}

    def policy(self) -> dict[str, Any]:
        return {"lines": {name: {"quota": line.quota, **self.plan.rules} for name, line in self.plan.lines.items()}}


@contextlib.contextmanager
def federation(directory: Path, plan: Plan = THREE_REGIONS) -> Iterator[Federation]:
    """Runs the plan's regions over an empty bucket; a region of one node has no etcd, and stays a cluster of one."""
    with network() as made, contextlib.ExitStack() as stack:
        running = Federation(plan, made, directory, stack)
        for name in plan.regions:
            site = made.site(name)
            running.clusters[name] = Cluster(site, made.host(site, "readers"), *_etcd(running, site, stack))
        for name, line in plan.lines.items():
            one, other = (running.clusters[end].site for end in line.between)
            rate = 0.0 if line.delay else ROOM * units.rate(line.quota)
            running.cables[name] = made.join(one, other, rate=rate, delay=line.delay)
        if plan.service:
            running.service = _service(running, stack)
        running.store_host = made.host(running.home.site, "store")
        at = {"host": running.store_host.address, "netns": running.store_host.netns}
        running.store = stack.enter_context(versitygw(directory, **at))
        assert running.store.root is not None
        (running.store.root / BUCKET).mkdir()
        for name, count in plan.regions.items():
            for _ in range(count):
                running.machine(name).start()
        running.apply()
        yield running


def _etcd(running: Federation, site: Site, stack: contextlib.ExitStack) -> tuple[EtcdCluster, Host] | tuple[None, None]:
    if running.plan.regions[site.name] < 2:
        return None, None
    host = running.network.host(site, "etcd")
    directory = running.directory / site.name / "etcd"
    directory.mkdir(parents=True)
    made = stack.enter_context(etcd(directory, host=host.address, netns=host.netns))
    return made, host


def _service(running: Federation, stack: contextlib.ExitStack) -> Service:
    """Outside all regions, and reached by each over a cable that is none of their lines."""
    site = running.network.site("world")
    for cluster in running.clusters.values():
        running.network.join(site, cluster.site)
    host, directory = running.network.host(site, SERVICE), running.directory / SERVICE
    directory.mkdir()
    kept = stack.enter_context(etcd(directory, host=host.address, netns=host.netns))
    made = Service(host, directory, running.plan.regions, kept.urls)
    stack.callback(made.stop)
    made.start()
    return made
