"""The namespace in a real etcd: one apply reaches every node of the region, and nobody's is written over unseen."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.applying import Applying, File
from gateway.cli.main import run
from gateway.pairs import as_items, check
from namespace import contents
from namespace.errors import KeyExists, UnknownKey
from namespace.etcdclient.client import Etcd
from namespace.etcdclient.config import EtcdAccess
from namespace.etcdclient.values import Put
from namespace.holding import Holding
from namespace.keeping import Adopt, Draft, Known, Superseded
from namespace.keys import AccessKey
from namespace.knowing import Knowing
from namespace.sealing import KEYS, Seal, SealBroken
from namespace.snapshots import SnapshotFiles
from namespace.store.base import PinnedPath
from namespace.store.etcd import EtcdNamespace
from namespace.store.layout import CLUSTER, CURRENT, REVISIONS, begun, place_of
from tests.real.lab.etcd import EtcdCluster, etcd

pytestmark = [pytest.mark.real, pytest.mark.anyio]

REGION = "idc-bj"
SEAL = Seal(b"the seal of this etcd", KEYS)
KEY = AccessKey("CWID", "0123456789abcdef", "reader", "rec", read=("/ns/a",))


def topology(*mounts: str) -> File:
    places = ", ".join(f"/ns/{name}: {{bucket: b, prefix: {name}/}}" for name in mounts)
    bucket = "{provider: s3, bucket: real, region: idc-bj, endpoints: {internal: 'http://10.0.0.1:9000'}}"
    return File("topology.yaml", f"regions: {{idc-bj: {{}}}}\nbuckets: {{b: {bucket}}}\nmounts: {{{places}}}\n")


def draft(author: str, made_from: int, *mounts: str) -> Draft:
    pair = check((topology(*mounts),), {})
    return Draft(pair.texts, as_items(pair), author, 1000.0, made_from)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    with etcd(tmp_path_factory.mktemp("etcd")) as running:
        yield running


class Region:
    """Nodes on one etcd, and what they warned of."""

    def __init__(self, url: str, directory: Path, stack: AsyncExitStack) -> None:
        self.told: list[str] = []
        self._url, self._directory, self._stack = url, directory, stack

    async def node(self, name: str, seal: Seal | None = SEAL, *, adopt: Adopt = "") -> EtcdNamespace:
        files = SnapshotFiles(self._directory / name, self.told.append)
        holding = Holding(files, Knowing(REGION, seal), self.told.append)
        client = Etcd(EtcdAccess.of(self._url))
        started = await EtcdNamespace.start(REGION, client, holding, seal, self.told.append, time.time, adopt=adopt)
        self._stack.push_async_callback(started.close)
        return started


@pytest.fixture
async def region(cluster: EtcdCluster, tmp_path: Path) -> AsyncIterator[Region]:
    async with AsyncExitStack() as stack:
        yield Region(cluster.urls[0], tmp_path, stack)
    async with Etcd(EtcdAccess.of(*cluster.urls)) as client:
        await client.delete_prefix(b"")


async def until(node: EtcdNamespace, revision: int) -> None:
    """Waits until the node knows a revision."""
    async with asyncio.timeout(60):
        while (known := node.newest()).revision is None or known.revision.number < revision:
            await node.newer(known.serial)


async def test_one_apply_at_any_node_reaches_all_of_the_region(region: Region) -> None:
    one, other = await region.node("one"), await region.node("other")

    made = await one.apply(draft("ann", 0, "a"))
    await until(other, 1)
    await other.apply(draft("bob", 1, "a", "b"))
    await until(one, 2)

    for node in (one, other):
        known = node.newest()
        assert known.topology is not None
        assert list(known.topology.mounts) == ["/ns/a", "/ns/b"]
    assert (made.number, made.author) == (1, "ann")
    assert [each.author for each in await one.history()] == ["bob", "ann"]
    assert await other.files(1) == {"topology": topology("a").text}
    assert await other.files(3) is None


async def test_of_applies_that_race_one_is_in_force_and_the_others_are_told_whose(region: Region) -> None:
    nodes = [await region.node(str(number)) for number in range(4)]

    done = await asyncio.gather(
        *(node.apply(draft(f"author-{at}", 0, "a", f"m{at}")) for at, node in enumerate(nodes)), return_exceptions=True
    )

    (won,) = (one for one in done if not isinstance(one, BaseException))
    lost = [one for one in done if isinstance(one, Superseded)]
    assert len(lost) == 3
    assert all(f"{won.author} has applied revision 1 since, at 1970-01-01 00:16:40Z" in str(one) for one in lost)
    assert [each.author for each in await nodes[0].history()] == [won.author]


async def test_the_same_files_applied_at_two_nodes_at_once_are_one_revision(region: Region) -> None:
    nodes = [await region.node(str(number)) for number in range(2)]
    applying = [Applying(node, time.time, REGION) for node in nodes]

    done = await asyncio.gather(*(one.apply((topology("a"),), "ann", dry_run=False, made_from=0) for one in applying))

    assert [one.revision for one in done] == [1, 1]
    assert len(await nodes[0].history()) == 1


async def test_a_key_and_a_pin_made_at_one_node_are_of_all_and_go_at_all(region: Region) -> None:
    one, other = await region.node("one"), await region.node("other")
    pin = PinnedPath("/ns/a", "ann", 12.5, 100)

    await one.add_key(KEY, "ann", 1.0)
    await one.add_pin(pin)
    async with asyncio.timeout(60):
        while other.newest().pins != (pin,):
            await other.newer(other.newest().serial)
    assert other.newest().keys == (KEY,)

    await other.remove_key("reader", "bob", 2.0)
    assert await other.remove_pin("/ns/a", "bob", 2.0) == pin
    async with asyncio.timeout(60):
        while one.newest().pins or one.newest().keys:
            await one.newer(one.newest().serial)


async def test_a_name_or_id_that_is_taken_is_refused_and_an_unknown_one_too(region: Region) -> None:
    node = await region.node("one")
    await node.add_key(KEY, "ann", 1.0)

    for taken in ("reader", "CWID"):
        with pytest.raises(KeyExists):
            await node.add_key(AccessKey(taken, KEY.secret, "other", "rec", read=("/ns/a",)), "ann", 1.0)
    with pytest.raises(UnknownKey, match="known: reader"):
        await node.remove_key("nobody", "ann", 1.0)


async def test_no_secret_lies_readable_in_etcd_or_on_disk(region: Region, cluster: EtcdCluster, tmp_path: Path) -> None:
    node = await region.node("one")
    await node.add_key(KEY, "ann", 1.0)
    await node.close()

    async with Etcd(EtcdAccess.of(*cluster.urls)) as client:
        kept = (await client.snapshot(b"")).items
    assert not [one.key for one in kept if KEY.secret.encode() in one.value]
    again = await region.node("one")
    assert again.newest().keys == (KEY,)
    assert not [path for path in tmp_path.rglob("*snapshot*") if KEY.secret.encode() in path.read_bytes()]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in tmp_path.rglob("*snapshot*"))


async def test_a_node_with_the_wrong_seal_does_not_start_and_one_without_says_what_to_name(region: Region) -> None:
    await (await region.node("one")).add_key(KEY, "ann", 1.0)

    with pytest.raises(SealBroken, match=r"1 access keys are kept, and none opens: .* sealed with another secret"):
        await region.node("two", Seal(b"the seal of another etcd", KEYS))
    with pytest.raises(SealBroken, match=r"name it as namespace: \{seal: \{file: \.\.\.\}\}"):
        await region.node("three", None)


async def test_chunks_of_an_apply_that_died_are_removed_by_the_next(region: Region, cluster: EtcdCluster) -> None:
    node = await region.node("one")
    died, young = place_of(1, "died"), place_of(2, "young")
    async with Etcd(EtcdAccess.of(*cluster.urls)) as client:
        await client.write([Put(begun(died), b"0"), Put(died + b"items/000000", b"x")])
        await client.write([Put(begun(young), str(time.time()).encode()), Put(young + b"items/000000", b"x")])

        await node.apply(draft("ann", 0, "a"))

        left = {one.key for one in (await client.snapshot(REVISIONS)).items}
    assert not [key for key in left if key.startswith(died)]
    assert [key for key in left if key.startswith(young)]


async def test_a_damaged_revision_is_said_and_the_one_before_goes_on(region: Region, cluster: EtcdCluster) -> None:
    node = await region.node("one")
    await node.apply(draft("ann", 0, "a"))
    async with Etcd(EtcdAccess.of(*cluster.urls)) as client:
        now = await client.get(CURRENT)
        assert now is not None
        await client.put(CURRENT, now.value.replace(b'"base": 0', b'"base": 7').replace(b'"sum": ', b'"sum": 1'))

    async with asyncio.timeout(60):
        while not node.store.damage:
            await asyncio.sleep(0.02)
    assert "the items of revision 1 are not those that were kept" in node.concern()
    known = node.newest()
    assert known.topology is not None
    assert list(known.topology.mounts) == ["/ns/a"]

    await node.apply(draft("ann", 1, "a", "b"))
    assert node.concern() == ""


async def lost(region: Region, cluster: EtcdCluster) -> Known:
    """A namespace with a mount, a key and a pin that node one has on its disk, and etcd has not any more."""
    node = await region.node("one")
    await node.apply(draft("ann", 0, "a"))
    await node.apply(draft("bob", 1, "a", "b"))
    await node.add_key(KEY, "ann", 1000.0)
    await node.add_pin(PinnedPath("/ns/a", "ann", 1000.0, 5))
    known = node.newest()
    await node.close()
    async with Etcd(EtcdAccess.of(*cluster.urls)) as client:
        await client.delete_prefix(b"")
    return known


async def test_an_empty_namespace_is_not_adopted_in_place_of_a_filled_one_unless_that_is_said(
    region: Region, cluster: EtcdCluster
) -> None:
    known = await lost(region, cluster)

    for adopt in ("", "filled"):
        kept = await region.node("one", adopt=adopt)
        assert kept.newest() == known
        assert "it is empty, as after a loss: put it back by `causeway namespace restore`" in kept.concern()
        assert region.told[-1].endswith("start the node once by `causeway up --adopt-empty`")
        await kept.close()

    emptied = await region.node("one", adopt="empty")
    assert emptied.newest().revision is None
    assert emptied.concern() == ""


async def test_a_namespace_that_etcd_lost_is_put_back_from_the_snapshot_of_a_node(
    region: Region, cluster: EtcdCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = await lost(region, cluster)
    (tmp_path / "seal").write_bytes(b"the seal of this etcd")
    (tmp_path / "node.yaml").write_text(
        f"region: {REGION}\ncache: {{paths: [cache]}}\netcd: [{cluster.urls[0]!r}]\n"
        "namespace: {seal: {file: seal}}\n"
    )
    arguments = ["namespace", "restore", f"{tmp_path}/one/namespace.snapshot", "--config", f"{tmp_path}/node.yaml"]

    assert await asyncio.to_thread(run, arguments) == 0
    assert "revision 3 is in force, with 1 keys and 1 pins" in capsys.readouterr().out

    node = await region.node("one", adopt="filled")
    now = node.newest()
    assert node.concern() == ""
    assert (now.topology, now.policy, now.keys, now.pins) == (known.topology, known.policy, known.keys, known.pins)
    assert now.revision is not None
    assert "restored from a snapshot of revision 2" in now.revision.author
    # A second time it is refused, and the files applied again are a revision with texts.
    assert await asyncio.to_thread(run, arguments) == 1
    assert "the namespace in etcd is not empty" in capsys.readouterr().err
    applying = Applying(node, time.time, REGION)
    applied = await applying.apply((topology("a", "b"),), "ann", dry_run=False)
    assert applied.revision == 4
    assert await node.files(4) == {"topology": topology("a", "b").text}
    with pytest.raises(KeyExists):
        await node.add_key(KEY, "ann", 1000.0)


async def test_keys_of_a_regions_snapshot_are_sealed_anew_when_it_is_put_back(
    region: Region, cluster: EtcdCluster, tmp_path: Path
) -> None:
    known = await lost(region, cluster)
    found = SnapshotFiles(tmp_path / "one", region.told.append).read()
    assert found is not None
    theirs = Seal(b"the secret of aws-use1", KEYS)
    keys = {name: contents.resealed(text, SEAL, theirs) for name, text in contents.key_items(found.items)}
    SnapshotFiles(tmp_path / "far", region.told.append).write(replace(found, items={**found.items, **keys}))
    (tmp_path / "seal").write_bytes(b"the seal of this etcd")
    (tmp_path / "far.secret").write_bytes(b"the secret of aws-use1")
    (tmp_path / "node.yaml").write_text(
        f"region: {REGION}\ncache: {{paths: [cache]}}\netcd: [{cluster.urls[0]!r}]\n"
        "namespace: {seal: {file: seal}}\nsecrets: {aws-use1: {file: far.secret}}\n"
    )
    arguments = ["namespace", "restore", f"{tmp_path}/far/namespace.snapshot", "--config", f"{tmp_path}/node.yaml"]

    assert await asyncio.to_thread(run, arguments) == 1  # sealed with another secret: nothing was written
    assert await asyncio.to_thread(run, [*arguments, "--of", "aws-use1"]) == 0

    node = await region.node("one", adopt="filled")
    assert node.newest().keys == known.keys


async def test_another_namespace_is_not_taken_until_an_operator_says_so(region: Region, cluster: EtcdCluster) -> None:
    node = await region.node("one")
    await node.apply(draft("ann", 0, "a"))
    await node.close()
    async with Etcd(EtcdAccess.of(*cluster.urls)) as client:
        await client.put(CLUSTER, b"another")

    kept = await region.node("one")
    assert "it is another namespace (id another, revision 1) than the one known here" in kept.concern()
    assert "causeway up --adopt" in kept.concern()
    assert kept.newest().topology is not None
    await kept.close()

    taken = await region.node("one", adopt="filled")
    assert taken.concern() == ""
    assert taken.newest().revision is not None
