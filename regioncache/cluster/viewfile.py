"""The last view, on disk: a node that starts while etcd is away goes on by it. Blocking; a thread calls it.

The first line says what it is and has the checksum of the rest. A torn file is refused, never guessed at.
"""

import json
import os
from pathlib import Path

from xxhash import xxh3_64_hexdigest

from regioncache.cluster.members import BadMember, parsed
from regioncache.cluster.view import View, view_of

_MAGIC = b"causeway view 1 "
MOST_BYTES = 16 << 20
"""Some ten thousand members."""


class ViewTorn(Exception):
    """What is kept is no view, or a damaged one; the message names the file."""


def keep(path: Path, view: View) -> None:
    """Writes the view, in one step: whatever happens, the file has the former or this one. Raises OSError."""
    body = json.dumps(view.plain()).encode()
    beside = path.with_name(f"{path.name}.new")
    with beside.open("wb") as file:
        file.write(_MAGIC + xxh3_64_hexdigest(body).encode() + b"\n" + body)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def kept(path: Path) -> View | None:
    """Returns the view that is kept, None where none is. Raises ViewTorn."""
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES)
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise ViewTorn(f"{path} cannot be read: {fault.strerror}") from fault
    head, _, body = text.partition(b"\n")
    if head != _MAGIC + xxh3_64_hexdigest(body).encode():
        raise ViewTorn(f"{path} is damaged or of another version: its checksum is wrong")
    try:
        return view_of(parsed(body))
    except BadMember as wrong:
        raise ViewTorn(f"{path} has no view: {wrong}") from wrong
