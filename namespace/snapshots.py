"""The newest snapshot on disk: what a node goes on with when nobody else can be asked.

A new one is written beside, made durable and then named; the one before stays until the next. One that is cut short or
changed is passed over, and the one before is used: both are told.
"""

import os
from collections.abc import Callable
from pathlib import Path

from namespace.items import Garbled, Snapshot, packed, unpacked

LAYOUT = b"causeway namespace 1\n"
NEWEST, BEFORE, WRITING = "namespace.snapshot", "namespace.snapshot.before", "namespace.snapshot.new"
_CLUSTER, _SERIAL = "?cluster", "?serial"
"""Names of what is no item, in the same map: one checksum covers all."""


class SnapshotFiles:
    """The snapshots in one directory, readable by their owner alone. Calls block: from a thread, one at a time."""

    def __init__(self, directory: Path, warn: Callable[[str], None]) -> None:
        self._directory = directory
        self._warn = warn

    def __repr__(self) -> str:
        return f"<SnapshotFiles {self._directory}>"

    def read(self) -> Snapshot | None:
        """Returns the newest snapshot that can be read, None where there is none."""
        for name in (NEWEST, BEFORE):
            path = self._directory / name
            try:
                return snapshot_of(path.read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, Garbled) as wrong:
                what = "the one before is used" if name == NEWEST else "there is no other"
                self._warn(f"the namespace's snapshot {path} cannot be used ({wrong}); {what}")
        return None

    def write(self, snapshot: Snapshot) -> None:
        """Keeps a snapshot as the newest. Raises OSError; then the newest is as it was."""
        content = LAYOUT + packed({**snapshot.items, _CLUSTER: snapshot.cluster, _SERIAL: str(snapshot.serial)})
        self._directory.mkdir(parents=True, exist_ok=True)
        new = self._directory / WRITING
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        newest = self._directory / NEWEST
        # Between the two renames there is no newest one, and the one before is what it was: never older than that.
        if newest.exists():
            newest.replace(self._directory / BEFORE)
        new.replace(newest)
        self._sync()

    def _sync(self) -> None:
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def snapshot_of(content: bytes) -> Snapshot:
    """Returns the snapshot in a file's bytes. Raises Garbled."""
    if not content.startswith(LAYOUT):
        raise Garbled("it is no snapshot of this version")
    items = unpacked(content[len(LAYOUT) :])
    try:
        return Snapshot(items.pop(_CLUSTER), int(items.pop(_SERIAL)), items)
    except (KeyError, ValueError) as wrong:
        raise Garbled(f"it says not which namespace it is of: {wrong}") from wrong
