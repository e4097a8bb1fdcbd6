"""What a node says of itself, in words and units for people."""

from collections.abc import Iterable

from gateway.admin.answers import CachePath, Explanation, LineStatus, PeerStatus, Status
from gateway.admin.clusteranswers import MemberShown
from gateway.admin.wayanswers import LeaseStatus, WayShown
from gateway.cli.show import show_moment
from policy.units import show_duration, show_rate, show_size

LINE_HEADINGS = ("line", "direction", ">quota", ">rate", ">used", ">once", ">prepaid", ">waiting", "window", "lease")
LEDGER_HEADINGS = ("line", "direction", "tenant", "class", "bucket", "kind", ">bytes")
WAY_HEADINGS = ("", "source", "region", "where", "line", "why")
NODE_HEADINGS = ("", "of region", "node", "at", "state", "owns it there")

Pairs = list[tuple[str, str]]


def picture_of(status: Status) -> Pairs:
    """Returns what `causeway status` shows."""
    in_force = f"revision {status.revision}, digest {status.digest[:12]}" if status.revision else "none applied yet"
    return [
        ("node", f"{status.node} in {status.region}, version {status.version}"),
        *((("granted", ", ".join(status.granted)),) if status.granted else ()),
        ("ready", "yes" if status.ready else "no"),
        ("up for", show_duration(status.uptime_seconds)),
        *((("members", f"{status.members}, view epoch {status.view_epoch}"),) if status.view_epoch else ()),
        ("in force", in_force),
        *((f"listens {door}", url) for door, url in status.listeners),
        ("mounts", str(status.mounts)),
        ("keys", str(status.keys)),
        *(
            (
                "cache",
                f"{cache.path}: {cache.fault or _kept(cache, tiers=any(one.tier for one in status.caches))}",
            )
            for cache in status.caches
        ),
        ("objects", str(status.objects)),
        ("memory", f"{show_size(status.memory_bytes)} of {show_size(status.memory_limit_bytes)}"),
        ("flights", str(status.flights)),
        *((f"peer {peer.region}", _peer(peer, status.digest)) for peer in status.peers),
        *((f"lease of {line}", _lease(lease)) for line, lease in status.leases),
        *((f"office of {line}", f"this node, epoch {epoch}") for line, epoch in status.offices),
    ]


def _lease(lease: LeaseStatus) -> str:
    where = f"{lease.office_region}, epoch {lease.epoch}" if lease.epoch else lease.office_region
    office = f"office {lease.office or 'not found yet'} in {where}"
    silent = "" if not lease.silent_seconds else f", silent for {show_duration(round(lease.silent_seconds))}"
    why = f": {lease.fault}" if lease.fault else ""
    return f"{_held(lease)}; {office}{silent}{why}"


def _held(lease: LeaseStatus) -> str:
    left = "" if lease.left_seconds is None else f", for {show_duration(max(0, round(lease.left_seconds)))}"
    match lease.state:
        case "leased":
            return show_rate(lease.rate)
        case "hold" | "static":
            return f"{lease.state} {show_rate(lease.rate)}{left}"
        case _:
            return "nothing"


def _kept(cache: CachePath, *, tiers: bool) -> str:
    tier = f", tier {cache.tier}" if tiers else ""
    state = ", full" if cache.full else ", does not keep up" if cache.slow else ""
    return f"{show_size(cache.held_bytes)} of {show_size(cache.limit_bytes)}{tier}{state}"


def _peer(peer: PeerStatus, ours: str) -> str:
    if not peer.answers:
        return f"{peer.address}, does not answer"
    trip = "" if peer.round_trip_seconds is None else f", {show_duration(peer.round_trip_seconds)} away"
    return f"{peer.address}{trip}, {_files(peer.digest, ours)}"


def _files(theirs: str, ours: str) -> str:
    if not theirs:
        return "files not compared yet"
    return "same files" if theirs == ours else f"OTHER FILES (digest {theirs[:12]}): apply the same to both"


def line_row(line: LineStatus) -> tuple[str, ...]:
    """Returns one row under `LINE_HEADINGS`."""
    return (
        line.line,
        line.direction,
        show_rate(line.quota),
        show_rate(line.rate),
        f"{line.rate / line.quota:.0%}" if line.quota else "-",
        f"{line.once_ratio:.3f}",
        show_size(line.prepaid_bytes),
        str(line.waiting),
        ", ".join(f"{name} to {show_rate(ceil)}" for name, ceil in sorted(line.class_ceils.items())) or "-",
        "alone" if line.lease is None else _held(line.lease),
    )


def member_row(one: MemberShown) -> tuple[str, ...]:
    """Returns one row under the headings of `causeway members`."""
    heard = "this one" if one.own else "-" if one.heard_seconds is None else f"{show_duration(one.heard_seconds)} ago"
    return (
        one.name,
        one.state,
        str(one.process_epoch),
        one.peer,
        one.s3,
        one.admin,
        show_size(one.capacity_bytes),
        f"{one.share:.1%}",
        heard,
        "-" if one.epoch is None else str(one.epoch),
    )


def ledger_rows(line: LineStatus) -> list[tuple[str, ...]]:
    """Returns rows under `LEDGER_HEADINGS`, the largest first."""
    return [
        (line.line, line.direction, entry.tenant, entry.cls, entry.bucket, entry.kind, show_size(entry.nbytes))
        for entry in sorted(line.ledger, key=lambda entry: -entry.nbytes)
    ]


def explained(found: Explanation) -> Pairs:
    """Returns what `causeway explain` shows above its sources."""
    return [
        ("path", found.path),
        ("mount", f"{found.mount}, {found.consistency}"),
        ("bucket", found.bucket),
        ("key", found.key),
        *_version(found),
        *(("rule", f"{rule.setting}: {rule.value}, by {rule.match} ({rule.at})") for rule in found.rules),
        *_keeping(found),
        *_owners(found),
        ("last wait", _last_wait(found)),
    ]


def _owners(found: Explanation) -> Pairs:
    owners = found.owners
    if owners is None:
        return []
    key_owner = f"{owners.key_owner} (this member)" if owners.key_owner == owners.own else owners.key_owner
    behind = f"; it asks {', '.join(owners.ranks)} before a line" if owners.ranks else ""
    said = [("owner", f"{key_owner}, by view {owners.epoch}{behind}")]
    if owners.counted > 1:
        shares = ", ".join(f"{name} {count}" for name, count in owners.extents)
        said.append(("extents", f"{owners.counted}: {shares}"))
    return said


def _keeping(found: Explanation) -> Pairs:
    keep = found.keep
    if keep is None:
        return []
    said = [
        f"{show_size(keep.held_bytes)} here",
        "pinned" if keep.pinned else "not pinned",
        f"priority {keep.priority}",
    ]
    if keep.ttl_left_seconds is not None:
        said.append(f"goes in {show_duration(keep.ttl_left_seconds)}")
    if keep.quota_bytes is not None:
        said.append(f"{show_size(keep.quota_used_bytes)} of the quota of {show_size(keep.quota_bytes)} used")
    return [("kept", ", ".join(said)), *(("also at", path) for path in keep.paths if path != found.path)]


def _version(found: Explanation) -> Pairs:
    if found.meta is None:
        return [("version", "none known here: the next read asks")]
    age = "" if found.age_seconds is None else f", said {show_duration(found.age_seconds)} ago"
    return [
        ("version", f"{found.meta.version}{age}"),
        ("size", f"{found.meta.size} ({show_size(found.meta.size)})"),
        ("modified", show_moment(found.meta.last_modified)),
        ("pages", f"{found.pages_held} of {found.pages} here, {show_size(found.page_bytes)} each"),
    ]


def _last_wait(found: Explanation) -> str:
    wait = found.last_wait
    return "none" if wait is None else f"{show_duration(wait.seconds)} for {wait.line}, class {wait.cls}"


def way_row(way: WayShown) -> tuple[str, ...]:
    """Returns one row under `WAY_HEADINGS`; the chosen source is marked."""
    line = "-" if way.line is None else way.line if way.lease is None else f"{way.line}, {_held(way.lease)}"
    return ("*" if way.chosen else "", way.kind, way.region, way.where, line, way.why)


def node_rows(ways: Iterable[WayShown]) -> list[tuple[str, ...]]:
    """Returns the rows under `NODE_HEADINGS`, of all regions; the node that would be asked is marked."""
    return [
        (
            "*" if node.asked else "",
            way.region,
            node.name,
            node.address,
            node.state if node.away_seconds is None else f"away for {show_duration(round(node.away_seconds))}",
            f"owner, by view {way.epoch}" if node.owner else "",
        )
        for way in ways
        for node in way.nodes
    ]
