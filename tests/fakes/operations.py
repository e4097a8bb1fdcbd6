"""A node's operations over a few objects in memory: counts what is asked of it, refuses what it is told to refuse."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from gateway.accounts import GB, Period, account
from gateway.admin.answers import (
    CachePath,
    Explanation,
    FreedShown,
    KeepShown,
    KeyShown,
    LineBytes,
    LineStatus,
    Listing,
    MadeKey,
    Moved,
    Name,
    NewKey,
    PeerStatus,
    Pinned,
    PinRuleShown,
    Pins,
    PinShown,
    Refreshed,
    RuleShown,
    Stat,
    Status,
    Unpinned,
)
from gateway.admin.clusteranswers import Draining, MemberShown, MembersShown, RemovedMember
from gateway.admin.operations import UnknownPath
from gateway.admin.wayanswers import WayShown
from gateway.applying import Applied, AppliedFiles, Applying, Revision
from gateway.metrics import Snapshot
from namespace.errors import KeyExists
from namespace.keys import AccessKey, new_id, new_secret
from namespace.store.base import PinnedPath
from namespace.store.embedded import EmbeddedStore
from namespace.store.local import LocalNamespace
from regioncache.errors import RangeOutside
from regioncache.history.file import Row
from regioncache.http.messages import Buffer
from regioncache.pages import Meta, Span, Version, Wanted
from tests.fakes.ramp import ramp

PIECE_BYTES = 64 * 1024
NOON = 1_772_798_400.0
"""2026-03-06 12:00 UTC."""


@dataclass(slots=True)
class FakeOpening:
    """Bytes of a ramp; ends short, or fails, when told to."""

    meta: Meta
    span: Span
    ends_at: int
    fault: Exception | None = None
    source: str = "page"
    closed: int = 0

    async def stream(self) -> AsyncIterator[Buffer]:
        end = min(self.span.end, self.ends_at)
        for start in range(self.span.start, end, PIECE_BYTES):
            yield ramp(start, min(start + PIECE_BYTES, end))
        if self.fault is not None:
            raise self.fault

    def close(self) -> None:
        self.closed += 1


@dataclass(slots=True)
class FakeOperations:
    """Objects are (path -> size); topology, policy and keys are kept for real, in `store`."""

    store: EmbeddedStore
    sizes: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    openings: list[FakeOpening] = field(default_factory=list)
    refuse: Exception | None = None
    ends_at: int = 1 << 62
    stream_fault: Exception | None = None
    snapshot: Snapshot = field(default_factory=Snapshot)
    ready: bool = True
    paths_out: tuple[str, ...] = ()
    cluster: tuple[tuple[str, float], ...] = (("active", 0.75), ("joining", 0.0))
    """Of each member n1, n2, ...: its state, and what it owns."""
    cluster_next: list[tuple[tuple[str, float], ...]] = field(default_factory=list)
    """What the cluster is after each question."""
    etcd_away: str = ""
    unasked: tuple[tuple[str, str], ...] = ()

    def status(self) -> Status:
        self._ask("status")
        current = self.store.current()
        return Status(
            node="n1",
            region="a",
            version="0.1.0",
            ready=self.ready,
            uptime_seconds=61.0,
            revision=self.store.revision(),
            digest="" if current is None else current.revision.digest,
            listeners=(("s3", "http://127.0.0.1:9000"),),
            mounts=1,
            keys=len(self.store.keys()),
            caches=(CachePath("/c", 1 << 30, 1 << 40), CachePath("/d", 0, 0, "out: Input/output error")),
            peers=(PeerStatus("b", "10.0.0.1:9100", True, "other", 0.08), PeerStatus("z", "10.0.0.2:9100", False)),
            faults=("cache path /d is out: replace the disk",),
        )

    def lines(self) -> tuple[LineStatus, ...]:
        self._ask("lines")
        ledger = (
            LineBytes("rec", "training", "train", "unique", 3 << 20),
            LineBytes("rec", "training", "x", "meta", 9),
        )
        return (LineStatus("a-b", "b>a", 1e9, 5e8, 1 << 20, 1 << 20, 2, 0.998, ledger),)

    async def moved(self, since: str, until: str, by: str) -> Moved:
        self._ask(f"moved since={since} until={until} by={by}")
        period = Period.of(since, until, by, NOON)
        names = {"line": "a-b", "direction": "b>a", "class": "training", "bucket": "train", "slot": int(NOON)}
        rows = [
            Row(tuple(({**names, "tenant": tenant, "kind": kind})[name] for name in period.columns), nbytes)
            for tenant, kind, nbytes in (("rec", "unique", 3 * GB), ("rec", "retry", GB), ("=search", "meta", 9))
        ]
        return account(period, {"n1": rows}, {"a-b": 0.02}, self.unasked)

    def metrics(self) -> Snapshot:
        self._ask("metrics")
        return self.snapshot

    async def explain(self, path: str) -> Explanation:
        self._ask(f"explain {path}")
        return Explanation(
            path,
            "/ns/train",
            "train",
            path.removeprefix("/ns/train/"),
            "max_age 60 s",
            self._meta(path),
            3.0,
            1 << 20,
            2,
            5,
            ways=(WayShown("region", "b", "10.0.0.1:9100", "a-b", True, "home region"),),
            rules=(RuleShown("admit", "never", "/ns/train/**", "policy:4"),),
            keep=KeepShown(False, "low", 2 << 20, (path, "/ns/all/a"), 86400.0, 3600.0, 1 << 30, 1 << 29),
        )

    def members(self) -> MembersShown:
        self._ask("members")
        shown = [
            MemberShown(f"n{number}", state, 4 + number, 1 << 40, share, f"http://n{number}:9100", own=number == 1)
            for number, (state, share) in enumerate(self.cluster, 1)
        ]
        if self.cluster_next:
            self.cluster = self.cluster_next.pop(0)
        return MembersShown("a", "c1", 77, self.etcd_away, tuple(shown))

    async def drain(self, node: str) -> Draining:
        self._ask(f"drain {node}")
        return Draining(node or "n1", (node or "n1",))

    async def remove_member(self, name: str, author: str) -> RemovedMember:
        self._ask(f"remove_member {name}")
        return RemovedMember(name, name == "n2")

    async def apply(self, files: AppliedFiles, author: str, dry_run: bool, made_from: int | None = None) -> Applied:
        self._ask(f"apply dry_run={dry_run}")
        return await self._applying().apply(files, author, dry_run, made_from)

    async def rollback(self, number: int, author: str, dry_run: bool, made_from: int | None = None) -> Applied:
        self._ask(f"rollback {number} dry_run={dry_run}")
        return await self._applying().rollback(number, author, dry_run, made_from)

    def _applying(self) -> Applying:
        return Applying(LocalNamespace(self.store), lambda: 1000.0, "a")

    async def history(self) -> tuple[Revision, ...]:
        self._ask("history")
        return self.store.history()

    async def keys(self) -> tuple[KeyShown, ...]:
        self._ask("keys")
        return tuple(_shown(key) for key in self.store.keys())  # noqa: SIM118

    async def add_key(self, key: NewKey, author: str) -> MadeKey:
        self._ask(f"add_key {key.name}")
        if any(known.name == key.name for known in self.store.keys()):  # noqa: SIM118
            raise KeyExists(f"there is a key {key.name!r}; remove it first")
        made = AccessKey(
            key.id or new_id(),
            key.secret or new_secret(),
            key.name,
            key.tenant,
            key.cls,
            key.may_class,
            key.read,
            key.write,
            key.until,
            key.regions,
        )
        self.store.add_key(made, author, 1000.0)
        return MadeKey(made.id, made.secret)

    async def remove_key(self, name: str, author: str) -> KeyShown:
        self._ask(f"remove_key {name}")
        return _shown(self.store.remove_key(name, author, 1000.0))

    async def pins(self) -> Pins:
        self._ask("pins")
        commands = tuple(PinShown(pin.path, pin.author, pin.at, pin.nbytes) for pin in self.store.pins())
        rules = (PinRuleShown("/ns/notes/dt=*", "newest: 2", "policy.yaml:4", ("/ns/notes/dt=2", "/ns/notes/dt=1")),)
        return Pins(commands, rules, 3 << 20, 9 << 30)

    async def pin(self, path: str, author: str) -> Pinned:
        self._ask(f"pin {path}")
        self.store.add_pin(PinnedPath(path, author, 1000.0, 5 << 20))
        return Pinned(PinShown(path, author, 1000.0, 5 << 20), ("it could not be listed whole",))

    async def unpin(self, path: str, author: str) -> Unpinned:
        self._ask(f"unpin {path}")
        removed = self.store.remove_pin(path, author, 1000.0)
        if removed is None:
            raise UnknownPath(f"{path} is not pinned; pinned by commands: none")
        return Unpinned(PinShown(removed.path, removed.author, removed.at, removed.nbytes), "with /ns")

    async def free(self, path: str, *, pinned: bool) -> FreedShown:
        self._ask(f"free {path} pinned={pinned}")
        return FreedShown(path, 3, 5 << 20, 0 if pinned else 2 << 20, self.paths_out)

    async def refresh(self, path: str) -> Refreshed:
        self._ask(f"refresh {path}")
        return Refreshed(path, 4)

    async def list(self, path: str, after: str, limit: int, recursive: bool) -> Listing:
        self._ask(f"list {path} after={after} limit={limit} recursive={recursive}")
        names = [name for name in sorted(self.sizes) if name.startswith(path) and name > after]
        listed = tuple(Name(name, self.sizes[name], 0.0, '"e"') for name in names[:limit])
        return Listing(listed, names[limit - 1] if len(names) > limit else None)

    async def stat(self, path: str) -> Stat:
        self._ask(f"stat {path}")
        return Stat(path, self._meta(path), "page")

    async def open(self, path: str, wanted: Wanted) -> FakeOpening:
        self._ask(f"open {path}")
        meta = self._meta(path)
        span = wanted.of(meta.size)
        if span is None:
            raise RangeOutside(meta.size)
        self.openings.append(FakeOpening(meta, span, self.ends_at, self.stream_fault))
        return self.openings[-1]

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.refuse is not None:
            raise self.refuse

    def _meta(self, path: str) -> Meta:
        if path not in self.sizes:
            raise UnknownPath(f"{path}: no such object")
        return Meta(Version('"v1"'), self.sizes[path], '"v1"', 0.0, "text/plain", (("x-amz-meta-a", "1"),))


def _shown(key: AccessKey) -> KeyShown:
    return KeyShown(key.id, key.name, key.tenant, key.cls, key.may_class, key.read, key.write, key.until)
