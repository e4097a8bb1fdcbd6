"""A far region whose answers are spoilt on the line: who reads gets right bytes, and the origin is read once."""

import pytest

from regioncache.peers import client as peers
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.fakes.spoiling import Spoil, stretch
from tests.flow.journeys import get, kinds, landed
from tests.flow.world import FAR, MIB, NEAR, topology, world

pytestmark = pytest.mark.anyio
SIZE = 3 * MIB + 17
IN_FRAME = 700_000


@pytest.mark.parametrize(
    "how",
    [
        Spoil(IN_FRAME, "flip"),
        Spoil(IN_FRAME, "cut"),
        Spoil(IN_FRAME, "hang"),
        Spoil(IN_FRAME, "add", b"\0" * 40),
        Spoil(0, "add", b"SSH-2.0-OpenSSH_9.9\r\n"),
        Spoil(0, "cut"),
        Spoil(100, "flip"),
    ],
    ids=["a flipped bit", "cut", "silent", "too much", "no HTTP", "cut before it", "a head"],
)
async def test_a_reader_gets_right_bytes_though_a_far_regions_answers_are_spoilt(
    s3: FakeS3, how: Spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A second is enough to show that it is the silence that is noticed.
    monkeypatch.setattr(peers, "SILENCE_SECONDS", 1.5)
    s3.bucket("bucket1").put("k", SIZE)
    async with world() as regions:
        for region in (FAR, NEAR):
            await regions.start(region)
        async with stretch(regions.peer(FAR)) as way:
            for region, far in ((FAR, regions.peer(FAR)), (NEAR, way.address)):
                await regions.apply(region, topology(s3.url, far, endpoint_line=False))
                await regions.admit(region)
            way.spoils = [how]

            got = await get(regions, "k")
            await landed(regions)

            assert (got.status, got.cut) == (200, False)
            assert got.body == ramp(0, SIZE)
            assert way.spoilt == 1
            assert s3.sent["k"] == SIZE
            brought = kinds(regions)
            assert brought["unique"] == SIZE
            # A part of a frame comes again, and what was on its way is lost.
            assert sum(brought.values()) <= SIZE + MIB
            assert bool(brought.get("retry")) == (how.at == IN_FRAME)
