"""What the drivers in Python share: each is asked on stdin, does it at each door, and prints what it saw, all in JSON.

It runs in a client's own environment, so it needs nothing but Python itself. An operation that fails is told as its
fault, and the next one goes on.
"""

import hashlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Operations = dict[str, Callable[[], Any]]


@dataclass(frozen=True)
class Door:
    """Where to ask: `host` is an address for path style, the domain for virtual-host style."""

    scheme: str
    style: str
    host: str
    port: int

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}"

    @property
    def tls(self) -> bool:
        return self.scheme == "https"

    @property
    def virtual(self) -> bool:
        return self.style == "virtual-host"


@dataclass(frozen=True)
class Ask:
    """What to do. `ranges` are half-open spans of `big`, `etag` is its; `many` is a prefix of over 1000 keys.

    `table` are parquet files of the columns `n` and `text`, `delta` is a Delta table of the same.
    """

    doors: list[Door]
    bucket: str
    access: str
    secret: str
    region: str
    keys: list[str]
    prefixes: list[str]
    many: str
    big: str
    ranges: list[tuple[int, int]]
    etag: str
    table: list[str]
    delta: str
    scratch: str


def drive(client: Callable[[Ask, Door], Operations]) -> None:
    """Does what is asked with the operations that `client` makes for a door."""
    told = json.load(sys.stdin)
    doors = [Door(**one) for one in told.pop("doors")]
    ask = Ask(doors=doors, **told)
    saw = {}
    for door in doors:
        operations = client(ask, door)
        saw[f"{door.scheme} {door.style}"] = {name: attempt(call) for name, call in operations.items()}
    json.dump(saw, sys.stdout)


def attempt(call: Callable[[], Any]) -> dict[str, Any]:
    """What an operation saw, or its fault."""
    try:
        return {"saw": call()}
    except BaseException:
        return {"fault": traceback.format_exc()[-4000:]}


def every_prefix(ask: Ask, under: Callable[[str], dict[str, int]]) -> dict[str, int]:
    """The keys and sizes beneath each prefix that is asked for."""
    return {key: size for prefix in ask.prefixes for key, size in under(prefix).items()}


def every_condition(ask: Ask, get: Callable[[str, str], Any]) -> dict[str, Any]:
    """What `get` of the big object, given a condition's header and its ETag, gives: a digest, or the status."""
    tags = {"same": ask.etag, "other": '"other"'}
    return {f"{name}, {which}": get(name, tag) for name in ("If-Match", "If-None-Match") for which, tag in tags.items()}


def digest(pieces: bytes | Iterable[bytes]) -> str:
    """The SHA-256 of bytes, or of all pieces one after the other."""
    sha = hashlib.sha256()
    for piece in [pieces] if isinstance(pieces, (bytes, bytearray, memoryview)) else pieces:
        sha.update(piece)
    return sha.hexdigest()


def names(keys: Iterable[str]) -> list[Any]:
    """A long list, shortly: how many, and a digest of all in the order told."""
    listed = list(keys)
    return [len(listed), digest("\n".join(listed).encode())]


def rows(pairs: Iterable[tuple[int, str]]) -> list[Any]:
    """Rows (n, text), shortly."""
    return names(f"{n} {text}" for n, text in sorted(pairs))


def files_in(tree: Path) -> Iterator[tuple[str, bytes]]:
    """Every file beneath a directory, by its path in it."""
    for path in sorted(tree.rglob("*")):
        if path.is_file():
            yield path.relative_to(tree).as_posix(), path.read_bytes()


def run(*args: str, **env: str) -> bytes:
    """Runs a command line; returns its stdout, raises with its stderr."""
    done = subprocess.run(args, capture_output=True, check=False, timeout=60, env={**os.environ, **env})
    if done.returncode:
        raise ChildProcessError(f"{' '.join(args)} exited with {done.returncode}: {done.stderr.decode()[-2000:]}")
    return done.stdout
