"""How the node fares: status, lines and every counter. Nothing here waits for an origin."""

import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version

from gateway.admin.answers import CachePath, LineBytes, LineStatus, PeerStatus, Status
from gateway.admin.visitors import Visitors
from gateway.metrics import Histogram, LineLabels, LineSample, OriginSample, Snapshot
from gateway.operating.leases import lease_faults, lease_sample, leases, offices, shut_offices
from gateway.operating.running import Running
from regioncache.app import CacheApp
from regioncache.cluster.members import State
from regioncache.http.server import Server
from regioncache.isolation import DELAYS
from regioncache.lines.line import Line, LineStatistics
from regioncache.lines.waits import BOUNDS
from regioncache.sources import WayStatistics
from regioncache.store.base import REASONS, StoreStatistics

DOORS = ("s3", "peer", "admin", "control")


class Watching:
    """`gateway.admin.operations.Watching`, but for `explain`."""

    running: Running

    def status(self) -> Status:
        """The node at a glance."""
        running, app = self.running, self.running.app
        held = app.store.statistics()
        pair = running.in_force.pair
        return Status(
            node=running.settings.node,
            region=running.settings.region,
            version=version("causeway"),
            # A disk that is out costs keeping, not reading: the node still serves.
            ready=pair is not None,
            uptime_seconds=max(0.0, running.wall() - running.began),
            revision=app.resolver.revision,
            digest="" if pair is None else pair.digest,
            listeners=tuple((door, running.url(door)) for door in DOORS if door in running.addresses),
            granted=() if pair is None else pair.topology.regions[running.settings.region].paths,
            mounts=0 if pair is None else len(pair.topology.mounts),
            keys=len(running.keys),
            caches=self._caches(held),
            objects=held.packed + held.extents,
            memory_bytes=sum(app.memory.held().values()),
            memory_limit_bytes=app.memory.budget,
            flights=app.flights.statistics().flying,
            peers=self._peers(),
            faults=self._faults(held),
            members=sum(self._members().values()),
            view_epoch=self.running.app.settings.ownership.epoch,
            leases=leases(app),
            offices=offices(app),
        )

    def lines(self) -> tuple[LineStatus, ...]:
        """Every direction of every line that this node debits."""
        totals = self.running.app.ledger.totals()
        found = []
        app = self.running.app
        for name, line in app.lines.items():
            now = line.statistics()
            ledger = tuple(
                LineBytes(entry.tenant, entry.cls, entry.bucket, entry.kind, nbytes)
                for entry, nbytes in totals.items()
                if entry.line == name
            )
            once = self.running.app.ledger.once_ratio(name)
            found.append(
                LineStatus(
                    name,
                    line.direction,
                    now.quota,
                    _rate(now),
                    int(now.burst),
                    int(now.prepaid),
                    now.waiting,
                    once,
                    ledger,
                    now.class_ceils,
                    dict(leases(app)).get(name),
                    dict(offices(app)).get(name, 0),
                )
            )
        return tuple(found)

    def metrics(self) -> Snapshot:
        """Every counter."""
        running, app = self.running, self.running.app
        held, flights = app.store.statistics(), app.flights.statistics()
        return Snapshot(
            requests=running.counters.requests,
            first_byte=running.counters.first_byte,
            last_byte=running.counters.last_byte,
            read_bytes=app.tally.read,
            tenant_bytes=running.counters.tenant_bytes,
            connections=_connections(running, lambda server: server.statistics().open, len),
            connections_refused=_connections(
                running, lambda server: server.counters.turned_away, lambda visitors: visitors.turned_away
            ),
            certificates={one.door: one.valid_until for one in running.certificates},
            asked_bytes=sum(app.tally.read.values()),
            brought_bytes=app.tally.brought,
            line_bytes=self._line_bytes(),
            lines=tuple(self._sample(name, line) for name, line in app.lines.items()),
            waits=self._waits(),
            cache_bytes={"clean": held.clean_bytes - held.pinned_bytes, "pinned": held.pinned_bytes, "dirty": 0},
            cache_limit_bytes=held.limit_bytes,
            cache_paths=held.paths,
            evicted_bytes={reason: held.gone_bytes.get(reason, 0) for reason in REASONS},
            corrupt_pages=held.corrupt_pages,
            dropped_files=held.dropped_files,
            version_changed=app.tally.version_changed,
            origins=tuple(_origin(way) for way in app.sources.statistics()),
            readers_waiting=app.sources.turns.guests(),
            readers_refused=app.sources.turns.turned_away,
            flights={"opening": flights.opening, "flying": flights.flying},
            memory_bytes={**app.memory.held(), "budget": app.memory.budget},
            loop_delay=running.loop_delay,
            telemetry={} if running.telemetry is None else running.telemetry.posted(),
            cpu_seconds=time.process_time(),
            uptime_seconds=max(0.0, running.wall() - running.began),
            members=self._members(),
            far_nodes=_far_nodes(app),
            view_epoch=app.settings.ownership.epoch,
            revision=app.resolver.revision,
            snapshot_age_seconds=running.namespace.age_seconds(),
        )

    def _members(self) -> dict[str, int]:
        """Members by state."""
        clustering = self.running.clustering
        if clustering is None:
            return {"active": 1}
        view, found = clustering.membership.views.view, dict.fromkeys((state.value for state in State), 0)
        for one in () if view is None else view.members:
            found[one.state.value] += 1
        return found

    def _caches(self, held: StoreStatistics) -> tuple[CachePath, ...]:
        return tuple(
            CachePath(
                one.path, one.held_bytes, one.limit_bytes, one.out and f"out: {one.out}", one.tier, one.uses,
                one.moved_bytes, one.full, one.slow,
            )
            for one in held.paths
        )  # fmt: skip

    def _peers(self) -> tuple[PeerStatus, ...]:
        app, mine = self.running.app, self.running.settings.region
        away = {name[2] for name in app.health.away_since() if name[1] == "region"}
        return tuple(
            PeerStatus(
                region.name, node, region.name not in away, app.digests.of(region.name), self._round_trip(region.name)
            )
            for region in app.resolver.topology.regions.values()
            for node in region.nodes
            if region.name != mine
        )

    def _round_trip(self, far: str) -> float | None:
        """Seconds, as seen on the line that leads there; None: not measured yet, or there is no line."""
        app, mine = self.running.app, self.running.settings.region
        between = app.resolver.topology.lines_between(mine, far)
        line = app.lines.get(between[0].name) if between else None
        return None if line is None else line.statistics().round_trip or None

    def _faults(self, held: StoreStatistics) -> tuple[str, ...]:
        faults = list(held.paths_out)
        if self.running.in_force.pair is None:
            faults.append("no topology is in force: `causeway apply topology.yaml policy.yaml`")
        faults += filter(None, (self.running.following.fault, self.running.namespace.concern()))
        for one in held.paths:
            if one.full:
                faults.append(f"cache path {one.path} is full: nothing more is kept; free space or lower the size")
            elif one.slow:
                faults.append(f"cache path {one.path} does not keep up: nothing more is kept there meanwhile")
        for certificate in self.running.certificates:
            faults += filter(None, (certificate.fault, certificate.concern(self.running.wall())))
        faults += filter(None, (self.running.app.history.fault,))
        if self.running.clustering is not None and (why := self.running.clustering.membership.away):
            faults.append(f"members: {why}; reads go on by the last view")
        faults += lease_faults(self.running.app)
        if (pair := self.running.in_force.pair) is not None and self.running.app.leasing is None:
            faults += shut_offices(pair.topology, self.running.settings.region)
        away = self.running.app.health.away_since()
        faults += [f"bucket {bucket}: {kind} {where} is away" for bucket, kind, where in away]
        faults += filter(None, (line.statistics().clipped for line in self.running.app.lines.values()))
        return tuple(faults)

    def _line_bytes(self) -> dict[LineLabels, int]:
        sums: dict[LineLabels, int] = {}
        for entry, nbytes in self.running.app.ledger.totals().items():
            labels = LineLabels(entry.line, entry.direction, entry.tenant, entry.cls, entry.kind)
            sums[labels] = sums.get(labels, 0) + nbytes
        return sums

    def _sample(self, name: str, line: Line) -> LineSample:
        now = line.statistics()
        once = self.running.app.ledger.once_ratio(name)
        return LineSample(
            name, line.direction, now.quota, _rate(now), once, int(now.prepaid), now.waiting_by_class,
            lease_sample(self.running.app, name),
        )  # fmt: skip

    def _waits(self) -> dict[tuple[str, str], Histogram]:
        found = {}
        for name, line in self.running.app.lines.items():
            for cls, waits in line.statistics().waits.items():
                histogram = Histogram(BOUNDS)
                histogram.counts, histogram.total = list(waits.counts), waits.total
                found[(name, cls)] = histogram
        return found


def _connections(
    running: Running, of_server: Callable[[Server], int], of_admin: Callable[[Visitors], int]
) -> dict[str, int]:
    found = {door: of_server(server) for door, server in running.servers.items()}
    return found if running.visitors is None else found | {"admin": of_admin(running.visitors)}


def _far_nodes(app: CacheApp) -> dict[tuple[str, str], int]:
    now, found = app.settings.clock(), Counter[tuple[str, str]]()
    for region in app.far.known():
        found.update((region.name, one.state) for one in region.nodes.standings(now))
    return dict(found)


def _origin(way: WayStatistics) -> OriginSample:
    bucket, _, where = way.id
    share, answers = way.share, Histogram(DELAYS)
    answers.counts, answers.total = list(share.delays.counts), share.delays.total
    active = {"read": share.reads, "question": share.questions}
    away = way.away_seconds is not None
    return OriginSample(
        bucket, where, active, share.waiting, share.refused, share.unanswered, away, share.silent_seconds, answers
    )


def _rate(now: LineStatistics) -> float:
    """Recent use decays and is never quite nothing: below a byte a second it is."""
    return now.rate if now.rate >= 1 else 0.0
