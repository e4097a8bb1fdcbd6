"""The file origin: ranges of one version of a file, what is no object, and a directory that is away."""

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from regioncache.errors import (
    KeyRefused,
    NoSuchObject,
    OriginForbids,
    OriginUnavailable,
    RangeOutside,
    Refused,
    Unanswered,
    VersionChanged,
)
from regioncache.lines.crossing import NoLine
from regioncache.origins.base import ListAsk, Payer, Question, Reading, Want
from regioncache.origins.file import FileOrigin
from regioncache.origins.filefacts import meaning
from regioncache.origins.root import FileCalls
from regioncache.pages import MIB, Meta, Span, Version
from tests.fakes.ramp import ramp

pytestmark = pytest.mark.anyio
Put = Callable[..., Path]
TIB = 1 << 40


def want(key: str = "k", start: int = 0, end: int = MIB, version: str | None = None) -> Want:
    return Want(key, None if version is None else Version(version), Span(start, end), Payer("rec"))


async def head(nas: FileOrigin, key: str = "k") -> Meta:
    return await nas.head(Question(key, Payer("rec")), NoLine())


async def body(reading: Reading, step: int = 100_000) -> bytes:
    got, into = bytearray(), memoryview(bytearray(step))
    try:
        while n := await reading.receive(into):
            got += into[:n]
    finally:
        reading.close()
    return bytes(got)


async def read(nas: FileOrigin, asked: Want, crossing: NoLine | None = None) -> bytes:
    return await body(await nas.read(asked, crossing or NoLine()))


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


# ---- a directory that is away ---------------------------------------------------------------------------------------


async def every_question(nas: FileOrigin) -> list[BaseException | object]:
    asked = (
        nas.read(want("k"), NoLine()),
        head(nas),
        nas.list(ListAsk(), Question("", Payer("rec")), NoLine()),
    )
    return await asyncio.gather(*asked, return_exceptions=True)


async def test_a_directory_that_is_not_there_is_away_and_says_nothing_of_its_objects(directory: Path) -> None:
    directory.rmdir()

    found = await every_question(FileOrigin("nas", str(directory)))

    assert [type(fault) for fault in found] == [Refused] * 3
    assert "is its file system mounted" in str(found[0])


async def test_an_empty_directory_is_taken_for_one_that_is_not_mounted(nas: FileOrigin, put: Put) -> None:
    assert [type(fault) for fault in await every_question(nas)] == [Refused] * 3

    put("other")

    assert isinstance((await every_question(nas))[0], NoSuchObject)


async def test_a_directory_with_an_empty_folder_is_there(nas: FileOrigin, directory: Path) -> None:
    (directory / "folder").mkdir()

    page = await nas.list(ListAsk(), Question("", Payer("rec")), NoLine())

    assert (page.entries, page.next_after) == ((), None)


@pytest.mark.parametrize("fault", [errno.ESTALE, errno.EIO, errno.ENOTCONN, errno.EACCES])
async def test_a_directory_that_cannot_be_opened_is_away(directory: Path, put: Put, fault: int) -> None:
    put("k")

    def broken(path: str, flags: int) -> int:
        raise OSError(fault, os.strerror(fault), path)

    found = await every_question(FileOrigin("nas", str(directory), calls=FileCalls(open=broken)))

    assert [type(each) for each in found] == [Refused] * 3


async def test_a_node_without_descriptors_left_does_not_take_the_directory_for_away(directory: Path, put: Put) -> None:
    put("k")

    def full(path: str, flags: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)

    found = await every_question(FileOrigin("nas", str(directory), calls=FileCalls(open=full)))

    assert [type(each) for each in found] == [OriginUnavailable] * 3


async def test_one_broken_file_is_no_reason_to_take_the_directory_for_away(directory: Path, put: Put) -> None:
    put("k", ramp(0, 1000))

    def broken(fd: int, nbytes: int, at: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(OriginUnavailable, match="broke off at 0") as caught:
        await read(FileOrigin("nas", str(directory), calls=FileCalls(pread=broken)), want())

    assert type(caught.value) is OriginUnavailable


def test_a_file_that_the_node_may_not_read_is_forbidden() -> None:
    found = meaning(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), "nas", "k")

    assert isinstance(found, OriginForbids)
    assert "let its user read it" in str(found)


# ---- a file system that hangs ---------------------------------------------------------------------------------------


@pytest.fixture
def hung() -> Iterator[threading.Event]:
    """Calls that wait for it hang until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def hanging(directory: Path, hung: threading.Event, **calls: Any) -> FileOrigin:
    return FileOrigin("nas", str(directory), calls=FileCalls(**calls), answer_seconds=0.02, question_seconds=0.01)


async def test_a_file_system_that_hangs_is_silent_and_the_node_goes_on(
    directory: Path, put: Put, hung: threading.Event
) -> None:
    put("k")

    def hangs(path: str, flags: int) -> int:
        hung.wait()
        return os.open(path, flags)

    found = await every_question(hanging(directory, hung, open=hangs))

    assert [type(fault) for fault in found] == [Unanswered] * 3


async def test_bytes_that_come_too_late_do_not_land_where_others_land_by_then(
    directory: Path, put: Put, hung: threading.Event
) -> None:
    put("k", ramp(0, 1000))
    came = threading.Event()

    def late(fd: int, nbytes: int, at: int) -> bytes:
        hung.wait()
        try:
            return os.pread(fd, nbytes, at)
        finally:
            came.set()

    reading = await hanging(directory, hung, pread=late).read(want(), NoLine())
    into = memoryview(bytearray(b"\xff" * 1000))
    with pytest.raises(Unanswered):
        await reading.receive(into)
    reading.close()
    hung.set()
    await asyncio.to_thread(came.wait)

    assert bytes(into) == b"\xff" * 1000
