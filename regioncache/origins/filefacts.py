"""What a file's status tells of an object: its version, its metadata, and what a failed call means to a reader.

The version is (device, inode, size, mtime, ctime), as the design says. The ETag is a hash of it: it is the same for as
long as the file is, and has a word in front so that no client takes it for an MD5 of the bytes.
"""

import errno
import mimetypes
import os
import stat
from posixpath import splitext

from xxhash import xxh3_128_hexdigest

from regioncache.errors import CacheError, KeyRefused, NoSuchObject, OriginForbids, OriginUnavailable, Refused
from regioncache.origins.base import sayable
from regioncache.pages import Meta, Version

SETTLED_SECONDS = 2.0
"""A file changed less than this ago may change again within the same tick of its clock, and look the same; no file
system in use has a coarser tick (design, A file origin)."""
PLAIN = "application/octet-stream"
NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.ENXIO}
"""Also a link in a circle or out of the root, and a socket: nothing that is read."""
_NO_NAME = {errno.ENAMETOOLONG, errno.EILSEQ}
_NOT_OURS = {errno.EACCES, errno.EPERM}
_OURS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_TYPES = mimetypes.MimeTypes()
"""Without the machine's own tables: nodes of a region shall say the same."""
_OF_ENCODING = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
"""A file is sent as it lies there: `x.tar.gz` is gzip, not a tar that the client would have to unpack first."""

Raw = tuple[int, int, int, int, int]
"""Device, inode, size, mtime and ctime in ns."""


def raw(status: os.stat_result) -> Raw:
    """Returns what tells one version of a file from another."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def etag(status: os.stat_result) -> str:
    """Returns the version as a quoted ETag."""
    return f'"file-{xxh3_128_hexdigest(":".join(map(str, raw(status))).encode())}"'


def last_modified(status: os.stat_result) -> float:
    """Seconds since the epoch, within what dates can say: files may bear any time."""
    return sayable(status.st_mtime_ns / 1e9)


def meta(key: str, status: os.stat_result, now: float) -> Meta:
    """Returns an object's metadata; `now` is seconds since the epoch, from before the status was asked for."""
    tag = etag(status)
    # By ctime alone: nobody can set it, and whatever sets mtime moves it too.
    settled = now - status.st_ctime_ns / 1e9 >= SETTLED_SECONDS
    return Meta(Version(tag), status.st_size, tag, last_modified(status), content_type(key), (), now, settled)


def content_type(key: str) -> str:
    """Returns the type that the key's ending stands for."""
    # Not by `guess_type`, which takes names for URLs: `a:b`, `a#b` and `a?b` are names.
    ending = splitext(key.rpartition("/")[2])[1].lower()
    packed = splitext(_TYPES.suffix_map.get(ending, ending))[1]
    encoding = _TYPES.encodings_map.get(packed)
    return _OF_ENCODING.get(encoding, PLAIN) if encoding else _TYPES.types_map[True].get(ending, PLAIN)


def check_key(where: str, key: str) -> None:
    """Raises KeyRefused for a key that no file can have, NoSuchObject for a directory's name."""
    parts = key.split("/")
    if key.endswith("/") and len(parts) > 1:
        parts.pop()
    if "\0" in key or any(part in {"", ".", ".."} for part in parts):
        raise KeyRefused(f"{where}: {key!r}: no part of a key in a directory is empty, '.' or '..', none holds a NUL")
    if key.endswith("/"):
        # Clients ask for such keys in passing, to see whether there is a folder.
        raise NoSuchObject(f"{where}: {key!r} would be a directory, which is no object")


def is_object(status: os.stat_result) -> bool:
    """Whether it is a regular file: directories, pipes, sockets and devices are no objects."""
    return stat.S_ISREG(status.st_mode)


def meaning(fault: OSError, where: str, key: str) -> CacheError:
    """Returns what a failed call on `key` means, where the directory itself is in its place."""
    what, why = f"{where}: {key!r}" if key else where, fault.strerror or str(fault)
    if fault.errno in NOT_THERE:
        return NoSuchObject(f"{what} does not exist ({why})")
    if fault.errno in _NO_NAME:
        return KeyRefused(f"{what}: the file system takes no such name ({why})")
    if fault.errno in _NOT_OURS:
        return OriginForbids(f"{what}: this node may not read it ({why}); let its user read it")
    if fault.errno in _OURS:
        return OriginUnavailable(f"{what}: this node has no room to open it ({why})")
    return OriginUnavailable(f"{what} cannot be read: {why}")


def away(fault: OSError, where: str) -> CacheError:
    """Returns what it means that the directory itself cannot be used."""
    if fault.errno in _OURS:
        return meaning(fault, where, "")
    return Refused(f"{where} cannot be opened: {fault.strerror or fault}; is its file system mounted, and readable?")
