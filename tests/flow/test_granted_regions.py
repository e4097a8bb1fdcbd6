"""A rented pool of GPUs: its nodes have what was granted, through their parent, and are told of nothing else."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from gateway.admin.operations import OperationFault
from regioncache.errors import NotGranted, OriginUnavailable
from regioncache.http.client import Base, Client
from regioncache.lines.crossing import NoLine
from regioncache.origins.base import ListAsk, ListPage, Payer, Question, Want
from regioncache.pages import WHOLE, Span
from regioncache.peers.client import PeerSource
from regioncache.peers.digests import Digests
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.flow.journeys import landed, read
from tests.flow.world import FAR, MIB, NEAR, RENTED, SECRET, World, topology, world

pytestmark = pytest.mark.anyio
SIZE = 2 * MIB + 17
PAYER = Payer("rec")
OUTSIDE = ("secret", "open-not", "open-not/deep", "open.d/x", "open0", "other/a", "open/../secret", "../secret")
"""Keys of `train-bj` that /ns/train/open does not cover, some on either side of it in a list."""
INSIDE = ("open/a", "open/b/c", "open/z")


def granted(origin: str, far: str, near: str, paths: list[str], **more: object) -> dict[str, object]:
    """The two regions, and `gpu-7` behind `aws-use1`."""
    made = topology(origin, far, endpoint_line=True)
    regions, lines = made["regions"], made["lines"]
    assert isinstance(regions, dict)
    assert isinstance(lines, dict)
    regions[NEAR]["nodes"] = [near]
    regions[RENTED] = {"provider": "rental", "parent": NEAR, "trust": "granted", "paths": paths}
    lines["use1-gpu7"] = {"between": [NEAR, RENTED], "capacity": "10Gbps", "carries": "private"}
    return {**made, **more}


@asynccontextmanager
async def three_regions(s3: FakeS3, *paths: str) -> AsyncIterator[World]:
    """All up; the rented one is granted these paths."""
    for key in (*INSIDE, *OUTSIDE):
        s3.bucket("bucket1").put(key, SIZE)
    async with world() as made:
        for region in (FAR, NEAR, RENTED):
            await made.start(region)
        files = granted(s3.url, made.peer(FAR), made.peer(NEAR), list(paths))
        for region in (FAR, NEAR, RENTED):
            await made.apply(region, files)
        await made.admit(NEAR)
        yield made


@contextmanager
def rented_node(made: World, of: str, signer: str = RENTED) -> Iterator[PeerSource]:
    """What asks a region's node as one of the rented region would that keeps to nothing."""
    bucket = made.nodes[of].running.app.resolver.topology.buckets["train-bj"]
    client, base = Client(), Base.parse(f"http://{made.peer(of)}")
    yield PeerSource(of, base, bucket.name, bucket.id, signer, of, lambda: SECRET, client, Digests(), print)
    client.close()


async def pages(node: PeerSource, prefix: str, delimiter: str = "", limit: int = 1) -> list[ListPage]:
    """All pages of a list, as the node is told them."""
    found, after = list[ListPage](), ""
    while True:
        page = await node.list(ListAsk(prefix, after, delimiter, limit), Question(prefix, PAYER), NoLine())
        found.append(page)
        if page.next_after is None:
            return found
        after = page.next_after


def names(found: list[ListPage]) -> list[str]:
    return sorted(name for page in found for name in (*(entry.key for entry in page.entries), *page.prefixes))


async def test_a_granted_region_reads_its_paths_through_its_parent_and_each_page_crosses_once(s3: FakeS3) -> None:
    async with three_regions(s3, "/ns/train/open") as made:
        for _ in range(2):
            assert await read(made, "open/a", region=RENTED) == ramp(0, SIZE)
            await landed(made)

        assert s3.sent["open/a"] == SIZE
        moved = {entry.line: nbytes for entry, nbytes in made.nodes[RENTED].running.app.ledger.totals().items()}
        assert moved == {"use1-gpu7": SIZE}
        status = made.nodes[RENTED].operations.status()
        assert status.granted == ("/ns/train/open",)


@pytest.mark.parametrize("region", [NEAR, FAR])
async def test_a_granted_region_is_refused_whatever_is_outside_its_paths_there_or_not(s3: FakeS3, region: str) -> None:
    async with three_regions(s3, "/ns/train/open") as made:
        assert await read(made, "secret", region=NEAR) == ramp(0, SIZE)
        with rented_node(made, region) as node:
            told = set[str]()
            for key in (*OUTSIDE, "is-nowhere", "open", ""):
                for asked in (
                    node.read(Want(key, None, Span(0, 9), PAYER), NoLine()),
                    node.head(Question(key, PAYER), NoLine()),
                ):
                    if key == "open":
                        asked.close()
                        continue
                    with pytest.raises(NotGranted) as refused:
                        await asked
                    told.add(str(refused.value).replace(repr(key), "KEY"))

            assert told == {f"{region}: KEY: region 'gpu-7' is granted other paths only"}
            assert (await node.head(Question("open/a", PAYER), NoLine())).size == SIZE


@pytest.mark.parametrize("limit", [1, 2, 1000])
@pytest.mark.parametrize("delimiter", ["", "/"])
async def test_a_granted_region_is_told_no_name_outside_its_paths(s3: FakeS3, limit: int, delimiter: str) -> None:
    async with three_regions(s3, "/ns/train/open") as made:
        with rented_node(made, NEAR) as node:
            for prefix in ("", "o", "op", "other/", "secret", "open-", "open0"):
                with pytest.raises(NotGranted):
                    await pages(node, prefix, delimiter, limit)

            at, beneath = await pages(node, "open", delimiter, limit), await pages(node, "open/", delimiter, limit)

            assert names(at) == (["open/"] if delimiter else list(INSIDE))
            assert names(beneath) == (["open/a", "open/b/", "open/z"] if delimiter else list(INSIDE))
            text = repr((at, beneath))
            assert not any(f"{key!r}"[1:-1] in text for key in ("open-not", "open.d", "open0", "secret", "other"))


async def test_what_another_mount_hides_is_told_to_no_granted_region(s3: FakeS3) -> None:
    for key in ("open/a", "open/hidden/x", "open/hidden/y", "open/z"):
        s3.bucket("bucket1").put(key, 100)
    async with world() as made:
        for region in (FAR, NEAR):
            await made.start(region)
        hides = {
            "mounts": {
                "/ns/train": {"bucket": "train-bj"},
                "/ns/train/open/hidden": {"bucket": "train-bj", "prefix": "n/"},
            }
        }
        files = granted(s3.url, made.peer(FAR), made.peer(NEAR), ["/ns/train/open"], **hides)
        for region in (FAR, NEAR):
            await made.apply(region, files)
        with rented_node(made, FAR) as node:
            found = await pages(node, "open/")

            assert names(found) == ["open/a", "open/z"]
            assert "hidden/x" not in repr(found)
            with pytest.raises(NotGranted):
                await node.head(Question("open/hidden/x", PAYER), NoLine())


async def test_doors_of_a_granted_region_open_what_is_granted_alone(s3: FakeS3) -> None:
    async with three_regions(s3, "/ns/train/open") as made:
        operations = made.nodes[RENTED].operations

        listed = await operations.list("/ns/train", "", 100, True)
        with pytest.raises(OperationFault):
            await operations.stat("/ns/train/secret")
        explained = await operations.explain("/ns/train/secret")

        assert [name.path for name in listed.names] == [f"/ns/train/{key}" for key in INSIDE]
        assert [way.why for way in explained.ways] == ["region 'gpu-7' is granted other paths only: /ns/train/open"]


async def test_a_region_that_is_in_no_topology_is_told_nothing(s3: FakeS3) -> None:
    async with three_regions(s3, "/ns/train/open") as made:
        await made.apply(NEAR, topology(s3.url, made.peer(FAR)))
        with rented_node(made, NEAR) as node, pytest.raises(OriginUnavailable, match="'gpu-7' is not in the topology"):
            await node.head(Question("open/a", PAYER), NoLine())


async def test_a_grant_that_is_taken_back_holds_at_once_for_what_is_cached_too(s3: FakeS3) -> None:
    async with three_regions(s3, "/ns/train/open", "/ns/train/other") as made:
        assert await read(made, "other/a", region=RENTED) == ramp(0, SIZE)
        await landed(made)

        files = granted(s3.url, made.peer(FAR), made.peer(NEAR), ["/ns/train/open"])
        for region in (FAR, NEAR, RENTED):
            await made.apply(region, files)

        with pytest.raises(NotGranted):
            await made.nodes[RENTED].operations.open("/ns/train/other/a", WHOLE)


async def test_a_granted_region_asks_no_bucket_also_when_its_parent_is_away(s3: FakeS3) -> None:
    async with three_regions(s3, "/ns/train/open") as made:
        assert await read(made, "open/a", region=RENTED) == ramp(0, SIZE)
        await landed(made)
        await made.stop(NEAR)
        asked = len(s3.heard)

        with pytest.raises(OperationFault):
            await made.nodes[RENTED].operations.open("/ns/train/open/b/c", WHOLE)

        assert await read(made, "open/a", region=RENTED) == ramp(0, SIZE)
        assert len(s3.heard) == asked
