"""Opens what lies beneath a directory: no name and no link leads out of it, and nothing that opens waits.

Links that stay within are followed; an absolute one, or one that climbs over the directory, is as if it led nowhere
(EXDEV). The kernel sees to it where it has `openat2` (Linux 5.6); elsewhere, and where a sandbox forbids that call,
each component is opened by itself from the one before, so that nobody who renames meanwhile can lead the way astray.
"""

import ctypes
import errno
import os
import stat
from collections import deque

_OPENAT2 = 437
"""The call's number, the same on every architecture that Causeway runs on (include/uapi/asm-generic/unistd.h)."""
_RESOLVE_NO_MAGICLINKS, _RESOLVE_BENEATH = 0x02, 0x08
"""openat2(2): no link of /proc, nothing outside."""
_TRIES = 8
"""A rename beside the way makes the kernel give up with EAGAIN; after so many the way is gone by hand."""
_MOST_LINKS = 40
"""As the kernel's own limit (path_resolution(7))."""
FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""A pipe that nobody writes to, or a terminal, must not hold up who opens it."""
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
LOOK = os.O_PATH | os.O_CLOEXEC
"""To see what it is, not to read it."""

_libc = ctypes.CDLL(None, use_errno=True)


class OpenFile:
    """A file descriptor that closes itself when its last user lets go: a call that hangs never reads a reused one.

    Hold it in a name for as long as its number is used.
    """

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def status(self) -> os.stat_result:
        """What fstat(2) tells of it."""
        return os.fstat(self.fd)

    def __del__(self) -> None:
        os.close(self.fd)


class _How(ctypes.Structure):
    """`struct open_how` of openat2(2)."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(root: int, path: str, flags: int) -> OpenFile:
    """Opens a relative path from the directory `root`, `flags` as of open(2); raises OSError, EXDEV for a way out."""
    for _ in range(_TRIES):
        fd = _openat2(root, path, flags)
        if fd >= 0:
            return OpenFile(fd)
        fault = ctypes.get_errno()
        if fault in {errno.ENOSYS, errno.EPERM}:
            break
        if fault not in {errno.EAGAIN, errno.EINTR}:
            raise OSError(fault, os.strerror(fault), path)
    return open_by_hand(root, path, flags)


def open_by_hand(root: int, path: str, flags: int) -> OpenFile:
    """`open_beneath` without the kernel's help."""
    trail = [OpenFile(os.dup(root))]
    parts, links = deque(path.split("/")), 0
    while parts:
        part = parts.popleft()
        if part in {"", "."}:
            continue
        if part == "..":
            if len(trail) == 1:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
            trail.pop()
            continue
        here, last = trail[-1].fd, not parts
        found = _step(here, part, flags if last else LOOK | os.O_DIRECTORY)
        if isinstance(found, OpenFile):
            if last:
                return found
            trail.append(found)
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if found.startswith("/"):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
        parts.extendleft(reversed(found.split("/")))
    return OpenFile(os.open(".", flags, dir_fd=trail[-1].fd))


def _step(directory: int, name: str, flags: int) -> OpenFile | str:
    """Opens one name, or returns where the link of that name leads."""
    try:
        found = OpenFile(os.open(name, flags | os.O_NOFOLLOW, dir_fd=directory))
    except OSError as fault:
        # A link that is not followed: ELOOP; where only a directory will do: ENOTDIR.
        if fault.errno not in {errno.ELOOP, errno.ENOTDIR}:
            raise
        try:
            return os.readlink(name, dir_fd=directory)
        except OSError:
            raise fault from None
    if flags & os.O_PATH and stat.S_ISLNK(found.status().st_mode):
        return os.readlink(name, dir_fd=directory)
    return found


def _openat2(root: int, path: str, flags: int) -> int:
    how = _How(flags, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    name = path.encode("utf-8", "surrogateescape")
    if b"\0" in name:
        raise ValueError("embedded null byte")
    called: int = _libc.syscall(
        ctypes.c_long(_OPENAT2), ctypes.c_int(root), name, ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))
    )
    return called
