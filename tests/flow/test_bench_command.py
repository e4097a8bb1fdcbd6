"""`causeway bench` against a region whose objects lie behind a line.

Passes end at their bytes, or when they are told to: in how many seconds a loaded machine reads, nobody can say.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator

import pytest

from tests.fakes.s3server import FakeS3, S3Fault, stall, status
from tests.flow.world import FAR, NEAR, World, two_regions

pytestmark = pytest.mark.anyio
UP_TO = ("--seconds", "90", "--bytes")
"""A pass of so many bytes, whatever time it takes."""


@pytest.fixture
async def regions(s3: FakeS3) -> AsyncIterator[World]:
    bucket = s3.bucket("bucket1")
    for number in range(6):
        bucket.put(f"set/{number}", 100_000)
    bucket.put("alone", 2_000_000)
    bucket.put("few/empty", 0)
    bucket.put("few/full", 100_000)
    async with two_regions(s3.url) as world:
        yield world


async def started(world: World, *arguments: str, **env: str) -> asyncio.subprocess.Process:
    assert world.key is not None
    keys = {"AWS_ACCESS_KEY_ID": world.key.id, "AWS_SECRET_ACCESS_KEY": world.key.secret}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "bench", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "CAUSEWAY_S3": world.url(NEAR), **keys, **env},
    )


async def bench(world: World, *arguments: str, **env: str) -> tuple[int, str, str]:
    running = await started(world, *arguments, **env)
    out, err = await running.communicate()
    assert running.returncode is not None
    return running.returncode, out.decode(), err.decode()


async def test_cold_is_over_the_line_and_warm_from_the_pages(regions: World) -> None:
    code, out, err = await bench(regions, "/ns/train/set", *UP_TO, "2MB", "--json")

    assert (code, err) == (0, "")
    cold, warm = json.loads(out)["passes"]
    assert (cold["name"], cold["reads"], cold["nbytes"], cold["sources"]) == ("cold", 6, 600_000, {"line": 6})
    # One that is read again before it is on disk has it of the flight that brought it; nothing crosses twice.
    assert warm["reads"] >= 6
    assert set(warm["sources"]) <= {"page", "line"}
    assert warm["sources"]["page"]
    assert regions.nodes[NEAR].running.app.tally.brought == 600_000
    assert 0 < cold["first"]["p50"] <= cold["whole"]["p50"] <= cold["whole"]["p99"]


async def test_ranges_bring_no_more_than_they_ask_for_and_cross_once(regions: World) -> None:
    _, out, _ = await bench(regions, "s3://train/alone", "--range", "64KiB", "--random", *UP_TO, "4MB", "--json")

    cold, _ = json.loads(out)["passes"]
    assert (cold["reads"], cold["nbytes"]) == (31, 2_000_000)
    assert regions.nodes[NEAR].running.app.tally.brought == 2_000_000


async def test_what_is_freed_before_is_cold_again(regions: World) -> None:
    running = regions.nodes[NEAR].running
    admin = {
        "CAUSEWAY_ADMIN": f"http://{running.addresses['admin']}",
        "CAUSEWAY_TOKEN": running.settings.token_file.read_text().strip(),
    }
    await bench(regions, "/ns/train/set", *UP_TO, "700KB")

    _, out, err = await bench(regions, "/ns/train/set", "--free", *UP_TO, "700KB", "--json", **admin)

    assert err == ""
    assert json.loads(out)["passes"][0]["sources"] == {"line": 6}


async def test_people_get_a_table(regions: World) -> None:
    code, out, _ = await bench(regions, "/ns/train/alone", *UP_TO, "4MB")

    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[:3]] == ["pass", "cold", "warm"]


async def test_an_empty_object_is_a_read_too(regions: World) -> None:
    code, out, _ = await bench(regions, "/ns/train/few", *UP_TO, "300KB", "--json")

    cold, _ = json.loads(out)["passes"]
    assert (code, cold["reads"], cold["nbytes"]) == (0, 4, 200_000)


async def test_a_pass_ends_at_its_bytes(regions: World) -> None:
    _, out, _ = await bench(regions, "/ns/train/set", *UP_TO, "250KB", "--readers", "1", "--json")

    for one in json.loads(out)["passes"]:
        assert 250_000 <= one["nbytes"] <= 300_000


async def test_who_is_told_to_come_again_does_and_it_is_counted(regions: World, s3: FakeS3) -> None:
    s3.next(S3Fault())  # the HEAD passes
    s3.always = status(500)
    counted = regions.nodes[NEAR].running.counters.requests

    running = await started(regions, "/ns/train/set/0", "--seconds", "600", "--json")
    # Of four readers, one has come again.
    while sum(count for (door, _, code), count in counted.items() if (door, code) == ("s3", 503)) < 5:
        await asyncio.sleep(0.01)
    running.send_signal(signal.SIGINT)
    out, _ = await running.communicate()

    (cold,) = json.loads(out)["passes"]
    assert (running.returncode, cold["reads"], cold["cut_off"]) == (130, 0, 4)
    assert cold["slowed_down"] >= 1


@pytest.mark.parametrize(
    ("arguments", "env", "told"),
    [
        (["/ns/train/absent"], {}, "/ns/train/absent is not there, or the key may not see it"),
        (["/ns/train/alone"], {"AWS_SECRET_ACCESS_KEY": "another-secret"}, "is it the right key"),
        (["/ns/train/alone"], {"AWS_ACCESS_KEY_ID": ""}, "`causeway keys add` prints"),
        (["/ns/train/alone"], {"CAUSEWAY_S3": "http://127.0.0.1:1"}, "no S3 door answers at http://127.0.0.1:1"),
        (["/ns/train/alone"], {"CAUSEWAY_S3": "127.0.0.1:1"}, "--s3 or CAUSEWAY_S3"),
        (["train/alone"], {}, "is no path of the tree"),
    ],
)
async def test_what_is_wrong_is_said_with_its_remedy(
    regions: World, arguments: list[str], env: dict[str, str], told: str
) -> None:
    code, _, err = await bench(regions, *arguments, **env)

    assert code == 1
    assert told in err
    assert "Traceback" not in err


async def test_ctrl_c_shows_what_was_seen_so_far(regions: World, s3: FakeS3) -> None:
    held = stall(10_000)
    s3.next(S3Fault(), held)  # the HEAD passes
    running = await started(regions, "/ns/train/set/0", "--seconds", "600", "--json")
    await held.reached.wait()

    running.send_signal(signal.SIGINT)
    out, err = await running.communicate()
    held.released.set()

    assert running.returncode == 130
    assert err == b""
    (cold,) = json.loads(out)["passes"]
    assert (cold["reads"], cold["cut_off"]) == (0, 4)


async def test_the_tenant_of_the_key_is_billed(regions: World) -> None:
    await bench(regions, "/ns/train/set", *UP_TO, "700KB", "--class", "interactive")

    payers = {(one.tenant, one.cls) for one in regions.nodes[NEAR].running.app.ledger.totals() if one.kind == "unique"}
    assert payers == {("rec", "interactive")}
    assert regions.nodes[FAR].running.counters.requests["peer", "read", 200] >= 6
