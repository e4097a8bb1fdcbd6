"""`kill -9` while several streams land: after the restart every byte is right and each stream lost a page at most."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from regioncache.pages import KIB, MIB, Span
from regioncache.store.base import StoreSettings
from regioncache.store.store import Store
from tests.fakes.storing import content, meta, oid, packed, put, read, version

pytestmark = [pytest.mark.real, pytest.mark.anyio]
STREAMS = 4
PIECE = 100 * KIB
SIZE = 64 * MIB - 12_345


async def fill(path: Path, page_bytes: int) -> None:
    """What is killed: lands one object by each stream, packs small ones beside, and tells of each piece that is in."""
    store = await Store.open(StoreSettings((path,), size=1 << 34))

    async def stream(number: int) -> None:
        pages = Span(number, -(-SIZE // page_bytes))
        landing = await store.land(oid(f"key {number}"), meta(SIZE), page_bytes, 0, pages)
        assert landing is not None
        at = number * page_bytes
        while at < SIZE:
            end = min(at + PIECE, SIZE)
            await landing.write(at, memoryview(content(Span(at, end))))
            print(number, end, flush=True)
            at = end
        await landing.close()

    async def small() -> None:
        for number in range(100_000):
            assert await store.pack(oid(f"small {number}"), meta(3000), content(Span(0, 3000)))
            print("small", number, flush=True)

    async with asyncio.TaskGroup() as group:
        for number in range(STREAMS):
            group.create_task(stream(number))
        group.create_task(small())


def killed_after(path: Path, page_bytes: int, lines: int) -> tuple[dict[int, int], int]:
    """Returns how far each stream came, and the last small object, as told before the kill."""
    command = [sys.executable, "-m", "tests.real.test_store_kill", str(path), str(page_bytes)]
    came = dict.fromkeys(range(STREAMS), 0)
    small = -1
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if not line.endswith("\n"):
                break
            name, number = line.split()
            if name == "small":
                small = int(number)
            else:
                came[int(name)] = int(number)
            lines -= 1
            if not lines:
                os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    return came, small


@pytest.mark.parametrize("page_bytes", [64 * KIB, MIB])
@pytest.mark.parametrize("seed", range(3))
async def test_a_killed_store_lost_a_page_of_each_stream_at_most(tmp_path: Path, page_bytes: int, seed: int) -> None:
    lines = random.Random(seed).randrange(20, 1500)
    came, small = killed_after(tmp_path, page_bytes, lines)

    store = await Store.open(StoreSettings((tmp_path,), size=1 << 34))

    assert store.statistics().corrupt_pages == 0
    for number, end in came.items():
        key = f"key {number}"
        if not end:
            continue
        first, last = number, -(-SIZE // page_bytes)
        whole = last if end == SIZE else end // page_bytes
        held = store.present(oid(key), version(), page_bytes, Span(0, last))
        assert held == [] or held[0].start == first
        assert len(held) <= 1
        upto = held[0].end if held else first
        assert upto >= whole
        for page in range(first, upto):
            span = Span(page * page_bytes, min((page + 1) * page_bytes, SIZE))
            assert await read(store, key, span) == content(span)
        if upto < last:
            assert store.torn(oid(key), version(), 0) == Span(upto, last)
            assert await put(store, key, meta(SIZE), Span(upto, upto + 1), page_bytes)
            assert store.torn(oid(key), version(), 0) is None
        else:
            assert store.torn(oid(key), version(), 0) is None
    for number in range(small + 1):
        assert await packed(store, f"small {number}") == (meta(3000), content(Span(0, 3000)))
    await store.close()


if __name__ == "__main__":
    asyncio.run(fill(Path(sys.argv[1]), int(sys.argv[2])))
