"""Members whose answers are spoilt on the way: who reads gets right bytes all the same, and the line nothing twice."""

import pytest

from regioncache.peers import client as peers
from regioncache.peers.proto import FRAME_BYTES, HEADER_BYTES
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.fakes.spoiling import Spoil, stretch
from tests.flow.journeys import get, landed
from tests.flow.members import cluster
from tests.flow.world import MIB

pytestmark = pytest.mark.anyio
SIZE = 3 * MIB + 17
IN_FRAME = 700_000
"""In the midst of the payload of a frame of the reply."""


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize(
    "spoils",
    [
        [Spoil(IN_FRAME, "flip")],
        [Spoil(IN_FRAME, "flip"), Spoil(2_000, "flip"), Spoil(IN_FRAME * 2, "flip")],
        [Spoil(IN_FRAME, "cut")],
        [Spoil(600 + 3 * (HEADER_BYTES + FRAME_BYTES + 16), "cut")],
        [Spoil(0, "cut"), Spoil(5, "cut")],
        [Spoil(IN_FRAME, "add", b"\0" * 40)],
        [Spoil(0, "add", b"SSH-2.0-OpenSSH_9.9\r\n")],
        [Spoil(100, "flip")],
    ],
    ids=[
        "a flipped bit",
        "three",
        "cut in a frame",
        "cut near a frame's end",
        "cut before it",
        "too much",
        "no HTTP",
        "a head",
    ],
)
async def test_a_reader_gets_right_bytes_though_the_owners_answers_are_spoilt(
    s3: FakeS3, spoils: list[Spoil], warm: bool
) -> None:
    async with cluster(s3, ("a", "b")) as members:
        key = members.owned_by("b")
        s3.bucket("bucket1").put(key, SIZE)
        if warm:
            await get(members.world, key, region="b")
            await landed(members.world)
        async with stretch(members.world.peer("b")) as way:
            members.moved("b", way.address)
            way.spoils = list(spoils)

            got = await get(members.world, key, region="a")
            await landed(members.world)

            assert (got.status, got.cut) == (200, False)
            assert got.body == ramp(0, SIZE)
            assert way.spoilt == len(spoils)
        assert members.brought() == {"unique": SIZE}
        assert s3.sent[key] == SIZE


@pytest.mark.parametrize("at", [0, 300, IN_FRAME])
async def test_an_owner_that_falls_silent_without_a_word_is_asked_again(
    s3: FakeS3, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A second is enough to show that it is the silence that is noticed.
    monkeypatch.setattr(peers, "SILENCE_SECONDS", 1.5)
    monkeypatch.setattr("regioncache.owners.memberroutes.SILENCE_SECONDS", 1.5)
    monkeypatch.setattr("regioncache.peers.desks.SILENCE_SECONDS", 1.5)
    async with cluster(s3, ("a", "b")) as members:
        key = members.owned_by("b")
        s3.bucket("bucket1").put(key, SIZE)
        async with stretch(members.world.peer("b")) as way:
            members.moved("b", way.address)
            # The question whether it is alive hangs too, once.
            way.spoils = [Spoil(at, "hang"), Spoil(0, "hang")] if at < IN_FRAME else [Spoil(at, "hang")]

            got = await get(members.world, key, region="a")
            await landed(members.world)

            assert (got.status, got.cut) == (200, False)
            assert got.body == ramp(0, SIZE)
        assert members.brought() == {"unique": SIZE}
