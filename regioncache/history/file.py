"""The history on disk: one SQLite file beside the ledger, in which each counted byte is in one slot.

A batch of slots and the counters that it accounts for are one transaction, so that a kill leaves both or neither; a
batch that is tried again is not counted twice. What is older than is kept goes into one slot, `BEFORE`: the sum over
all slots is always what was counted. Calls take milliseconds, block, and come from one thread at a time.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from regioncache.history.slots import BEFORE, Batch, Cell
from regioncache.ledger import Entry

LAYOUT = 1
"""Raised when the tables change; a file of a newer layout is refused, never guessed."""
MOST_BYTES = 1 << 30
"""Of the file: the oldest days go when it would grow beyond, whatever is to be kept."""
DAY_SECONDS = 86_400
COLUMNS = ("line", "direction", "tenant", "class", "bucket", "kind")
_BUSY_SECONDS = 5.0
_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE entries (
    id INTEGER PRIMARY KEY, line TEXT NOT NULL, direction TEXT NOT NULL, tenant TEXT NOT NULL, class TEXT NOT NULL,
    bucket TEXT NOT NULL, kind TEXT NOT NULL, seen INTEGER NOT NULL,
    UNIQUE (line, direction, tenant, class, bucket, kind)
);
CREATE TABLE slots (slot INTEGER, entry INTEGER, bytes INTEGER NOT NULL, PRIMARY KEY (slot, entry)) WITHOUT ROWID;
CREATE TABLE days (day INTEGER PRIMARY KEY) WITHOUT ROWID;
"""
_RAISE = """
INSERT INTO slots VALUES (?, ?, ?) ON CONFLICT (slot, entry) DO UPDATE SET bytes = bytes + excluded.bytes
"""
_FOLD = """
INSERT INTO slots SELECT ?, entry, sum(bytes) FROM slots WHERE slot > ? AND slot < ? GROUP BY entry
ON CONFLICT (slot, entry) DO UPDATE SET bytes = bytes + excluded.bytes
"""


class HistoryBroken(Exception):
    """The file cannot be used; the message names it and the remedy. `damaged`: it is no database any more."""

    def __init__(self, message: str, *, damaged: bool = False) -> None:
        super().__init__(message)
        self.damaged = damaged


@dataclass(frozen=True, slots=True)
class Known:
    """What the file says of the ledger it follows: its id, the boot it was last written in, the number of the last
    batch, and the counters that are in it."""

    ledger: str
    boot: str
    number: int
    seen: Mapping[Entry, int]


@dataclass(frozen=True, slots=True)
class Row:
    """Payload bytes of one group: `names` in the order they were asked for, a slot as where it begins."""

    names: tuple[str | int, ...]
    nbytes: int


class HistoryFile:
    """One process owns it, as it does the ledger beside it."""

    def __init__(self, path: Path, keep_days: int) -> None:
        """Opens or makes the file. Raises HistoryBroken."""
        self.path = path
        self._keep = keep_days
        with self._named():
            # Who moved what is for its operators; SQLite gives the files beside it the same mode.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except BaseException:
            self._database.close()
            raise

    def __repr__(self) -> str:
        return f"<HistoryFile {self.path}>"

    def known(self) -> Known:
        """What the file knows of its ledger."""
        with self._named():
            facts = dict(self._database.execute("SELECT name, value FROM facts"))
            rows = self._database.execute(f"SELECT {', '.join(COLUMNS)}, seen FROM entries WHERE seen")  # noqa: S608
            seen = {Entry(*row[:-1]): row[-1] for row in rows}
        return Known(facts.get("ledger", ""), facts.get("boot", ""), int(facts.get("batch", "0")), seen)

    def follow(self, ledger: str, boot: str) -> None:
        """Goes on with this ledger: another one than before counts from zero, and what was counted stays."""
        with self._writing():
            if self._fact("ledger") != ledger:
                self._database.execute("UPDATE entries SET seen = 0")
            self._database.executemany("REPLACE INTO facts VALUES (?, ?)", (("ledger", ledger), ("boot", boot)))

    def write(self, batch: Batch) -> None:
        """Adds a batch; one that is there already is not added again."""
        with self._writing():
            if int(self._fact("batch") or 0) >= batch.number:
                return
            for cell, count in batch.cells.items():
                entry = self._entry(cell.entry)
                if count > 0:
                    self._raise(cell.slot, entry, count)
                else:
                    self._lower(cell.slot, entry, -count)
                self._database.execute("UPDATE entries SET seen = seen + ? WHERE id = ?", (count, entry))
            self._database.execute("REPLACE INTO facts VALUES ('batch', ?)", (str(batch.number),))

    def trim(self) -> bool:
        """Puts the oldest day with the rest of what is older, if there are more than are kept; True: ask again."""
        with self._named():
            days = self._one("SELECT count(*) FROM days")
            pages, free, size = (self._one(f"PRAGMA {name}") for name in ("page_count", "freelist_count", "page_size"))
        if days <= 1 or (days <= self._keep and (pages - free) * size <= MOST_BYTES):
            return False
        with self._writing():
            end = (self._one("SELECT min(day) FROM days") + 1) * DAY_SECONDS
            self._database.execute(_FOLD, (BEFORE, BEFORE, end))
            self._database.execute("DELETE FROM slots WHERE slot > ? AND slot < ?", (BEFORE, end))
            self._database.execute("DELETE FROM days WHERE day < ?", (end // DAY_SECONDS,))
        return True

    def rows(self, since: int, until: int, by: Sequence[str], most: int) -> list[Row]:
        """Returns the bytes of the slots that begin in [since, until), by the columns in `by`, `slot` among them.

        At most `most` + 1 rows: whoever gets one more than he takes knows that there are too many. Raises ValueError
        for a column that there is not.
        """
        if unknown := [name for name in by if name not in (*COLUMNS, "slot")]:
            raise ValueError(f"the history has no {', '.join(unknown)}; it has {', '.join(COLUMNS)} and slot")
        names = ", ".join(name for name in (*COLUMNS, "slot") if name in by)
        ordered = tuple(name for name in (*COLUMNS, "slot") if name in by)
        query = f"""
            SELECT {names + "," if names else ""} sum(bytes) FROM slots JOIN entries ON id = entry
            WHERE slot >= ? AND slot < ? {"GROUP BY " + names if names else ""} LIMIT ?
        """  # noqa: S608
        with self._named():
            found = self._database.execute(query, (since, until, most + 1)).fetchall()
        order = [ordered.index(name) for name in by]
        return [Row(tuple(row[at] for at in order), row[-1]) for row in found if row[-1]]

    def close(self) -> None:
        """Safe to call twice."""
        self._database.close()

    def _prepare(self) -> None:
        with self._named():
            layout = self._one("PRAGMA user_version")
            if layout > LAYOUT:
                raise HistoryBroken(
                    f"the history of lines {self.path} has layout {layout}, this version writes {LAYOUT};"
                    " run the version that made it, or move the file away"
                )
            self._one("PRAGMA journal_mode = WAL")
            # What a loss of power takes back is taken back whole, counters that it accounts for too.
            self._database.execute("PRAGMA synchronous = NORMAL")
            if layout < LAYOUT:
                self._database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {LAYOUT}; COMMIT;")

    def _entry(self, entry: Entry) -> int:
        names = astuple(entry)
        where = " AND ".join(f"{name} = ?" for name in COLUMNS)
        found = self._database.execute(f"SELECT id FROM entries WHERE {where}", names).fetchone()  # noqa: S608
        if found is None:
            made = self._database.execute("INSERT INTO entries VALUES (NULL, ?, ?, ?, ?, ?, ?, 0)", names)
            return int(made.lastrowid or 0)
        return int(found[0])

    def _raise(self, slot: int, entry: int, count: int) -> None:
        self._database.execute(_RAISE, (slot, entry, count))
        if slot > BEFORE:
            self._database.execute("INSERT OR IGNORE INTO days VALUES (?)", (slot // DAY_SECONDS,))

    def _lower(self, slot: int, entry: int, count: int) -> None:
        """A credit, or what was counted as another kind first: it is taken from the newest slots that have it."""
        newest = "SELECT slot, bytes FROM slots WHERE entry = ? AND bytes > 0 ORDER BY slot DESC LIMIT 1"
        while count and (found := self._database.execute(newest, (entry,)).fetchone()) is not None:
            taken = min(count, found[1])
            self._database.execute(
                "UPDATE slots SET bytes = bytes - ? WHERE slot = ? AND entry = ?", (taken, found[0], entry)
            )
            count -= taken
        if count:
            self._raise(slot, entry, -count)

    def _fact(self, name: str) -> str | None:
        found = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def _one(self, query: str) -> int:
        return self._database.execute(query).fetchone()[0]  # type: ignore[no-any-return]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._named():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as fault:
            damaged = getattr(fault, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
            raise HistoryBroken(f"the history of lines {self.path} cannot be used: {fault}", damaged=damaged) from fault


def merged(parts: Iterable[Iterable[Row]]) -> list[Row]:
    """Returns the rows of several files as one: the same names once, their bytes added."""
    sums: dict[tuple[str | int, ...], int] = {}
    for part in parts:
        for row in part:
            sums[row.names] = sums.get(row.names, 0) + row.nbytes
    return [Row(names, nbytes) for names, nbytes in sums.items() if nbytes]


def of_cells(cells: Mapping[Cell, int], since: int, until: int, by: Sequence[str]) -> list[Row]:
    """Returns what is not in a file yet as rows."""
    rows = []
    for cell, count in cells.items():
        if since <= cell.slot < until:
            names = dict(zip(COLUMNS, astuple(cell.entry), strict=True)) | {"slot": cell.slot}
            rows.append(Row(tuple(names[name] for name in by), count))
    return merged((rows,))
