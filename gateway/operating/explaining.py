"""Why a path is served as it is, from what is known here: mount, bucket, version, ways, pages, rules, last wait."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

from gateway.admin.answers import Explanation, KeepShown, LastWait, RuleShown
from gateway.admin.clusteranswers import OwnersShown
from gateway.admin.operations import BadOperation, UnknownPath
from gateway.admin.wayanswers import FarNodeShown, WayShown
from gateway.operating.leases import leases
from gateway.operating.running import Running
from namespace.consistency import Immutable, MaxAge
from namespace.errors import NamespaceError
from namespace.model import Mount
from namespace.paths import covers
from namespace.resolver import Place
from namespace.routes import Way, candidates
from policy.units import show_duration, show_size
from regioncache.cluster.ring import place as extent_place
from regioncache.grants import refusal
from regioncache.pages import EXTENT_BYTES, Meta, ObjectId, Span, cover, page_span
from regioncache.routing import node_base
from regioncache.sources import way_id
from regioncache.store.base import WouldBlock

MOST_EXTENTS = 16_384
"""Of a larger object than 1 TiB the first are counted: 30 ms of the loop."""


class Explaining:
    """`explain` of `gateway.admin.operations.Watching`."""

    running: Running

    async def explain(self, path: str) -> Explanation:
        """Explains a path. Raises UnknownPath, BadOperation."""
        place = self._place(path)
        oid = ObjectId(place.bucket.id, place.key)
        meta = await self._known(oid)
        page_bytes = place.bucket.page
        pages = cover(Span(0, meta.size), page_bytes) if meta is not None else Span(0, 0)
        runs = [] if meta is None else self.running.app.store.present(oid, meta.version, page_bytes, pages)
        read = self.running.recent.of(path)
        waited = read.waited if read is not None else None
        return Explanation(
            path=path,
            mount=place.mount.path,
            bucket=place.bucket.name,
            key=place.key,
            consistency=_consistency(place.mount),
            meta=meta,
            age_seconds=None if meta is None else max(0.0, self.running.wall() - meta.learned_at),
            page_bytes=page_bytes,
            pages_held=sum(map(len, runs)),
            pages=len(pages),
            ways=self._ways(place),
            rules=(*self._rules(path), *self._pinned_by_commands(path)),
            last_wait=None if waited is None else LastWait(waited.line, waited.cls, waited.seconds),
            keep=self._keep(oid, 0 if meta is None else _bytes(runs, page_bytes, meta.size)),
            owners=self._owners(oid, 0 if meta is None else meta.size),
        )

    def _owners(self, oid: ObjectId, size: int) -> OwnersShown | None:
        ownership, own = self.running.app.cache.owners.ownership, self.running.settings.node
        if not ownership.epoch or not ownership.ranks(oid, 0):
            return None
        counted = min(-(-size // EXTENT_BYTES) or 1, MOST_EXTENTS)
        owners = (ownership.owner(oid, extent) for extent in range(counted))
        ranks = tuple(one.name for one in ownership.ranks(oid, 0))
        counts = Counter(own if owner is None else owner.name for owner in owners)
        return OwnersShown(ownership.epoch, own, ranks[0], ranks[1:], tuple(sorted(counts.items())), counted)

    def _place(self, path: str) -> Place:
        try:
            place = self.running.app.resolver.find(path)
        except NamespaceError as wrong:
            raise BadOperation(str(wrong)) from wrong
        if place is None:
            mounts = ", ".join(self.running.app.resolver.topology.mounts) or "none"
            raise UnknownPath(f"no mount has {path!r}; mounts: {mounts}")
        return place

    async def _known(self, oid: ObjectId) -> Meta | None:
        meta = self.running.app.catalog.find(oid)
        if meta is not None:
            return meta
        try:
            return self.running.app.store.recall_now(oid)
        except WouldBlock:
            return await self.running.app.store.recall(oid)

    def _keep(self, oid: ObjectId, held: int) -> KeepShown:
        app = self.running.app
        keep, brought = app.regrouping.now.look(oid), app.store.brought(oid)
        account = "" if keep.quota is None else keep.quota.account
        used = next((one.used for one in app.store.statistics().accounts if one.name == account), 0)
        left = None
        if keep.ttl is not None and brought is not None and not keep.pinned:
            left = max(0.0, brought + keep.ttl - self.running.wall())
        return KeepShown(
            pinned=keep.pinned,
            priority=keep.priority,
            held_bytes=held,
            paths=tuple(app.regrouping.shown.paths(oid)),
            ttl_seconds=keep.ttl,
            ttl_left_seconds=left,
            quota_bytes=None if keep.quota is None else keep.quota.nbytes,
            quota_used_bytes=used,
        )

    def _pinned_by_commands(self, path: str) -> tuple[RuleShown, ...]:
        """The pins that commands have made of this path and those above it."""
        if self.running.app.regrouping.now.command_over(path) is None:
            return ()
        return tuple(
            RuleShown("pin", "true", pin.path, f"{pin.author}, {_moment(pin.at)}")
            for pin in self.running.namespace.newest().pins
            if covers(pin.path, path)
        )

    def _ways(self, place: Place) -> tuple[WayShown, ...]:
        app, region = self.running.app, self.running.settings.region
        shown, chosen = [], False
        own = app.resolver.topology.regions[region]
        if not own.may_read(place.path):
            why = f"{refusal(own)}: {', '.join(own.paths)}"
            return (WayShown("none", region, f"path {place.path}", None, False, why),)
        for candidate in candidates(app.resolver.topology, place.mount, region):
            way, why = candidate.way, candidate.why
            if way is None:
                shown.append(WayShown("none", region, candidate.what, None, False, why))
                continue
            away = app.health.away_since().get(way_id(place.bucket.name, way))
            taken = away is None and not chosen
            chosen = chosen or taken
            seconds = None if away is None else max(0.0, app.settings.clock() - away)
            why = why if seconds is None else f"{why}; away for {show_duration(round(seconds))}"
            one = WayShown(way.kind, way.region, candidate.what, way.line, taken, why, seconds)
            shown.append(self._further(one, way, place))
        return tuple(shown)

    def _further(self, shown: WayShown, way: Way, place: Place) -> WayShown:
        """The same way, with what is known of its nodes and its line."""
        lease = dict(leases(self.running.app)).get(way.line or "")
        if way.kind != "region":
            return replace(shown, lease=lease)
        known = self.running.app.far.of(way.region).nodes
        known.name(str(node_base(one)) for one in way.nodes)
        at = extent_place(ObjectId(place.bucket.id, place.key), 0)
        asked, owner = next(iter(known.order(at)), None) or known.last_resort(at), known.owner(at)
        nodes = tuple(
            FarNodeShown(
                one.node.name,
                one.node.addresses.peer,
                one.state,
                one.node == owner,
                one.node == asked,
                one.away_seconds,
            )
            for one in known.standings(self.running.app.settings.clock())
        )
        return replace(shown, epoch=known.view.epoch, nodes=nodes, lease=lease)

    def _rules(self, path: str) -> tuple[RuleShown, ...]:
        in_force = self.running.in_force
        if in_force.pair is None:
            return ()
        found, cache = in_force.rules.match(path), in_force.pair.policy.cache
        return tuple(
            RuleShown(
                setting, _value(getattr(found, setting)), str(cache[index].match), in_force.rule_at(index, setting)
            )
            for setting, index in found.by.items()
        )


def _value(value: object) -> str:
    """What a rule sets, as people write it: of numbers, a ttl is seconds and a quota bytes."""
    if isinstance(value, float):
        return show_duration(value)
    return show_size(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _consistency(mount: Mount) -> str:
    match mount.consistency:
        case Immutable():
            return "immutable"
        case MaxAge(seconds):
            return f"max_age {seconds:g}s"
        case _:
            return "validate"


def _bytes(runs: list[Span], page_bytes: int, size: int) -> int:
    return sum(len(page_span(run, page_bytes, size)) for run in runs)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
