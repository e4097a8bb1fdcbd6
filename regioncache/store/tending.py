"""What is done behind to what is held: labels are made anew when the rules change."""

from regioncache.store import groupfile
from regioncache.store.cachepath import CachePath
from regioncache.store.groups import Grouping
from regioncache.store.index import Index
from regioncache.store.keeping import Keeping
from regioncache.store.labelling import Labelling


class Tending:
    """All cache paths of a process. Its state is that of its parts."""

    def __init__(self, paths: list[CachePath], index: Index, keeping: Keeping) -> None:
        self._paths = paths
        self.keeping = keeping
        self.labelling = Labelling(index, keeping)
        keeping.on_groups = self._write_groups
        for path in paths:
            path.look = self.labelling.look
            path.on_back = self._back

    def __repr__(self) -> str:
        return f"Tending({self.keeping!r}, {self.labelling!r})"

    def regroup(self, grouping: Grouping) -> None:
        """See `Store.regroup`."""
        self.keeping.regroup(grouping)
        self.labelling.start(self._paths)

    def _back(self) -> None:
        """A path that was out has entries that nobody looked at meanwhile."""
        if self.keeping.labelled != "":
            self._write_groups()
            self.labelling.start(self._paths)

    def _write_groups(self) -> None:
        raw = groupfile.encode(self.keeping.labelled, self.keeping.groups)
        for path in self._paths:
            path.disk.behind(groupfile.write, path.disk.path, raw)

    async def close(self) -> None:
        """Ends what runs behind; the rest of it is done after the next start."""
        await self.labelling.close()
