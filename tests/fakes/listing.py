"""A listing of the tree of paths, in pages of two names; counts what is asked."""

import heapq
from dataclasses import dataclass, field

from gateway.s3.base import ListPath
from regioncache.errors import CacheError
from regioncache.origins.base import Listed, ListPage


@dataclass(slots=True)
class Listing:
    """Each path is an object of `size` bytes; `fault` is what every question is answered with."""

    paths: list[str]
    size: int = 1
    asked: list[ListPath] = field(default_factory=list)
    fault: CacheError | None = None
    age: float = 0.0

    async def __call__(self, ask: ListPath) -> ListPage:
        self.asked.append(ask)
        if self.fault is not None:
            raise self.fault
        names: dict[str, bool] = {}
        for path in sorted(self.paths):
            if path.startswith(ask.prefix):
                end = path.find(ask.delimiter, len(ask.prefix)) if ask.delimiter else -1
                names[path if end < 0 else path[: end + 1]] = end < 0
        later = heapq.nsmallest(3, (name for name in names if name > ask.after))
        shown = later[: min(2, ask.limit)]
        entries = tuple(Listed(name, self.size, '"e"', 0.0) for name in shown if names[name])
        prefixes = tuple(name for name in shown if not names[name])
        return ListPage(entries, prefixes, shown[-1] if len(later) > len(shown) else None, self.age)
