"""The file `groups` of a cache path: what the numbers in its labels mean.

`labelled` is the digest of the grouping under which all labels on the path are right; null while they are being
changed, and nothing on the path is believed then.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from regioncache.store.groups import PLAIN, PLAIN_NUMBER, PRIORITIES, Groups, Keep, Quota

NAME = "groups"


@dataclass(frozen=True, slots=True)
class GroupFile:
    """What the file says. Without one, all is plain: no grouping ever was."""

    labelled: str | None = ""
    keeps: dict[int, Keep] = field(default_factory=lambda: {PLAIN_NUMBER: PLAIN})


def encode(labelled: str | None, groups: Groups) -> bytes:
    """Returns the file's bytes."""
    rows = [_row(number, groups.keeps[number]) for number in groups.numbers()]
    return json.dumps({"labelled": labelled, "groups": rows}).encode()


def decode(raw: bytes) -> GroupFile:
    """Reads a file; one that is damaged says of no label what it means."""
    try:
        value = json.loads(raw)
        labelled, rows = value["labelled"], value["groups"]
        keeps = {int(number): _keep(*row) for number, *row in rows}
        if not (labelled is None or isinstance(labelled, str)) or keeps.get(PLAIN_NUMBER) != PLAIN:
            raise ValueError("not what was written")
    except (ValueError, TypeError, KeyError, AttributeError):
        return GroupFile(None)
    return GroupFile(labelled, keeps)


def read(path: Path) -> GroupFile:
    """Reads the file of a cache path. Blocks. Raises OSError."""
    try:
        return decode((path / NAME).read_bytes())
    except FileNotFoundError:
        return GroupFile()


def write(path: Path, raw: bytes) -> None:
    """Replaces the file of a cache path. Blocks. Raises OSError."""
    fresh = path / f"{NAME}.new"
    fresh.write_bytes(raw)
    os.replace(fresh, path / NAME)


def _row(number: int, keep: Keep) -> list[object]:
    account, nbytes = ("", 0) if keep.quota is None else (keep.quota.account, keep.quota.nbytes)
    return [number, keep.name, keep.pinned, keep.ttl, account, nbytes, keep.priority]


def _keep(name: str, pinned: bool, ttl: float | None, account: str, nbytes: int, priority: str) -> Keep:
    (known,) = (one for one in PRIORITIES if one == priority)
    if not isinstance(name, str):
        raise TypeError("a name is text")
    quota = Quota(str(account), int(nbytes)) if nbytes else None
    return Keep(name, bool(pinned), None if ttl is None else float(ttl), quota, known)
