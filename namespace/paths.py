"""Paths under `/ns`: exact strings, compared by whole components.

A path is never tidied: `/ns/train/a//b`, `/ns/train/a/../b` and `/ns/train/dir/` are three names as they stand, because
S3 keys are opaque and a tidied key is another object. A path that cannot be taken exactly is a `BadPath`.
"""

from collections.abc import Iterable

from namespace.errors import BadPath, KeyTooLong

ROOT = "/ns"
KEY_BYTES = 1024
"""The longest key in bytes of UTF-8 (S3 API, "Object key naming guidelines")."""
RESERVED = frozenset({"ns", "causeway"})
"""Bucket names that mean the whole tree, so no mount may begin with them (design, section 4)."""


def decode(raw: bytes) -> str:
    """Returns the path or key that percent-decoded bytes mean; raises BadPath for invalid UTF-8 and for NUL."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as invalid:
        raise BadPath(f"the name is not UTF-8 at byte {invalid.start}") from invalid
    if "\0" in text:
        raise BadPath("the name holds a NUL byte")
    return text


def check(path: str) -> None:
    """Raises BadPath unless `path` is `/ns` or lies beneath it and can be sent as UTF-8 without NUL."""
    if not path.startswith("/ns/") and path != ROOT:
        raise BadPath(f"{path!r} is not under {ROOT}: a path begins with {ROOT}/")
    if "\0" in path:
        raise BadPath(f"{path!r} holds a NUL byte")
    if not path.isascii():
        _encoded(path)


def check_key(key: str) -> None:
    """Raises KeyTooLong if `key` has more than 1,024 bytes, BadPath if it cannot be sent as UTF-8 without NUL."""
    # A character has at most 4 bytes: most keys need no encoding to be known short enough.
    if len(key) > KEY_BYTES // 4 or not key.isascii():
        length = len(_encoded(key))
        if length > KEY_BYTES:
            raise KeyTooLong(f"the key has {length:,} bytes; a store takes {KEY_BYTES:,}")
    if "\0" in key:
        raise BadPath(f"{key!r} holds a NUL byte")


def check_place(path: str) -> None:
    """Raises BadPath unless `path` names a place in the tree: `/ns`, or whole components beneath it.

    Grants, mounts and the paths of granted regions are places; their components are neither empty, `.` nor `..`.
    """
    check(path)
    for part in path.split("/")[1:]:
        if part in {"", ".", ".."}:
            raise BadPath(f"{path!r} has an empty, '.' or '..' component; write it as /ns/train/images")
    check_key(path.removeprefix("/ns/"))


def covers(place: str, path: str) -> bool:
    """Whether `path` is `place` or lies beneath it, by whole components."""
    return path.startswith(place) and (len(path) == len(place) or path[len(place)] == "/")


def common(some: Iterable[str], others: Iterable[str]) -> tuple[str, ...]:
    """Returns the places that lie, with all beneath, in one of each: the deeper of two that meet."""
    others = tuple(others)
    return tuple(
        dict.fromkeys(
            place if covers(other, place) else other
            for place in some
            for other in others
            if covers(other, place) or covers(place, other)
        )
    )


def climbs(rest: str) -> bool:
    """Whether the `..` in what follows a place would lead out of it, were they followed.

    Here they are not; but a store on a file system may follow them (versitygw does), and answer with what lies beside.
    """
    depth = 0
    for part in rest.split("/"):
        if part == "..":
            depth -= 1
            if depth < 0:
                return True
        elif part not in {"", "."}:  # a store that follows `..` counts these as nothing
            depth += 1
    return False


def joined(place: str, key: str) -> str:
    """Returns the path of `key` beneath `place`; `//`, `..` and a slash at the end stay as they are."""
    return f"{place}/{key}"


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as invalid:
        raise BadPath(f"{text!r} is not UTF-8 at character {invalid.start}") from invalid
