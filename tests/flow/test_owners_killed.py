"""Owners are killed again and again while others read: nobody sees an error or a wrong byte."""

import asyncio
import random

import pytest

from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.flow.journeys import get
from tests.flow.members import NAMES, Cluster, cluster
from tests.flow.world import MIB

pytestmark = pytest.mark.anyio
SIZES = (200_000, 3 * MIB + 17, 70 * MIB + 5)


async def _reads(members: Cluster, dice: random.Random, keys: dict[str, int], over: asyncio.Event) -> int:
    """Reads whole objects at the first member, which is never killed, until it is over; returns how many."""
    count = 0
    while not over.is_set():
        key, size = dice.choice(list(keys.items()))
        got = await get(members.world, key, region="a")
        assert (got.status, got.cut, len(got.body)) == (200, False, size)
        assert got.body == ramp(0, size)
        count += 1
    return count


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("seed", range(2))
async def test_readers_at_another_member_see_nothing_of_killed_owners(s3: FakeS3, seed: int, lost: bool) -> None:
    dice, over = random.Random(seed), asyncio.Event()
    keys = {f"k{n}": SIZES[n % len(SIZES)] for n in range(9)}
    for key, size in keys.items():
        s3.bucket("bucket1").put(key, size)
    async with cluster(s3) as members, asyncio.TaskGroup() as group:
        readers = [group.create_task(_reads(members, dice, keys, over)) for _ in range(4)]
        for _ in range(6):
            killed = dice.choice(("b", "c"))
            for _ in range(dice.randrange(200)):
                await asyncio.sleep(0)
            await members.kill(killed)
            if lost:
                members.view(*(name for name in NAMES if name != killed))
                await asyncio.sleep(0.05)
            await members.start(killed)
            members.view(*NAMES)
        over.set()
    assert all(one.result() for one in readers)
