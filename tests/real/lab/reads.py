"""What must cross a line, worked out apart from the program: the pages that reads touch, and what a ledger says."""

import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.real.lab.load import Get, Load, Loaded, get, load, loading
from tests.real.lab.nodes import Node
from tests.real.lab.regions import BUCKET, LINE, Regions, two_regions
from tests.real.lab.s3 import S3Server, versitygw, write_ramp
from tests.real.lab.sign import Keys

PAGE = 1024 * 1024
STEP = 256 * 1024
CROSSED = ("unique", "refetch", "retry", "over_read")


@dataclass(frozen=True, slots=True)
class Thing:
    """An object of `size` ramp bytes; `shift` moves its ramp, so that two objects differ at every offset."""

    key: str
    size: int
    shift: int


@dataclass(frozen=True, slots=True)
class Read:
    """The half-open span [start, end) of a thing; `whole` asks for it without a range."""

    thing: Thing
    start: int
    end: int
    whole: bool = False

    def get(self, host: str, keys: Keys) -> Get:
        """As the raw client sends and checks it."""
        span = None if self.whole else (self.start, self.end)
        return get(host, BUCKET, self.thing.key, keys, size=self.thing.size, span=span, shift=self.thing.shift)


@dataclass(frozen=True, slots=True)
class Stage:
    """Two running regions, a key that reads everything, and room to work in."""

    regions: Regions
    key: Keys
    directory: Path

    def put(self, things: Iterable[Thing]) -> None:
        put(self.regions.store, things, self.directory)

    def load(self, gets: Iterable[Get], connections: int = 1, **more: Any) -> Loaded:
        """Reads at the node that is away from the bucket."""
        return load(self.regions.away.address, gets, self.directory, connections=connections, **more)

    def loading(self, gets: Iterable[Get], connections: int = 1, **more: Any) -> AbstractContextManager[Load]:
        """As `load`, beside what the `with` does."""
        return loading(self.regions.away.address, gets, self.directory, connections=connections, **more)

    def gets(self, reads: Iterable[Read], keys: Keys | None = None) -> list[Get]:
        return [read.get(self.regions.away.address, keys or self.key) for read in reads]

    def kinds(self) -> Counter[str]:
        """What the line's ledger holds, by kind."""
        return ledger(self.regions.away, line=LINE)

    def settle(self) -> None:
        """Waits until no flight is under way on either side."""
        for each in (self.regions.away, self.regions.home):
            while each.metric("causeway_flights"):
                each.process.check()


@contextmanager
def stage(directory: Path, rules: Mapping[str, Any], **away: Any) -> Iterator[Stage]:
    """Runs two regions over an empty bucket; `away` are arguments of the node away from it."""
    with versitygw(directory) as store:
        assert store.root is not None
        (store.root / BUCKET).mkdir()
        with two_regions(directory, store, rules, away=away) as regions:
            yield Stage(regions, regions.away.key("reader", "rec", "/ns/data"), directory)


def touched(reads: Iterable[Read], page: int = PAGE) -> int:
    """Bytes of the pages that the reads touch, each once; an object's last page is as long as the object."""
    pages = {(read.thing, number) for read in reads for number in range(read.start // page, (read.end - 1) // page + 1)}
    return sum(min((number + 1) * page, thing.size) - number * page for thing, number in pages)


def put(store: S3Server, things: Iterable[Thing], scratch: Path) -> None:
    """Puts the things into the store's bucket; equal ones are names of one file, so that they cost the disk once."""
    root = store.root
    assert root is not None, "only versitygw keeps objects as files"
    made: dict[tuple[int, int], Path] = {}
    for thing in things:
        first = made.get((thing.size, thing.shift))
        if first is None:
            source = write_ramp(scratch / "making", thing.size, thing.shift)
            made[thing.size, thing.shift] = store.put_file(BUCKET, thing.key, source)
        else:
            name = root / BUCKET / thing.key
            name.parent.mkdir(parents=True, exist_ok=True)
            os.link(first, name)


def ledger(node: Node, **labels: str) -> Counter[str]:
    """The payload bytes that a node's ledger holds, by kind."""
    found: Counter[str] = Counter()
    for (name, carried), value in node.metrics().items():
        told = dict(carried)
        if name == "causeway_line_bytes_total" and labels.items() <= told.items():
            found[told["kind"]] += int(value)
    return found


def crossed(kinds: Counter[str]) -> int:
    """All payload that was brought, whatever became of it."""
    return sum(kinds[kind] for kind in CROSSED)


class Prepaid:
    """The most prepaid bytes that a node exported for its lines while it was watched."""

    def __init__(self) -> None:
        self.most = 0


@contextmanager
def watched_prepaid(node: Node, seconds: float = 0.1) -> Iterator[Prepaid]:
    """Reads a node's metrics every `seconds`."""
    seen, over = Prepaid(), threading.Event()

    def watch() -> None:
        while not over.wait(seconds):
            seen.most = max(seen.most, int(node.metric("causeway_line_prepaid_bytes")))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
