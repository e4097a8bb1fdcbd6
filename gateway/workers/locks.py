"""One supervisor a node: a lock in each of its cache paths, held as long as it or one of its workers runs."""

import fcntl
import os
import time
from collections.abc import Sequence
from pathlib import Path

FILE = "supervisor.lock"
PATIENCE_SECONDS = 30.0
"""Workers whose supervisor was killed end within the grace of their replies; who comes after them waits for that."""
LOOK_SECONDS = 0.1


class NodeRuns(Exception):
    """Another supervisor has the cache path; the message names both and the remedy."""


def held(paths: Sequence[Path]) -> list[int]:
    """Takes the lock of each path; returns the descriptors, which hold it. Blocks. Raises NodeRuns, OSError."""
    taken: list[int] = []
    try:
        for path in paths:
            path.mkdir(parents=True, exist_ok=True)
            taken.append(_held(path))
    except BaseException:
        for one in taken:
            os.close(one)
        raise
    return taken


def _held(path: Path) -> int:
    descriptor = os.open(path / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    late = time.monotonic() + PATIENCE_SECONDS
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as taken:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
                if _alive(holder) or time.monotonic() >= late:
                    raise NodeRuns(
                        f"cache path {path} is of a node that runs already, under the supervisor with pid {holder}:"
                        " stop that one, or give this node other cache paths"
                    ) from taken
                time.sleep(LOOK_SECONDS)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _alive(pid: str) -> bool:
    """Whether there is a process of that number; of another user's too."""
    if not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
