"""Three regions in one process: the bucket's home and `aws-use1` of several members each, `gpu-7` behind the latter."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.app import Node
from regioncache.cluster.members import Addresses, Member
from regioncache.cluster.ownership import Shared
from regioncache.cluster.ring import place
from regioncache.federation.region import FarRegion
from regioncache.pages import ObjectId
from tests.fakes.s3server import FakeS3
from tests.flow.world import FAR, NEAR, RENTED, World, settings, topology, world

HOME = ("h1", "h2", "h3")
SHIELD = ("s1", "s2")
POOL = "g"


@dataclass(slots=True)
class Federation:
    """Members by name, among the world's nodes; the views of each region are what a test makes them."""

    world: World
    s3: FakeS3
    mount: dict[str, object] = field(default_factory=dict)
    region: dict[str, str] = field(default_factory=dict)
    views: dict[str, Shared] = field(default_factory=dict)
    known: dict[str, Member] = field(default_factory=dict)
    epoch: int = 0
    named: dict[str, list[str]] = field(default_factory=dict)
    """What the topology says under `nodes`, by region; absent: its first member."""
    trust: dict[str, object] = field(default_factory=lambda: {"trust": "granted", "paths": ["/ns/train"]})

    async def start(self, name: str, region: str) -> Node:
        """Starts a member of a region; it is in no view yet."""
        shared = self.views.setdefault(name, Shared(name))
        made = settings(self.world.folder, region, paths=[f"cache-{name}"]).model_copy(update={"node": name})
        node = await Node.start(made, access_every=0, wall=self.world.wall, ownership=shared)
        self.world.nodes[name], self.region[name] = node, region
        self.known[name] = Member(name, Addresses(f"http://{self.world.peer(name)}"), 1 << 30, host="127.0.0.1")
        return node

    async def join(self, name: str, region: str) -> None:
        """Starts one more member, with the files in force; it is in no view yet."""
        await self.start(name, region)
        await self.world.apply(name, self.files())
        await self.world.admit(name)

    async def kill(self, name: str) -> None:
        """A member is gone in the middle of whatever it does; the views stay what they were."""
        await self.world.nodes.pop(name).stop(0.0)

    def view(self, *names: str, seen_by: Iterable[str] = ()) -> None:
        """From now on these are the members of their region: for all of it, or only some."""
        self.epoch += 1
        region = self.region[names[0]]
        for one in seen_by or [name for name, of in self.region.items() if of == region]:
            self.views[one].adopt([self.known[name] for name in names], self.epoch)

    def files(self) -> dict[str, object]:
        """The topology."""
        made = topology(self.s3.url, None, endpoint_line=True, mount=self.mount)
        regions, lines = made["regions"], made["lines"]
        assert isinstance(regions, dict)
        assert isinstance(lines, dict)
        for region, first in ((FAR, HOME[0]), (NEAR, SHIELD[0])):
            nodes = self.named.get(region)
            regions[region]["nodes"] = [self.world.peer(first)] if nodes is None else nodes
        regions[RENTED] = {"provider": "rental", "parent": NEAR, **self.trust}
        lines["use1-gpu7"] = {"between": [NEAR, RENTED], "capacity": "10Gbps", "carries": "private"}
        return made

    async def apply(self) -> None:
        """Puts the topology in force everywhere."""
        for name in self.world.nodes:
            await self.world.apply(name, self.files())

    def oid(self, key: str) -> ObjectId:
        node = next(iter(self.world.nodes.values()))
        return ObjectId(node.running.app.resolver.topology.buckets["train-bj"].id, key)

    def owner(self, region: str, key: str, extent: int = 0) -> str:
        """Who owns an extent in a region by the newest view there."""
        views = [(shared.epoch, name) for name, shared in self.views.items() if self.region[name] == region]
        name = max(views)[1]
        owner = self.views[name].owner(self.oid(key), extent)
        return name if owner is None else owner.name

    def owned_by(self, name: str, beginning: str = "k") -> str:
        """A key that this member owns in its region."""
        keys = (f"{beginning}{number}" for number in range(10_000))
        return next(key for key in keys if self.owner(self.region[name], key) == name)

    def far(self, name: str, region: str) -> FarRegion:
        """What a node knows of a far region."""
        return self.world.nodes[name].running.app.far.of(region)

    async def settled(self) -> None:
        """Waits until no node asks anything behind of a far region."""
        for node in self.world.nodes.values():
            await node.running.app.far.settled()

    def asked(self, name: str) -> list[str]:
        """What a node was asked at its peer door by now, by operation."""
        counted = self.world.nodes[name].running.counters.requests
        return [operation for (door, operation, _), count in counted.items() if door == "peer" for _ in range(count)]

    def brought(self, region: str) -> dict[str, int]:
        """What crossed a line into a region, by kind, over all its members that run; control traffic left out."""
        found: dict[str, int] = {}
        for name, node in self.world.nodes.items():
            if self.region[name] == region:
                for entry, nbytes in node.running.app.ledger.totals().items():
                    found[entry.kind] = found.get(entry.kind, 0) + nbytes
        return {kind: nbytes for kind, nbytes in found.items() if nbytes and kind != "meta"}

    def at(self, key: str, extent: int = 0) -> bytes:
        return place(self.oid(key), extent)


@asynccontextmanager
async def federation(
    s3: FakeS3, mount: dict[str, object] | None = None, named: dict[str, list[str]] | None = None
) -> AsyncIterator[Federation]:
    """All up, the topology in force everywhere, all members of each region in its view."""
    async with world() as made:
        them = Federation(made, s3, mount or {})
        them.named |= named or {}
        for name, region in (*((one, FAR) for one in HOME), *((one, NEAR) for one in SHIELD), (POOL, RENTED)):
            await them.start(name, region)
        for names in (HOME, SHIELD):
            them.view(*names)
        await them.apply()
        for name in made.nodes:
            await made.admit(name)
        yield them
