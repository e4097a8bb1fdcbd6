"""A region of several members in one process, over a view that the test makes, beside a far region with the bucket."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from gateway.app import Node
from gateway.config import NodeSettings
from namespace.references import SecretRef
from regioncache.cluster.members import Addresses, Member
from regioncache.cluster.ownership import Shared
from regioncache.pages import EXTENT_BYTES, ObjectId, Span, Version
from tests.fakes.s3server import FakeS3
from tests.flow.world import FAR, MIB, NEAR, World, settings, topology, world

NAMES = ("a", "b", "c")


@dataclass(slots=True)
class Cluster:
    """The members of `aws-use1` by name, among the world's nodes; `views` is what each of them goes by."""

    world: World
    s3: FakeS3
    shape: dict[str, object]
    views: dict[str, Shared] = field(default_factory=dict)
    epoch: int = 1
    started: int = 0
    known: dict[str, Member] = field(default_factory=dict)
    tls: str = ""
    """A folder beneath the world's with the members' certificate."""
    secrets: dict[str, str] = field(default_factory=dict)
    """A member's own secrets, where they are not those of all."""
    far: str = ""
    """Where the far region's node is asked, if not in plain HTTP."""

    async def start(self, name: str) -> Node:
        """Starts a member, again if it ran before; it is in no view yet."""
        self.started += 1
        shared = self.views.get(name) or Shared(name)
        made = settings(self.world.folder, NEAR, paths=[f"cache-{name}"], peer_tls=self.tls)
        made = made.model_copy(update={"node": name})
        if name in self.secrets:
            made = self._of_its_own(made, name)
        node = await Node.start(made, access_every=0, wall=self.world.wall_of(name), ownership=shared)
        first = name not in self.views
        self.world.nodes[name], self.views[name] = node, shared
        scheme = "https" if self.tls else "http"
        self.known[name] = Member(
            name, Addresses(f"{scheme}://{self.world.peer(name)}"), 1 << 30, self.started, host="127.0.0.1"
        )
        if not first:
            return node
        await self.world.apply(name, topology(self.s3.url, self.far or self.world.peer(FAR), **self.shape))  # type: ignore[arg-type]
        await self.world.admit(name)
        return node

    def _of_its_own(self, made: NodeSettings, name: str) -> NodeSettings:
        """Its settings with another secret within the region."""
        path = self.world.folder / f"{name}.secret"
        path.write_text(self.secrets[name])
        return made.model_copy(update={"secrets": {**made.secrets, NEAR: SecretRef(file=path)}})

    async def kill(self, name: str) -> None:
        """A member is gone in the middle of whatever it does; its view stays what it was."""
        await self.world.nodes.pop(name).stop(0.0)

    def view(self, *names: str, seen_by: Iterable[str] = ()) -> None:
        """From now on these are the members: for all, or only some of them."""
        self.epoch += 1
        members = [self.known[name] for name in names]
        for name in seen_by or self.views:
            self.views[name].adopt(members, self.epoch)

    def moved(self, name: str, address: str) -> None:
        """From now on the others reach a member at this address."""
        self.known[name] = replace(self.known[name], addresses=Addresses(f"http://{address}"))
        self.view(*self.known)

    def owner(self, key: str, extent: int = 0) -> str:
        """Who owns an extent by the newest view."""
        oid = self.oid(key)
        name, shared = max(self.views.items(), key=lambda item: item[1].epoch)
        owner = shared.owner(oid, extent)
        return name if owner is None else owner.name

    def owned_by(self, name: str, extent: int = 0, beginning: str = "k") -> str:
        """A key whose extent that member owns."""
        return next(key for n in range(10_000) if self.owner(key := f"{beginning}{n}", extent) == name)

    def others(self, name: str) -> list[str]:
        """The running members but that one."""
        return [other for other in self.views if other != name and other in self.world.nodes]

    def oid(self, key: str) -> ObjectId:
        app = self.world.nodes[FAR].running.app
        return ObjectId(app.resolver.topology.buckets["train-bj"].id, key)

    def held(self, name: str, key: str) -> int:
        """How many bytes of an object, in whole pages, a member has on disk."""
        store, found = self.world.nodes[name].running.app.store, self.s3.bucket("bucket1").find(key)
        pages = Span(0, -(-found.size // MIB))
        runs = store.present(self.oid(key), Version(found.etag), MIB, pages) if len(pages) else []
        return sum(min(run.end * MIB, found.size) - run.start * MIB for run in runs)

    def brought(self) -> dict[str, int]:
        """What crossed the line into the region, by kind, over all members that run; control traffic left out.

        Whoever uses a far region asks it each 30 s for its members: on a slow machine it is asked more often.
        """
        found: dict[str, int] = {}
        for name in self.views:
            if name in self.world.nodes:
                for entry, nbytes in self.world.nodes[name].running.app.ledger.totals().items():
                    found[entry.kind] = found.get(entry.kind, 0) + nbytes
        return {kind: nbytes for kind, nbytes in found.items() if nbytes and kind != "meta"}


@asynccontextmanager
async def cluster(s3: FakeS3, names: Iterable[str] = NAMES, **shape: object) -> AsyncIterator[Cluster]:
    """The far region and the members up, the topology in force everywhere, all members in the view."""
    async with world() as made:
        await made.start(FAR)
        await made.apply(FAR, topology(s3.url, made.peer(FAR), **shape))  # type: ignore[arg-type]
        await made.admit(FAR)
        members = Cluster(made, s3, shape)
        for name in names:
            await members.start(name)
        members.view(*members.known)
        yield members


EXTENT = EXTENT_BYTES
