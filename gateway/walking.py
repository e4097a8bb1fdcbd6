"""Walks over the tree of paths by its listings: what a pattern matches there, and what lies beneath a path.

A walk asks the origins, page by page, and holds one level of one directory at most.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from gateway.s3.base import ListPath
from policy.pattern import Pattern, names
from regioncache.errors import CacheError
from regioncache.origins.base import Listed, ListPage

MOST_NAMES = 100_000
"""In one directory that a pattern's `*` is held against: 100 questions, 20 MB. Partitions are hundreds."""


class TooMany(CacheError):
    """A directory has more names than a pattern is held against; narrow the pattern."""


class Walk:
    """Walks of one caller; `page` gives one page of a list of paths. `age` is that of the oldest page seen, seconds."""

    def __init__(self, page: Callable[[ListPath], Awaitable[ListPage]]) -> None:
        self._ask = page
        self.age = 0.0

    async def matching(self, pattern: Pattern) -> AsyncGenerator[str]:
        """Yields the paths there are that a pattern without `**` matches, those that sort last first.

        Raises: TooMany; OriginUnavailable, OriginForbids, SlowDown, NoSuchObject (no such bucket) of a listing.
        """
        async with aclosing(self._below("/ns", pattern.parts)) as found:
            async for path in found:
                yield path

    async def objects(self, path: str) -> AsyncGenerator[Listed]:
        """Yields the object at `path`, if there is one, and those beneath it; raises as `matching`."""
        first = await self._page(ListPath(path, limit=1))
        for entry in first.entries:
            if entry.key == path:
                yield entry
        async for page in self._pages(f"{path}/", ""):
            for entry in page.entries:
                yield entry

    async def _below(self, at: str, parts: tuple[str, ...]) -> AsyncGenerator[str]:
        if not parts:
            yield at
            return
        wanted, *rest = parts
        if "*" not in wanted and rest:
            names_here = [wanted]  # whether it is there shows at the next level
        else:
            names_here = await self._matched(at, wanted)
        for name in sorted(names_here, reverse=True):
            async with aclosing(self._below(f"{at}/{name}", tuple(rest))) as found:
                async for path in found:
                    yield path

    async def _matched(self, at: str, wanted: str) -> list[str]:
        """The names directly beneath `at` that a component matches."""
        beginning, found = f"{at}/", set[str]()
        async for page in self._pages(beginning + wanted.partition("*")[0], "/"):
            here = (*(entry.key for entry in page.entries), *(prefix.removesuffix("/") for prefix in page.prefixes))
            found.update(name for path in here if names(wanted, name := path[len(beginning) :]))
            if len(found) > MOST_NAMES:
                raise TooMany(f"more than {MOST_NAMES:,} names beneath {at} match {wanted!r}; narrow the pattern")
        return list(found)

    async def _page(self, ask: ListPath) -> ListPage:
        page = await self._ask(ask)
        self.age = max(self.age, page.age)
        return page

    async def _pages(self, prefix: str, delimiter: str) -> AsyncGenerator[ListPage]:
        after: str | None = ""
        while after is not None:
            page = await self._page(ListPath(prefix, after, delimiter))
            yield page
            after = page.next_after
