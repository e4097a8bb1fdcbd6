"""An extent's file copied to another disk, checksums and all, so that a crash leaves one whole copy or the other.

The copy has another name until it is whole; a crash before leaves a file that the next start removes, one behind it
two whole files, of which the later generation counts.
"""

import os
from collections.abc import Awaitable, Callable

from regioncache.pages import MIB
from regioncache.store.base import HEADER_BYTES, PageGone
from regioncache.store.disk import Disk
from regioncache.store.extentfile import HOLLOWING, ExtentFile
from regioncache.store.index import mask, runs

_STEP_BYTES = MIB
"""Copied in one go: a reader's call waits behind no more than that."""


class CannotRead(Exception):
    """The disk that has the file failed, as `fault` says; the other one is well."""

    def __init__(self, fault: OSError) -> None:
        super().__init__(str(fault))
        self.fault = fault


async def copied(
    file: ExtentFile, present: int, to: Disk, path: str, pace: Callable[[int], Awaitable[None]]
) -> ExtentFile:
    """Returns the copy, with the pages that are `present`, which lies at `path`.

    Args:
        pace: waits after so many bytes were copied.

    Raises: CannotRead; OSError: the other disk does not take it; PageGone: the file is cut short.
    """
    try:
        return await _copied(file, present, to, path, pace)
    except BaseException:
        to.behind(to.unlink, path + HOLLOWING)
        raise


async def _copied(
    file: ExtentFile, present: int, to: Disk, path: str, pace: Callable[[int], Awaitable[None]]
) -> ExtentFile:
    identity = file.identity
    copy = await to.run(ExtentFile.create, to, path + HOLLOWING, identity, file.label)
    per_step = max(1, _STEP_BYTES // identity.page_bytes)
    for run in runs(present, 0, identity.pages()):
        for first in range(run.start, run.end, per_step):
            end = min(first + per_step, run.end)
            at, stop = first * identity.page_bytes, min(end * identity.page_bytes, file.extent_bytes)
            try:
                data = await file.disk.run(file.disk.read, file.file, HEADER_BYTES + at, stop - at)
            except OSError as fault:
                raise CannotRead(fault) from fault
            if len(data) < stop - at:
                raise PageGone(f"{file.path} is cut short")
            await to.run(_write, copy, file, at, data, mask(first, end))
            await pace(len(data))
    await to.run(_finish, copy, file, path)
    return copy


def _write(copy: ExtentFile, file: ExtentFile, at: int, data: memoryview, pages: int) -> None:
    first, last = copy.blocks_of(pages)
    copy.sums[first:last] = file.sums[first:last]
    copy.keep(at, [data], pages)


def _finish(copy: ExtentFile, file: ExtentFile, path: str) -> None:
    copy.notes = list(file.notes)
    copy.save()
    os.rename(copy.path, path)
    copy.path = path
