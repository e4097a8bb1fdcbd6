"""The file origin: ranges of one version of a file, and what is no object."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from regioncache.errors import (
    KeyRefused,
    NoSuchObject,
    RangeOutside,
    VersionChanged,
)
from regioncache.lines.crossing import NoLine
from regioncache.origins.base import ListAsk, Payer, Question
from regioncache.origins.file import FileOrigin
from regioncache.origins.root import FileCalls
from regioncache.pages import MIB, Span
from tests.fakes.asking import body, head, read, want
from tests.fakes.ramp import ramp

pytestmark = pytest.mark.anyio
Put = Callable[..., Path]
TIB = 1 << 40


async def test_a_range_is_read_and_tells_what_the_whole_is(nas: FileOrigin, put: Put) -> None:
    put("a/b.jpg", ramp(0, 3 * MIB), modified=1_600_000_000.0)
    crossing = NoLine()

    reading = await nas.read(want("a/b.jpg", MIB, 2 * MIB), crossing)

    assert (reading.span, reading.meta.size) == (Span(MIB, 2 * MIB), 3 * MIB)
    assert (reading.meta.content_type, reading.meta.last_modified) == ("image/jpeg", 1_600_000_000.0)
    assert await body(reading) == ramp(MIB, 2 * MIB)
    assert crossing.bytes_read == MIB


async def test_a_range_ends_with_the_file(nas: FileOrigin, put: Put) -> None:
    put("k", ramp(0, 1000))

    assert await read(nas, want("k", 900, MIB)) == ramp(900, 1000)


@pytest.mark.parametrize("size", [0, 1000])
async def test_a_range_behind_the_end_tells_the_size(nas: FileOrigin, put: Put, size: int) -> None:
    put("k", ramp(0, size))

    with pytest.raises(RangeOutside) as caught:
        await nas.read(want("k", size, size + 10), NoLine())

    assert caught.value.size == size


async def test_the_tag_is_quoted_stable_no_md5_and_that_of_the_list(nas: FileOrigin, put: Put) -> None:
    put("k", ramp(0, 1000))
    first = await head(nas)

    assert (await head(nas)).etag == first.etag == first.version
    assert first.etag.startswith('"file-')
    assert first.etag.endswith('"')
    listed = await nas.list(ListAsk(), Question("", Payer("rec")), NoLine())
    assert [entry.etag for entry in listed.entries] == [first.etag]


async def test_every_way_to_change_a_file_changes_its_tag(nas: FileOrigin, put: Put, directory: Path) -> None:
    path = put("k", ramp(0, 1000), modified=1_600_000_000)
    seen = [(await head(nas)).etag]

    def replaced() -> None:
        put("other", ramp(0, 1000), modified=1_600_000_000).rename(path)

    def another_time() -> None:
        os.utime(path, (1, 1))

    for change in (lambda: os.truncate(path, 999), another_time, replaced):
        change()
        seen.append((await head(nas)).etag)

    assert len(set(seen)) == 4


async def test_another_version_than_the_one_wanted_is_not_read(nas: FileOrigin, put: Put) -> None:
    put("k", ramp(0, 1000))
    version = (await head(nas)).version
    put("k", ramp(0, 900))

    with pytest.raises(VersionChanged):
        await nas.read(want(version=version), NoLine())


@pytest.mark.parametrize("change", ["overwritten", "shrunk", "longer", "touched"])
async def test_a_file_that_changes_while_it_is_read_is_told_before_its_bytes_are(
    nas: FileOrigin, put: Put, change: str
) -> None:
    path = put("k", ramp(0, MIB), modified=1_600_000_000)
    reading = await nas.read(want(), NoLine())
    into = memoryview(bytearray(1000))
    await reading.receive(into)
    before = bytes(into)
    match change:
        case "overwritten":
            with path.open("r+b") as file:
                file.write(ramp(0, MIB, 3))
        case "shrunk":
            os.truncate(path, 500)
        case "longer":
            os.truncate(path, MIB + 1)
        case _:
            os.utime(path, (5, 5))

    with pytest.raises(VersionChanged, match="changed while it was read"):
        await reading.receive(into)

    reading.close()
    assert bytes(into) == before


async def test_a_change_between_the_bytes_and_the_second_look_is_seen(directory: Path, put: Put) -> None:
    path = put("k", ramp(0, 1000), modified=1_600_000_000)

    def meanwhile(fd: int, nbytes: int, at: int) -> bytes:
        got = os.pread(fd, nbytes, at)
        path.write_bytes(ramp(0, 1000, 3))
        return got

    nas = FileOrigin("nas", str(directory), calls=FileCalls(pread=meanwhile))
    with pytest.raises(VersionChanged):
        await read(nas, want())


async def test_a_file_that_is_replaced_while_it_is_read_has_changed(nas: FileOrigin, put: Put) -> None:
    path = put("k", ramp(0, MIB))
    reading = await nas.read(want(), NoLine())
    put("new", ramp(0, MIB, 3)).rename(path)

    # Its bytes are what they were; but the kernel counts a lost name as a change (ctime), and a newer version is there.
    with pytest.raises(VersionChanged):
        await body(reading)


async def test_what_changed_less_than_two_seconds_ago_is_not_settled(directory: Path, put: Put) -> None:
    changed = put("k").stat().st_ctime
    walls = {"young": changed + 1.9, "old": changed + 2.1, "of the future": changed - 1000}

    settled = {
        name: (await head(FileOrigin("nas", str(directory), wall=lambda now=now: now))).settled  # type: ignore[misc]
        for name, now in walls.items()
    }

    assert settled == {"young": False, "old": True, "of the future": False}


async def test_a_time_that_was_set_by_hand_does_not_make_a_file_young_or_old(directory: Path, put: Put) -> None:
    path = put("k", modified=4_000_000_000)
    now = path.stat().st_ctime + 3

    assert (await head(FileOrigin("nas", str(directory), wall=lambda: now))).settled


@pytest.mark.parametrize("key", ["a//b", "/a", "a/./b", "../a", "a/..", ".", "a\0b", "//", "/"])
async def test_a_key_that_no_file_can_have_is_refused(nas: FileOrigin, put: Put, key: str) -> None:
    put("a/b")

    with pytest.raises(KeyRefused, match=r"no part of a key in a directory is empty, '\.' or '\.\.'"):
        await nas.read(want(key), NoLine())


async def test_a_name_longer_than_the_file_system_takes_is_refused(nas: FileOrigin, put: Put) -> None:
    put("a")

    with pytest.raises(KeyRefused, match="takes no such name"):
        await head(nas, "x" * 300)


@pytest.mark.parametrize(
    "key", ["missing", "dir", "dir/", "missing/", "file/below", "pipe", "socket", "out", "absolute", "circle", "null"]
)
async def test_what_is_no_regular_file_beneath_the_directory_is_no_object(
    nas: FileOrigin, put: Put, directory: Path, key: str
) -> None:
    put("dir/file")
    put("file")
    os.mkfifo(directory / "pipe")
    os.mknod(directory / "socket", 0o140644)
    (directory.parent / "secret").write_text("secret")
    for name, target in {
        "out": "../secret",
        "absolute": "/etc/passwd",
        "circle": "circle",
        "null": "/dev/null",
    }.items():
        (directory / name).symlink_to(target)

    for asked in (nas.read(want(key), NoLine()), head(nas, key)):
        with pytest.raises(NoSuchObject) as caught:
            await asked
        assert type(caught.value) is NoSuchObject


async def test_a_link_within_the_directory_is_read(nas: FileOrigin, put: Put, directory: Path) -> None:
    put("v3/data", ramp(0, 1000))
    (directory / "latest").symlink_to("v3")

    assert await read(nas, want("latest/data")) == ramp(0, 1000)


async def test_names_are_bytes_and_may_hold_anything_else(nas: FileOrigin, put: Put) -> None:
    for key in ("数据/ü.bin", "a b#c?d%20:e", "-rf", ".hidden", "new\nline", "back\\slash"):
        put(key, key.encode())

        assert await read(nas, want(key)) == key.encode()


async def test_a_sparse_file_of_five_tib_is_headed_and_read_at_both_ends(nas: FileOrigin, directory: Path) -> None:
    path = directory / "huge"
    with path.open("wb") as file:
        file.write(b"begin")
        file.truncate(5 * TIB)
        os.pwrite(file.fileno(), b"end", 5 * TIB - 3)
    crossing = NoLine()

    assert (await head(nas, "huge")).size == 5 * TIB
    assert await read(nas, want("huge", 0, 5), crossing) == b"begin"
    assert await read(nas, want("huge", 5 * TIB - 3, 5 * TIB), crossing) == b"end"
    assert crossing.bytes_read == 8
