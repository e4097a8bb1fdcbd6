"""S3's list over a tree of directories: keys in the order of their UTF-8 bytes, rolled up at a delimiter, by pages.

A directory's name sorts with the slash that follows it (`a-b`, `a/x`, `a0`). Directories are read when the walk comes
to them, files are looked at only for the page that shows them. What vanishes meanwhile, what this node may not open and
links that lead out are left out. A walk that takes long ends its page early, even an empty one: the list goes on there.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from regioncache.errors import OriginForbids
from regioncache.origins.base import ListAsk, Listed, ListPage
from regioncache.origins.beneath import DIRECTORY, LOOK, OpenFile, open_beneath
from regioncache.origins.filefacts import NOT_THERE, etag, is_object, last_modified
from regioncache.origins.filenames import Run, Runs, behind, scan
from regioncache.origins.root import Root
from regioncache.origins.threads import Signs

PAGE_SECONDS = 1.0
"""A page's reader, and its thread, are not held up longer than this by folders without files."""
LAST = "\U0010ffff"
"""Behind every character of a key."""


@dataclass(slots=True)
class _Level:
    """A directory on the way. Mutable state: the run of names in hand, the next one in it, the last one passed."""

    prefix: str
    opened: OpenFile
    status: os.stat_result
    beginning: str
    run: Run
    at: int
    last: str = ""


@dataclass(slots=True)
class Walk:
    """Makes one page. Blocks. Mutable state: `_trail` of directories, `_entries`, `_prefixes`, `_position`."""

    root: Root
    runs: Runs
    ask: ListAsk
    clock: Callable[[], float]
    signs: Signs
    _top: OpenFile = field(init=False)
    _trail: list[_Level] = field(default_factory=list)
    _entries: list[Listed] = field(default_factory=list)
    _prefixes: list[str] = field(default_factory=list)
    _position: str = ""

    def page(self) -> ListPage:
        """Returns the page.

        Raises: Refused (the directory is away), OriginForbids, OriginUnavailable, Left.
        """
        try:
            return self._page()
        except OSError as fault:
            raise self.root.meaning(fault, self._position) from fault

    def _page(self) -> ListPage:
        due = self.clock() + PAGE_SECONDS
        self._top, self._position = self.root.open(), self.ask.after
        self._begin()
        more = False
        while not more and (key := self._next()) is not None:
            self.signs.give()
            full = len(self._entries) + len(self._prefixes) >= self.ask.limit
            shown = self._shown(key)
            if full:
                more = shown is not None
            else:
                self._take(key, shown)
            more = more or (self._position > self.ask.after and self.clock() >= due)
        if not (self._entries or self._prefixes or more):
            self.root.check_mounted()
        return ListPage(tuple(self._entries), tuple(self._prefixes), self._position if more else None)

    def _take(self, key: str, shown: Listed | str | None) -> None:
        """Puts on the page what a name shows as, if anything; the list would go on behind it."""
        if isinstance(shown, str):
            self._prefixes.append(shown)
            key = shown + LAST
        elif shown is not None:
            self._entries.append(shown)
        self._position = max(self._position, key)

    def _begin(self) -> None:
        """Opens the directory that the asked prefix lies in, if there is one."""
        base, slash, beginning = self.ask.prefix.rpartition("/")
        parts = base.split("/") if slash else []
        if "\0" in self.ask.prefix or any(part in {"", ".", ".."} for part in parts):
            return  # no key begins so
        try:
            self._enter(base + slash, beginning)
            if self._trail:
                os.stat(".", dir_fd=self._trail[0].opened.fd)  # its names are no use where it may not be entered
        except PermissionError as fault:
            what = f"{self.root.where}: {base + slash!r}" if slash else self.root.where
            raise OriginForbids(f"{what}: this node may not list it; let its user read and enter it") from fault

    def _enter(self, prefix: str, beginning: str = "") -> None:
        """Goes down into a directory, unless it is gone, leads out or back, or all its keys come before the list's."""
        after = self._after(prefix)
        if after is None:
            return
        try:
            opened = open_beneath(self._top.fd, prefix.rstrip("/") or ".", DIRECTORY)
        except OSError as fault:
            if fault.errno not in NOT_THERE:
                raise
            return
        status = opened.status()
        if any((up.status.st_dev, up.status.st_ino) == (status.st_dev, status.st_ino) for up in self._trail):
            return
        level = _Level(prefix, opened, status, beginning, Run("", "", [], True), 0)
        self._read(level, behind(after))
        self._trail.append(level)

    def _after(self, prefix: str) -> str | None:
        """Where the list begins among the names of a directory; None: behind all of them."""
        after = self.ask.after
        if after.startswith(prefix):
            return after[len(prefix) :]
        return "" if after < prefix else None

    def _read(self, level: _Level, start: str) -> None:
        """Takes the next names of a directory in hand."""
        run = self.runs.find(level.prefix, level.status, start, level.beginning)
        if run is None:

            def link(name: str) -> int:
                found = self._look(level.prefix + name)
                return found.st_mode if found is not None else 0

            used = len(level.prefix.encode())
            try:
                run = scan(level.opened.fd, link, start, level.beginning, used, self.signs)
                self.runs.keep(level.prefix, level.status, run)
            except OSError as fault:
                if fault.errno not in NOT_THERE:
                    raise
                run = Run(start, level.beginning, [], True)  # removed while it was read
        level.run, level.at = run, run.at(start) or 0

    def _next(self) -> str | None:
        """The next key in order, a directory's with its slash; None at the end."""
        while self._trail:
            level = self._trail[-1]
            names = level.run.names
            while level.at < len(names):
                name = names[level.at]
                level.at += 1
                if name > level.last:
                    level.last = name
                    return level.prefix + name
            if level.run.whole:
                self._trail.pop()
            else:
                self._read(level, max(names[-1], level.last) + "\0")
        return None

    def _shown(self, key: str) -> Listed | str | None:
        """What a key shows as: an entry, a rolled-up prefix, or nothing of its own."""
        ask = self.ask
        at = key.find(ask.delimiter, len(ask.prefix)) if ask.delimiter else -1
        if at >= 0:
            rolled = key[: at + len(ask.delimiter)]
            if rolled == ask.after or not (key > ask.after or self._goes_on(key)):
                return None
            self._trail[-1].last = rolled[len(self._trail[-1].prefix) :] + LAST
            return rolled
        if not key.endswith("/"):
            return self._entry(key)
        try:
            self._enter(key)
        except PermissionError:
            return None
        return None

    def _goes_on(self, prefix: str) -> bool:
        """Whether the directory in which the list begins has keys behind that place."""
        within = replace(self.ask, prefix=prefix, delimiter="", limit=1)
        page = Walk(self.root, self.runs, within, self.clock, self.signs).page()
        return bool(page.entries) or page.next_after is not None

    def _entry(self, key: str) -> Listed | None:
        level = self._trail[-1]
        try:
            found: os.stat_result | None = os.stat(
                key[len(level.prefix) :], dir_fd=level.opened.fd, follow_symlinks=False
            )
        except PermissionError:
            return None
        except OSError as fault:
            if fault.errno not in NOT_THERE:
                raise
            return None
        if found is not None and stat.S_ISLNK(found.st_mode):
            found = self._look(key)
        if found is None or not is_object(found):
            return None
        return Listed(key, found.st_size, etag(found), last_modified(found))

    def _look(self, key: str) -> os.stat_result | None:
        """The status of what a link leads to; None where that is nothing that may be read."""
        try:
            return open_beneath(self._top.fd, key, LOOK).status()
        except PermissionError:
            return None
        except OSError as fault:
            if fault.errno not in NOT_THERE:
                raise
            return None
