"""The embedded store: the namespace in one SQLite file of this node, readable by its owner only.

Every change is one transaction, on disk before the call returns (`synchronous=FULL` under WAL), so that neither
`kill -9` nor a loss of power takes an answered one back or leaves half of one. Calls take milliseconds and may come
from any thread.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from namespace.errors import KeyExists, StoreBroken, UnknownKey
from namespace.keys import AccessKey
from namespace.store.base import Applied, KeyChange, PinChange, PinnedPath, Revision, digest

LAYOUT = 3
"""Raised when the tables change; a file of a newer layout is refused, never guessed, an older one brought up."""
_WAIT_SECONDS = 5.0  # for another process on the same file, which holds it for milliseconds
_TABLES = """
CREATE TABLE revisions (number INTEGER PRIMARY KEY, author TEXT NOT NULL, at REAL NOT NULL, digest TEXT NOT NULL);
CREATE TABLE files (
    number INTEGER NOT NULL REFERENCES revisions, name TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (number, name)
);
CREATE TABLE keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, secret TEXT NOT NULL, tenant TEXT NOT NULL, class TEXT NOT NULL,
    may_class TEXT NOT NULL, read TEXT NOT NULL, write TEXT NOT NULL, until REAL
);
CREATE TABLE key_changes (
    at REAL NOT NULL, author TEXT NOT NULL, change TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL
);
"""
_PIN_TABLES = """
CREATE TABLE pins (path TEXT PRIMARY KEY, author TEXT NOT NULL, at REAL NOT NULL, bytes INTEGER);
CREATE TABLE pin_changes (at REAL NOT NULL, author TEXT NOT NULL, change TEXT NOT NULL, path TEXT NOT NULL);
"""
_KEY_REGIONS = "ALTER TABLE keys ADD COLUMN regions TEXT NOT NULL DEFAULT '[]';\n"
_STEPS = (_TABLES, _PIN_TABLES, _KEY_REGIONS)
"""What brings a file of layout 0 (a new one), 1... to the next."""
_KEY_COLUMNS = "id, secret, name, tenant, class, may_class, read, write, until, regions"


class EmbeddedStore:
    """Revisions, keys and pins in the SQLite file at `path`, which is made if it is absent.

    Raises StoreBroken, here and from every call, if the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # One connection, used by one thread at a time.
        self._lock = threading.Lock()
        with self._faults_named():
            path.parent.mkdir(parents=True, exist_ok=True)
            _owned_alone(path)
            self._database = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except BaseException:
            self._database.close()
            raise

    def __repr__(self) -> str:
        return f"<EmbeddedStore {self.path}>"

    def close(self) -> None:
        """Closes the file. Safe to call twice."""
        with self._lock:
            self._database.close()

    def revision(self) -> int:
        """The number of the newest revision, 0 before the first."""
        with self._reading() as database:
            return _newest(database)

    def current(self) -> Applied | None:
        """The newest revision with its files, None before the first."""
        with self._reading() as database:
            row = database.execute(
                "SELECT number, author, at, digest FROM revisions ORDER BY number DESC LIMIT 1"
            ).fetchone()
            return None if row is None else Applied(Revision(*row), _files(database, row[0]))

    def files(self, number: int) -> Mapping[str, str] | None:
        """The files of revision `number`, None if there is no such one."""
        with self._reading() as database:
            known = database.execute("SELECT 1 FROM revisions WHERE number = ?", (number,)).fetchone()
            return None if known is None else _files(database, number)

    def apply(self, files: Mapping[str, str], author: str, at: float) -> int:
        """Keeps these files, already checked, as the newest revision and returns its number.

        Args:
            files: text by name, all files of the namespace; what is left out is no part of the revision.
            author: whose token it was.
            at: seconds since the epoch.
        """
        with self._writing() as database:
            number = _newest(database) + 1
            database.execute("INSERT INTO revisions VALUES (?, ?, ?, ?)", (number, author, at, digest(files)))
            rows = ((number, name, text) for name, text in files.items())
            database.executemany("INSERT INTO files VALUES (?, ?, ?)", rows)
            return number

    def history(self) -> tuple[Revision, ...]:
        """Every revision, newest first."""
        with self._reading() as database:
            rows = database.execute("SELECT number, author, at, digest FROM revisions ORDER BY number DESC")
            return tuple(Revision(*row) for row in rows)

    def keys(self) -> tuple[AccessKey, ...]:
        """Every key, by name."""
        with self._reading() as database:
            rows = database.execute(f"SELECT {_KEY_COLUMNS} FROM keys ORDER BY name")  # noqa: S608
            return tuple(_key(row) for row in rows)

    def add_key(self, key: AccessKey, author: str, at: float) -> None:
        """Keeps a key. Raises KeyExists if its name or its id is that of another, as id or as name."""
        with self._writing() as database:
            either = {"id": key.id, "name": key.name}
            taken = database.execute("SELECT name FROM keys WHERE id IN (:id, :name) OR name IN (:id, :name)", either)
            if row := taken.fetchone():
                raise KeyExists(
                    f"there is a key {row[0]!r} of that name or id; remove it first, or choose another name"
                )
            database.execute(f"INSERT INTO keys ({_KEY_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _row(key))  # noqa: S608
            database.execute("INSERT INTO key_changes VALUES (?, ?, 'added', ?, ?)", (at, author, key.id, key.name))

    def remove_key(self, name: str, author: str, at: float) -> AccessKey:
        """Removes the key of this name or id and returns it. Raises UnknownKey."""
        with self._writing() as database:
            found = database.execute(f"SELECT {_KEY_COLUMNS} FROM keys WHERE ? IN (id, name)", (name,)).fetchone()  # noqa: S608
            if found is None:
                known = ", ".join(row[0] for row in database.execute("SELECT name FROM keys ORDER BY name"))
                raise UnknownKey(f"no key has the name or id {name!r}; known: {known or 'none'}")
            key = _key(found)
            database.execute("DELETE FROM keys WHERE id = ?", (key.id,))
            database.execute("INSERT INTO key_changes VALUES (?, ?, 'removed', ?, ?)", (at, author, key.id, key.name))
            return key

    def key_changes(self) -> tuple[KeyChange, ...]:
        """Every change of keys, newest first."""
        with self._reading() as database:
            rows = database.execute("SELECT at, author, change, id, name FROM key_changes ORDER BY rowid DESC")
            return tuple(KeyChange(*row) for row in rows)

    def pins(self) -> tuple[PinnedPath, ...]:
        """Every pin, by path."""
        with self._reading() as database:
            return tuple(PinnedPath(*row) for row in database.execute("SELECT * FROM pins ORDER BY path"))

    def add_pin(self, pin: PinnedPath) -> None:
        """Keeps a pin; one of the same path gives way to it."""
        row = (pin.path, pin.author, pin.at, pin.nbytes)
        with self._writing() as database:
            database.execute("INSERT OR REPLACE INTO pins VALUES (?, ?, ?, ?)", row)
            database.execute("INSERT INTO pin_changes VALUES (?, ?, 'pinned', ?)", (pin.at, pin.author, pin.path))

    def remove_pin(self, path: str, author: str, at: float) -> PinnedPath | None:
        """Removes the pin of this very path and returns it; None where there is none."""
        with self._writing() as database:
            row = database.execute("SELECT * FROM pins WHERE path = ?", (path,)).fetchone()
            if row is None:
                return None
            database.execute("DELETE FROM pins WHERE path = ?", (path,))
            database.execute("INSERT INTO pin_changes VALUES (?, ?, 'unpinned', ?)", (at, author, path))
            return PinnedPath(*row)

    def pin_changes(self) -> tuple[PinChange, ...]:
        """Every change of pins, newest first."""
        with self._reading() as database:
            rows = database.execute("SELECT at, author, change, path FROM pin_changes ORDER BY rowid DESC")
            return tuple(PinChange(*row) for row in rows)

    def _prepare(self) -> None:
        with self._reading() as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            # What is removed is overwritten: a secret must not outlive its key in a free page.
            database.execute("PRAGMA secure_delete = ON")
        with self._writing() as database:
            layout = database.execute("PRAGMA user_version").fetchone()[0]
            if layout > LAYOUT:
                raise StoreBroken(f"{self.path} has layout {layout}, this version knows {LAYOUT}; use a newer Causeway")
            for tables in _STEPS[layout:]:
                for statement in tables.strip().split(";\n"):
                    database.execute(statement)
            database.execute(f"PRAGMA user_version = {LAYOUT}")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._faults_named():
            yield self._database

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

    @contextmanager
    def _faults_named(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError) as fault:  # ValueError: a row that holds no key
            remedy = "mend the directory, or move the file away and apply again"
            raise StoreBroken(f"the namespace's file {self.path} cannot be used: {fault}; {remedy}") from fault


def _owned_alone(path: Path) -> None:
    """Makes the file if it is absent; only its owner may open it. SQLite gives its journals the same mode."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _newest(database: sqlite3.Connection) -> int:
    return int(database.execute("SELECT coalesce(max(number), 0) FROM revisions").fetchone()[0])


def _files(database: sqlite3.Connection, number: int) -> dict[str, str]:
    return dict(database.execute("SELECT name, text FROM files WHERE number = ? ORDER BY name", (number,)).fetchall())


def _row(key: AccessKey) -> tuple[str | float | None, ...]:
    lists = (json.dumps(key.may_class), json.dumps(key.read), json.dumps(key.write))
    return (key.id, key.secret, key.name, key.tenant, key.cls, *lists, key.until, json.dumps(key.regions))


def _key(row: tuple[str, str, str, str, str, str, str, str, float | None, str]) -> AccessKey:
    key_id, secret, name, tenant, cls, may_class, read, write, until, regions = row
    lists = (tuple(json.loads(may_class)), tuple(json.loads(read)), tuple(json.loads(write)))
    return AccessKey(key_id, secret, name, tenant, cls, *lists, until, tuple(json.loads(regions)))
