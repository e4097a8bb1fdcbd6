"""A disk with a ledger and its history, used by one node after the other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from regioncache.history import file as files
from regioncache.history.keeping import History
from regioncache.ledger import Entry, Ledger
from tests.fakes.hearing import Heard

NOON = 1_700_000_100 - 1_700_000_100 % 300
DAY = 86_400
EVER = 1 << 40


def entry(tenant: str = "rec", kind: str = "unique", bucket: str = "train-bj") -> Entry:
    """A counter of the one line."""
    return Entry("bj-use1", "idc-bj>aws-use1", tenant, "training", bucket, kind)


@dataclass
class Disk:
    """A cache path; `now` is the clock on the wall."""

    folder: Path
    now: float = float(NOON)
    heard: Heard = field(default_factory=Heard)
    keep: int = 400

    @property
    def path(self) -> Path:
        """The history's file."""
        return self.folder / "history.db"

    @asynccontextmanager
    async def node(self) -> AsyncIterator[tuple[Ledger, History]]:
        """A node that runs meanwhile, as far as its ledger goes."""
        ledger = Ledger.open(self.folder / "ledger", lambda: self.now)
        history = History(ledger, self.path, self.keep, lambda: self.now, self.heard.tidings())
        try:
            await history.look()
            yield ledger, history
        finally:
            await history.stop()
            ledger.close()


async def by_slot(history: History, since: int = 0, until: int = EVER) -> dict[int, int]:
    """What moved, by slot."""
    return {int(row.names[0]): row.nbytes for row in await history.rows(since, until, ("slot",), 1000)}


async def sums(history: History) -> dict[Entry, int]:
    """What moved, by counter, ever."""
    rows = await history.rows(0, EVER, files.COLUMNS, 100_000)
    return {Entry(*map(str, row.names)): row.nbytes for row in rows}
