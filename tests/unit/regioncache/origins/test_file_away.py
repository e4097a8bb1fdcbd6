"""A directory that is away, or a file system that hangs: nothing is said of its objects, and the node goes on."""

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from regioncache.errors import (
    NoSuchObject,
    OriginForbids,
    OriginUnavailable,
    Refused,
    Unanswered,
)
from regioncache.lines.crossing import NoLine
from regioncache.origins.base import ListAsk, Payer, Question
from regioncache.origins.file import FileOrigin
from regioncache.origins.filefacts import meaning
from regioncache.origins.root import FileCalls
from tests.fakes.asking import head, read, want
from tests.fakes.ramp import ramp

pytestmark = pytest.mark.anyio
Put = Callable[..., Path]


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


async def test_what_was_a_mount_point_and_is_none_any_more_is_away(directory: Path, put: Put) -> None:
    put("k", ramp(0, 1000))
    path = directory.parent / "mounted"
    path.symlink_to("/proc")  # a file system of its own on every machine
    nas = FileOrigin("nas", str(path))
    with pytest.raises(NoSuchObject):
        await head(nas)

    path.unlink()
    path.symlink_to(directory)  # what lies under the mount point

    found = await every_question(nas)
    assert [type(fault) for fault in found] == [Refused] * 3
    assert "none any more" in str(found[0])


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

    origin = hanging(directory, hung, pread=late)
    soon, origin.answer_seconds = origin.answer_seconds, 60.0
    reading = await origin.read(want(), NoLine())
    origin.answer_seconds = soon
    into = memoryview(bytearray(b"\xff" * 1000))
    with pytest.raises(Unanswered):
        await reading.receive(into)
    reading.close()
    hung.set()
    await asyncio.to_thread(came.wait)

    assert bytes(into) == b"\xff" * 1000
