"""The names in one directory, in the order of their keys: a directory's name ends with a slash.

A directory is read as often as its names do not fit: of a larger one only the next names in order are held. What was
read last is kept for a while, so that a list that goes on from page to page reads a directory of 100,000 names twice,
not a hundred times.
"""

import os
import stat
import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from namespace.paths import KEY_BYTES
from regioncache.origins.filefacts import SETTLED_SECONDS, Raw, raw
from regioncache.origins.threads import Signs

RUN_NAMES = 65_536
"""Held of one directory: some 6 MB, and a directory of 1,000,000 names is read 16 times over a whole list."""
KEPT_NAMES = 4 * RUN_NAMES
"""Over all runs that are kept: some 24 MB."""
KEPT_SECONDS = 60.0
"""What a link stands for may change unseen by its directory."""
WORTH_KEEPING = 1000
"""Names of a directory that is soon read again."""
SIGN_NAMES = 1024
"""Between two signs of life: at 10 ms for a name that a far server is asked for, 10 s."""

_RunName = tuple[str, str, Raw]
"""What a run is known by: the directory's prefix, the beginning of its names, its version."""
Link = Callable[[str], int]
"""Tells the mode of what a link leads to, 0 where that is nothing that may be read."""


@dataclass(frozen=True, slots=True)
class Run:
    """The names of a directory from `start` on that begin with `beginning`, in order, up to the last one here.

    `whole`: there are none behind it.
    """

    start: str
    beginning: str
    names: list[str]
    whole: bool

    def at(self, start: str) -> int | None:
        """The first name from `start` on, or None where this run does not tell."""
        if start < self.start or not (self.whole or (self.names and start <= self.names[-1])):
            return None
        return bisect_left(self.names, start)


def behind(after: str) -> str:
    """Returns the first name that counts for a list after `after`: that of a directory in which it lies counts too."""
    first, slash, _ = after.partition("/")
    return first + (slash or "\0") if after else ""


def scan(directory: int, link: Link, start: str, beginning: str, prefix_bytes: int, signs: Signs) -> Run:
    """Reads a directory. Names that are not UTF-8, or whose key would be too long for S3, are left out.

    Args:
        prefix_bytes: the length of what stands before each name in its key.
    """
    longest = KEY_BYTES - prefix_bytes
    names: list[str] = []
    top: str | None = None
    for name in _typed(directory, link, signs):
        if (
            name < start
            or (top is not None and name > top)
            or not name.startswith(beginning)
            or not _sayable(name, longest)
        ):
            continue
        names.append(name)
        if len(names) >= 2 * RUN_NAMES:
            names.sort()
            del names[RUN_NAMES:]
            top = names[-1]
    names.sort()
    whole = top is None and len(names) <= RUN_NAMES
    return Run(start, beginning, names[:RUN_NAMES], whole)


def _typed(directory: int, link: Link, signs: Signs) -> Iterator[str]:
    with os.scandir(directory) as entries:
        for number, entry in enumerate(entries):
            if not number % SIGN_NAMES:
                signs.give()
            name = entry.name
            if entry.is_file(follow_symlinks=False):
                yield name
            elif entry.is_dir(follow_symlinks=False):
                yield name + "/"
            elif entry.is_symlink():
                mode = link(name)
                if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                    yield name if stat.S_ISREG(mode) else name + "/"


def _sayable(name: str, longest: int) -> bool:
    if name.isascii():
        return len(name) <= longest
    try:
        return len(name.encode()) <= longest
    except UnicodeEncodeError:
        return False


class Runs:
    """Runs read lately, by directory. Mutable state under `_lock`: `_kept`, oldest use first, and `_names`."""

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._clock = clock
        self._wall = wall
        self._lock = threading.Lock()
        self._kept: OrderedDict[_RunName, tuple[float, Run]] = OrderedDict()
        self._names = 0

    def find(self, prefix: str, status: os.stat_result, start: str, beginning: str) -> Run | None:
        """A run that tells what comes from `start` on, of a directory that has not changed since."""
        with self._lock:
            name = (prefix, beginning, raw(status))
            found = self._kept.get(name)
            if found is None or self._clock() - found[0] > KEPT_SECONDS or found[1].at(start) is None:
                return None
            self._kept.move_to_end(name)
            return found[1]

    def keep(self, prefix: str, status: os.stat_result, run: Run) -> None:
        """Keeps a run; not of a directory changed so lately that it may change again and look the same."""
        changed = max(status.st_mtime_ns, status.st_ctime_ns) / 1e9
        if len(run.names) < WORTH_KEEPING or self._wall() - changed < SETTLED_SECONDS:
            return
        name = (prefix, run.beginning, raw(status))
        with self._lock:
            before = self._kept.pop(name, None)
            self._names += len(run.names) - (len(before[1].names) if before else 0)
            self._kept[name] = self._clock(), run
            while self._names > KEPT_NAMES:
                self._names -= len(self._kept.popitem(last=False)[1][1].names)
