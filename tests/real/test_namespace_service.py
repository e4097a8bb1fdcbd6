"""The namespace service over a real etcd: several instances are as one, and each region gets what is its own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.applying import File
from gateway.config import NodeSettings, parse
from gateway.keeper import open_namespace
from gateway.pairs import as_items, check
from gateway.servicenode import ServiceNode
from namespace.contents import PublishedNode
from namespace.errors import KeyExists
from namespace.etcdclient.client import Etcd
from namespace.etcdclient.config import EtcdAccess
from namespace.keeping import Adopt, Draft, Known, NamespaceAway, NotGranted, Superseded
from namespace.keys import AccessKey
from namespace.rpc.calling import Remote
from namespace.rpc.signing import Signer
from namespace.service import methods
from namespace.service.proto import namespace_pb2 as pb
from namespace.store.base import PinnedPath
from namespace.store.remote import RemoteNamespace
from tests.real.lab.etcd import EtcdCluster, etcd
from tests.real.lab.process import free_port

pytestmark = [pytest.mark.real, pytest.mark.anyio]

REGIONS = ("idc-bj", "aws-use1", "gpu-7", "stranger")
KEY = AccessKey("CWID", "0123456789abcdef", "reader", "rec", read=("/ns/train",))
THEIRS = AccessKey("CWGPU", "fedcba9876543210", "renter", "rec", read=("/ns/train",), regions=("gpu-7",))
TOPOLOGY = """
regions:
  idc-bj: {nodes: ["10.1.0.7:9100"]}
  aws-use1: {}
  gpu-7: {parent: aws-use1, trust: granted, paths: [/ns/train]}
lines:
  bj-use1: {between: [idc-bj, aws-use1], capacity: 10Gbps}
  use1-gpu7: {between: [aws-use1, gpu-7], capacity: 10Gbps}
  bj-gpu7: {between: [idc-bj, gpu-7], capacity: 1Gbps}
buckets:
  train: {provider: s3, bucket: real, region: idc-bj, credentials: {env: TRAIN}, endpoints: {internal: "http://10.0.0.1:9000"}}
  secret: {provider: s3, bucket: other, region: idc-bj, credentials: {env: SECRET}, endpoints: {internal: "http://10.0.0.1:9000"}}
mounts:
  /ns/train: {bucket: train}
  /ns/secret: {bucket: secret}
"""
POLICY = """
lines:
  bj-use1: {quota: 1Gbps, tenants: {rec: {assured: 100Mbps}}}
  use1-gpu7: {quota: 2Gbps, tenants: {search: {assured: 100Mbps}}}
cache:
  - {match: "/ns/secret/**", admit: never}
  - {match: "/ns/train/**", ttl: 30d}
"""


def draft(made_from: int, topology: str = TOPOLOGY, author: str = "ann") -> Draft:
    pair = check((File("topology.yaml", topology), File("policy.yaml", POLICY)), {}, future=True)
    return Draft(pair.texts, as_items(pair), author, 1000.0, made_from)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with etcd(tmp_path_factory.mktemp("etcd")) as running:
        yield running


class World:
    """Instances of the service, and regions that ask them."""

    def __init__(self, directory: Path, urls: list[str], stack: AsyncExitStack) -> None:
        self.services: list[ServiceNode] = []
        self._directory, self._urls, self._stack = directory, urls, stack
        for region in (*REGIONS, "seal"):
            (directory / f"{region}.secret").write_text(f"the secret of {region} and the service")

    async def serve(self) -> ServiceNode:
        secrets = ", ".join(f"{region}: {{file: {region}.secret}}" for region in REGIONS)
        served = ", ".join(region for region in REGIONS)
        text = f"""
region: namespace
listen: {{control: "127.0.0.1:{free_port()}"}}
etcd: {self._urls}
secrets: {{{secrets}}}
namespace: {{snapshot: service, regions: [{served}], seal: {{file: seal.secret}}}}
"""
        started = await ServiceNode.start(self._settings(text))
        self._stack.push_async_callback(started.stop)
        self.services.append(started)
        return started

    def settings(self, region: str, secret_of: str | None = None) -> NodeSettings:
        addresses = [str(one.address) for one in self.services]
        return self._settings(f"""
region: {region}
cache: {{paths: [{region}]}}
secrets: {{namespace: {{file: {secret_of or region}.secret}}}}
namespace: {{service: {addresses}}}
""")

    async def join(self, region: str, *, adopt: Adopt = "") -> RemoteNamespace:
        joined = await open_namespace(self.settings(region), adopt=adopt)
        assert isinstance(joined, RemoteNamespace)
        self._stack.push_async_callback(joined.close)
        return joined

    def _settings(self, text: str) -> NodeSettings:
        return parse(text, "node.yaml", self._directory)


@pytest.fixture
async def world(cluster: EtcdCluster, tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        made = World(tmp_path, cluster.urls, stack)
        await made.serve()
        await made.serve()
        yield made
    async with Etcd(EtcdAccess.of(*cluster.urls)) as client:
        await client.delete_prefix(b"")


async def until(namespace: RemoteNamespace, holds: Callable[[Known], object], seconds: float = 60) -> Known:
    """Waits until something holds of what a region knows."""
    async with asyncio.timeout(seconds):
        while not holds(namespace.newest()):
            await namespace.newer(namespace.newest().serial)
    return namespace.newest()


async def test_one_apply_in_one_region_reaches_all_by_both_instances(world: World) -> None:
    one = await world.join("idc-bj")
    world.services.reverse()
    other = await world.join("aws-use1")

    revision = await one.apply(draft(0))
    known = await until(other, lambda known: known.revision)

    assert known.revision == revision
    assert (revision.number, revision.author) == (1, "ann of idc-bj")
    assert known.topology == one.newest().topology
    assert known.policy == POLICY
    assert await other.history() == (revision,)
    assert await other.files(1) == {"topology": TOPOLOGY, "policy": POLICY}
    assert await other.files(2) is None


async def test_an_apply_made_from_an_older_revision_is_refused_with_whose_came_between(world: World) -> None:
    one, other = await world.join("idc-bj"), await world.join("aws-use1")
    await one.apply(draft(0))
    await one.apply(draft(1, TOPOLOGY.replace("10Gbps", "20Gbps"), "bob"))

    with pytest.raises(Superseded, match="bob of idc-bj has applied revision 2 since, at 1970-01-01 00:16:40Z"):
        await other.apply(draft(1, TOPOLOGY.replace("10Gbps", "30Gbps")))

    assert (await until(other, lambda known: known.revision and known.revision.number == 2)).serial


async def test_a_key_made_in_one_region_opens_in_all_and_is_refused_everywhere_once_it_is_removed(
    world: World,
) -> None:
    one, other = await world.join("idc-bj"), await world.join("aws-use1")
    await one.apply(draft(0))

    await one.add_key(KEY, "ann", 1.0)
    assert (await until(other, lambda known: known.keys)).keys == (KEY,)
    with pytest.raises(KeyExists):
        await other.add_key(KEY, "bob", 1.0)

    await other.remove_key("reader", "bob", 2.0)
    await until(one, lambda known: not known.keys)


async def test_a_granted_region_gets_its_part_alone(world: World) -> None:
    one, gpu = await world.join("idc-bj"), await world.join("gpu-7")
    await one.add_key(KEY, "ann", 1.0)
    await one.add_key(THEIRS, "ann", 1.0)
    await one.add_pin(PinnedPath("/ns/train/a", "ann", 1.0, None))
    await one.apply(draft(0))

    known = await until(gpu, lambda known: known.revision and known.topology and known.topology.mounts)
    await until(gpu, lambda known: known.keys == (THEIRS,))

    assert known.topology is not None
    assert list(known.topology.mounts) == ["/ns/train"]
    assert list(known.topology.buckets) == ["train"]
    assert known.topology.buckets["train"].credentials.kind == "none"
    assert known.topology.buckets["train"].endpoints.internal is None
    assert set(known.topology.lines) == {"use1-gpu7", "bj-gpu7"}
    assert set(known.topology.regions) == {"idc-bj", "aws-use1", "gpu-7"}
    assert known.pins == ()
    held = repr(gpu._holding.snapshot.items)
    for not_theirs in ("secret", "TRAIN", "search", "reader", "10.0.0.1"):
        assert not_theirs not in held


async def test_a_granted_region_may_neither_change_nor_read_what_was_not_given(world: World) -> None:
    one, gpu = await world.join("idc-bj"), await world.join("gpu-7")
    await one.apply(draft(0))
    await until(gpu, lambda known: known.revision)

    for asked in (
        gpu.apply(draft(1)),
        gpu.add_key(KEY, "eve", 1.0),
        gpu.remove_key("reader", "eve", 1.0),
        gpu.history(),
        gpu.files(1),
        gpu.publish(PublishedNode("idc-bj", "n1", {})),
    ):
        with pytest.raises(NotGranted):
            await asked
    await gpu.add_pin(PinnedPath("/ns/train/a", "eve", 1.0, None))
    assert [pin.path for pin in gpu.newest().pins] == ["/ns/train/a"]
    assert one.newest().pins == ()


async def test_a_region_that_is_granted_no_more_gets_all_and_one_that_is_newly_so_keeps_nothing(world: World) -> None:
    one, gpu = await world.join("idc-bj"), await world.join("gpu-7")
    await one.add_key(KEY, "ann", 1.0)
    await until(gpu, lambda known: known.keys == (KEY,))
    await one.apply(draft(0))
    await until(gpu, lambda known: known.revision and not known.keys)

    trusted = TOPOLOGY.replace(", trust: granted, paths: [/ns/train]", "")
    await gpu.close()
    await one.apply(draft(1, trusted))
    again = await world.join("gpu-7")

    known = await until(again, lambda known: known.revision and known.revision.number == 2)
    assert known.topology is not None
    assert set(known.topology.mounts) == {"/ns/train", "/ns/secret"}
    assert known.keys == (KEY,)


async def test_a_region_that_is_not_in_the_topology_sees_the_names_of_those_that_are(world: World) -> None:
    one, stranger = await world.join("idc-bj"), await world.join("stranger")
    await one.add_key(KEY, "ann", 1.0)
    await one.apply(draft(0))

    known = await until(stranger, lambda known: known.revision and not known.keys)
    assert known.topology is not None
    assert set(known.topology.regions) == {"idc-bj", "aws-use1", "gpu-7"}
    assert not known.topology.mounts
    with pytest.raises(NotGranted, match="'stranger' is not in the topology"):
        await stranger.apply(draft(1))


async def test_a_region_with_another_secret_is_not_answered(world: World) -> None:
    joined = await open_namespace(world.settings("idc-bj", secret_of="gpu-7"))
    try:
        with pytest.raises(NotGranted, match=r"the signature of region 'idc-bj' .* is wrong"):
            await joined.history()
        assert joined.newest().revision is None
    finally:
        await joined.close()


async def test_regions_see_the_nodes_that_others_publish_and_no_more_once_they_are_silent(world: World) -> None:
    one, other = await world.join("idc-bj"), await world.join("aws-use1")
    await one.apply(draft(0))
    node = PublishedNode("idc-bj", "n1", {"peer": "10.1.0.7:9100"}, 1 << 40)

    await one.publish(node)

    assert (await until(other, lambda known: known.nodes)).nodes == (node,)
    await one.publish(PublishedNode("idc-bj", "n1", {"peer": "10.1.0.7:9100"}, 1 << 40, "cache path /a is out"))
    assert (await until(other, lambda known: known.nodes[0].fault)).nodes[0].fault == "cache path /a is out"


async def test_without_the_service_what_is_known_goes_on_also_after_a_restart_and_changes_are_refused(
    world: World,
) -> None:
    one = await world.join("aws-use1")
    await one.apply(draft(0))
    await one.add_key(KEY, "ann", 1.0)
    before = one.newest()
    for service in world.services:
        await service.stop()

    with pytest.raises(NamespaceAway):
        await one.apply(draft(1, TOPOLOGY.replace("10Gbps", "20Gbps")))
    assert one.newest() == before
    await one.close()
    again = await world.join("aws-use1")

    assert again.newest() == before
    assert again.age_seconds() > 0


async def test_when_one_instance_dies_its_regions_go_on_with_the_other_and_miss_nothing(world: World) -> None:
    one, other = await world.join("aws-use1"), await world.join("idc-bj")
    await one.apply(draft(0))
    first = world.services[0]
    await first.control.close(0)

    async with asyncio.timeout(60):
        while True:
            try:
                await other.apply(draft(1, TOPOLOGY.replace("10Gbps", "20Gbps")))
                break
            except NamespaceAway:
                await asyncio.sleep(0.1)
    known = await until(one, lambda known: known.revision and known.revision.number == 2)

    assert known.topology is not None
    assert known.topology.lines["bj-use1"].capacity == 20e9 / 8


async def test_a_thousand_watch_clients_at_once_all_hear_of_one_change(world: World) -> None:
    one = await world.join("idc-bj")
    await one.apply(draft(0))
    address, secret = str(world.services[0].address), "the secret of aws-use1 and the service"
    signer = Signer("aws-use1", "namespace", secret)

    async def hear(remote: Remote) -> int:
        async with remote.feed(methods.WATCH, pb.WatchQuestion()) as answers:
            while (news := await answers.receive(60)) is not None:
                if news.last and news.base:
                    return int(news.serial)
        raise AssertionError("the watch ended")

    async with AsyncExitStack() as stack:
        remotes = [Remote(address, signer) for _ in range(20)]
        for remote in remotes:
            stack.push_async_callback(remote.close)
        hearing = [asyncio.create_task(hear(remotes[at % 20])) for at in range(1000)]
        async with asyncio.timeout(60):
            while world.services[0].served.service.watching < 1000:
                await asyncio.sleep(0.05)
        await one.apply(draft(1, TOPOLOGY.replace("10Gbps", "20Gbps")))

        heard = await asyncio.gather(*hearing)

    assert len(set(heard)) <= 2
    assert min(heard) > 0
