"""What the cache may hold of the files that this process may have open; `gateway.descriptors` shares out the rest."""

import resource

OPEN_EXTENTS = 2048
"""Most extent files kept open, with up to 18 MiB of checksums; a hit on one that is not open waits for a thread."""


def allowed_files() -> int:
    """Returns how many descriptors this process may have."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def open_files(allowed: int, paths: int, workers: int = 1) -> int:
    """Returns how many extent files to keep open for each path, and as many packs.

    Together they are half of what the process may open (`allowed`); the rest is for connections. One of several workers
    owns its part of what it reads, and leaves the others' part of this half to their files.
    """
    return max(2, min(OPEN_EXTENTS, allowed // 4) // workers // paths)


def sibling_files(allowed: int, workers: int) -> int:
    """Returns how many extent files of other workers to keep open, and as many segments: what `open_files` leaves."""
    files = min(OPEN_EXTENTS, allowed // 4)
    return max(2, files - files // workers)


def asking_descriptors() -> int:
    """Returns how many descriptors this process keeps for connections to origins and nodes: an eighth, 1,024 at most.

    As `gateway.descriptors` shares them out.
    """
    return min(1024, allowed_files() // 8)
