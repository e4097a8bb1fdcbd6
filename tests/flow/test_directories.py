"""A directory as a bucket: its home region reads it, another one through its home's node, over the line, once."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from regioncache.errors import OriginUnavailable, VersionChanged
from regioncache.pages import WHOLE
from tests.fakes.ramp import ramp
from tests.flow.journeys import get, kinds, landed, read
from tests.flow.world import FAR, MIB, NEAR, World, two_regions

pytestmark = pytest.mark.anyio
TIB = 1 << 40
BEFORE = -1_000_000.0
"""Clocks that are behind the file system's: whatever is written now has changed a moment ago, or is still to come."""
REGIONS = [FAR, NEAR]
Put = Callable[..., Path]


@pytest.fixture
def nas(tmp_path: Path) -> Path:
    made = tmp_path / "nas" / "train"
    made.mkdir(parents=True)
    (made / "there").touch()
    return made


@pytest.fixture
def put(nas: Path) -> Put:
    def write(key: str, body: bytes) -> Path:
        path = nas / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return path

    return write


def over(nas: Path, **mount: Any) -> Any:
    """Both regions over a directory, their clocks 10 s later than what was just written."""
    bucket = {"provider": "file", "credentials": "none"}
    return two_regions(nas.as_uri(), bucket=bucket, mount=mount or None)


def settle(regions: World) -> None:
    """What was written before now is settled."""
    regions.ahead = 10.0


@pytest.mark.parametrize("size", [0, 1, 100_000, 256 * 1024 + 1, 70 * MIB + 5])
async def test_a_file_crosses_the_line_once(nas: Path, put: Put, size: int) -> None:
    put("a/k", ramp(0, size))
    async with over(nas) as regions:
        settle(regions)
        for _ in range(2):
            got = await get(regions, "a/k")
            assert (got.status, got.cut, got.body) == (200, False, ramp(0, size))
            await landed(regions)

        assert kinds(regions).get("unique", 0) == size
        assert set(kinds(regions)) <= {"unique", "meta"}


async def test_a_range_of_a_sparse_file_of_five_tib_moves_one_page(nas: Path) -> None:
    with (nas / "huge").open("wb") as file:
        file.truncate(5 * TIB)
        os.pwrite(file.fileno(), ramp(0, 5000), 5 * TIB - 5000)
    async with over(nas) as regions:
        settle(regions)

        assert await read(regions, "huge", 5 * TIB - 5000, 5 * TIB) == ramp(0, 5000)
        await landed(regions)

        assert kinds(regions) == {"unique": MIB}


@pytest.mark.parametrize("size", [1000, 3 * MIB])
async def test_what_changed_a_moment_ago_is_served_and_kept_nowhere_until_it_is_settled(
    nas: Path, put: Put, size: int
) -> None:
    put("k", ramp(0, size))
    async with over(nas) as regions:
        regions.ahead = BEFORE
        sources = []
        for ahead in (BEFORE, BEFORE, 10.0, 10.0):
            regions.ahead = ahead
            got = await get(regions, "k")
            assert (got.status, got.body) == (200, ramp(0, size))
            sources.append(got.headers["x-causeway-source"])
            await landed(regions)

        assert sources == ["line", "line", "line", "page"]


async def test_an_overwritten_file_is_seen_by_a_region_that_validates(nas: Path, put: Put) -> None:
    put("k", ramp(0, 1000))
    async with over(nas, consistency="validate") as regions:
        settle(regions)
        assert await read(regions, "k") == ramp(0, 1000)
        put("k", ramp(0, 1000, 4))

        assert await read(regions, "k") == ramp(0, 1000, 4)


async def rest(pieces: AsyncIterator[memoryview], into: bytearray) -> None:
    async for piece in pieces:
        into += piece


@pytest.mark.parametrize("region", REGIONS)
async def test_a_file_overwritten_while_it_is_read_never_comes_mixed(nas: Path, put: Put, region: str) -> None:
    size = 140 * MIB
    put("k", ramp(0, size))
    async with over(nas) as regions:
        settle(regions)
        opened = await regions.nodes[region].operations.open("/ns/train/k", WHOLE)
        pieces = opened.stream()
        got = bytearray(await anext(pieces))
        put("k", ramp(0, size, 4))

        with pytest.raises((VersionChanged, OriginUnavailable)):
            await rest(pieces, got)

        opened.close()
        assert len(got) < size
        assert got == ramp(0, len(got))
        assert await read(regions, "k", 0, MIB, region=region) == ramp(0, MIB, 4)


@pytest.mark.parametrize("region", REGIONS)
async def test_a_directory_that_goes_away_costs_what_is_not_cached_and_nothing_else(
    nas: Path, put: Put, region: str
) -> None:
    put("held", ramp(0, 3 * MIB))
    put("other", ramp(0, 1000))
    async with over(nas, consistency={"max_age": "60s"}) as regions:
        settle(regions)
        assert await read(regions, "held", region=region) == ramp(0, 3 * MIB)
        await landed(regions)
        nas.rename(nas.parent / "gone")
        nas.mkdir()  # as an unmounted file system leaves it
        regions.ahead += 3600

        got = await get(regions, "held", region=region)
        assert (got.status, got.body) == (200, ramp(0, 3 * MIB))
        assert (await get(regions, "other", region=region)).code == "ServiceUnavailable"
        assert (await get(regions, "held", region=region)).body == ramp(0, 3 * MIB)

        nas.rmdir()
        (nas.parent / "gone").rename(nas)
        while (got := await get(regions, "other", region=region)).status != 200:
            assert got.code == "ServiceUnavailable"
        assert got.body == ramp(0, 1000)


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize(
    ("key", "status", "code"),
    [
        ("a//b", 400, "InvalidURI"),
        ("a/./b", 400, "InvalidURI"),
        ("a/../b", 400, "InvalidURI"),
        ("a\0b", 400, "InvalidURI"),
        ("x" * 300, 400, "InvalidURI"),
        ("missing", 404, "NoSuchKey"),
        ("a", 404, "NoSuchKey"),
        ("a/", 404, "NoSuchKey"),
        ("out", 404, "NoSuchKey"),
    ],
)
async def test_a_key_that_is_no_file_is_told_in_s3s_words(
    nas: Path, put: Put, region: str, key: str, status: int, code: str
) -> None:
    put("a/b", b"x")
    (nas.parent / "secret").write_text("secret")
    (nas / "out").symlink_to("../secret")
    async with over(nas) as regions:
        settle(regions)

        got = await get(regions, key, region=region)

        assert (got.status, got.code) == (status, code)


@pytest.mark.parametrize("region", REGIONS)
async def test_a_tree_is_listed_in_the_order_of_its_keys(nas: Path, put: Put, region: str) -> None:
    keys = ["a-b", "a.txt", "a/x", "a/y/z", "a0", "there", "ü"]
    for key in keys:
        put(key, b"12345")
    async with over(nas) as regions:
        settle(regions)
        operations = regions.nodes[region].operations

        every = await operations.list("/ns/train", "", 1000, True)
        rolled = await operations.list("/ns/train", "", 1000, False)

        assert [name.path for name in every.names] == [f"/ns/train/{key}" for key in keys]
        assert [name.path for name in rolled.names if name.path.endswith("/")] == ["/ns/train/a/"]
