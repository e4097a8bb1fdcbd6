"""Random views and reads: bytes are right, and as long as no member is lost each page comes once.

The model is the bucket itself. A view is any set of members that has those that hold something; members that have not
heard of it yet go by the one before.
"""

import asyncio
import random

import pytest

from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.flow.journeys import landed, read
from tests.flow.members import EXTENT, Cluster, cluster
from tests.flow.world import MIB

pytestmark = pytest.mark.anyio
NAMES = ("a", "b", "c", "d")
SIZES = (0, 1, 60_000, 200_000, 3 * MIB + 17, EXTENT + 5 * MIB + 3)


async def _readers(members: Cluster, dice: random.Random, keys: dict[str, int]) -> set[tuple[str, int]]:
    """Some ranges of some objects at some members at once; returns the pages that they touch."""
    touched: set[tuple[str, int]] = set()
    reads = []
    for _ in range(dice.randint(1, 8)):
        key, size = dice.choice(list(keys.items()))
        start = dice.randrange(size) if size else 0
        end = min(size, start + dice.choice((1, 5000, MIB, 9 * MIB)))
        touched |= {(key, page) for page in range(start // MIB, -(-end // MIB))}
        reads.append((key, start, end, dice.choice(NAMES)))
    got = await asyncio.gather(*(_read(members, *one) for one in reads))
    for (_, start, end, _), body in zip(reads, got, strict=True):
        assert body == ramp(start, end)
    return touched


async def _read(members: Cluster, key: str, start: int, end: int, name: str) -> bytes:
    return await read(members.world, key, start, end, region=name) if end else b""


@pytest.mark.parametrize("seed", range(6))
async def test_each_page_comes_once_whatever_views_follow_one_another(s3: FakeS3, seed: int) -> None:
    dice = random.Random(seed)
    keys = {f"k{n}": SIZES[n % len(SIZES)] for n in range(12)}
    for key, size in keys.items():
        s3.bucket("bucket1").put(key, size)
    touched: set[tuple[str, int]] = set()
    async with cluster(s3, NAMES) as members:
        present = dice.sample(NAMES, 2)
        members.view(*present)
        for _ in range(6):
            going = asyncio.create_task(_readers(members, dice, keys))
            for _ in range(dice.randrange(30)):
                await asyncio.sleep(0)
            if len(present) < len(NAMES):
                present.append(dice.choice([name for name in NAMES if name not in present]))
            members.view(*present)
            touched |= await going
            touched |= await _readers(members, dice, keys)
        await landed(members.world)

        wanted = dict.fromkeys(keys, 0)
        for key, page in touched:
            wanted[key] += min(MIB, keys[key] - page * MIB)
        assert {key: s3.sent[key] for key in keys} == wanted
        # The far region has all of it: who asks twice over the line is seen by the line alone.
        assert members.brought().get("unique", 0) == sum(wanted.values())
        assert set(members.brought()) <= {"unique"}


@pytest.mark.parametrize("seed", range(6))
async def test_bytes_are_right_whatever_views_members_have(s3: FakeS3, seed: int) -> None:
    dice = random.Random(seed)
    keys = {f"k{n}": SIZES[n % len(SIZES)] for n in range(12)}
    for key, size in keys.items():
        s3.bucket("bucket1").put(key, size)
    async with cluster(s3, NAMES) as members:
        for _ in range(8):
            going = asyncio.create_task(_readers(members, dice, keys))
            for _ in range(dice.randrange(30)):
                await asyncio.sleep(0)
            view = dice.sample(NAMES, dice.randint(1, 4))
            members.view(*view, seen_by=dice.sample(NAMES, dice.randint(1, 4)))
            for _ in range(dice.randrange(300)):
                await asyncio.sleep(0)
            members.view(*view)
            await going
