"""Faults that show only across the parts of a topology, and what this version does not keep of a right one.

Each check yields (loc, message): the way to the value from the document's root, and what is wrong with the remedy. A
check is told only of parts that are right in themselves, so that one mistake is told once.
"""

from collections.abc import Iterator, Mapping

from namespace import fields, paths
from namespace.fields import NO_LINE
from namespace.model import Bucket, Endpoint, Topology
from namespace.table import Table

Loc = tuple[int | str, ...]
Fault = tuple[Loc, str]
_NOT_KEPT = "not kept by this version"


def across(topology: Topology, sections: Mapping[str, Mapping[str, object]]) -> Iterator[Fault]:
    """Yields the faults between parts; `sections` are all items as they were given, wrong ones too."""
    yield from _cycles(sections["regions"])
    yield from _parents_without_line(topology, sections)
    yield from _granted_parents(topology)
    yield from _nodes_listed_twice(topology)
    yield from _granted_paths(topology, sections["mounts"])
    for bucket in topology.buckets.values():
        yield from _home(topology, bucket)
        yield from _endpoints(topology, bucket, sections)
    yield from _same_store_twice(topology)
    yield from _external_mounts(topology)
    yield from _prefixes_of_directories(topology)


def not_kept(topology: Topology) -> list[Fault]:
    """Returns what is right but not kept by this version: `apply` refuses it, `check --future` does not."""
    return [(loc, f"{_NOT_KEPT}: {why}") for loc, why in _not_kept(topology)]


def hidings(topology: Topology) -> list[str]:
    """Returns what mounts hide of others: allowed, and worth a note, since nobody who lists a bucket sees it."""
    table, found = Table(topology.mounts.values()), []
    for mount in topology.mounts.values():
        for hidden in table.hidden(mount):
            path = f"{mount.path}/{hidden[len(mount.prefix) :]}"
            found.append(
                f"mount {path} hides what bucket {mount.bucket!r} keeps under {hidden}/, of mount {mount.path}"
            )
    return found


def _cycles(regions: Mapping[str, object]) -> Iterator[Fault]:
    parents = {name: item["parent"] for name, item in regions.items() if isinstance(item, Mapping) and "parent" in item}
    told: set[object] = set()
    for name in parents:
        chain: list[object] = [name]
        while (above := parents.get(str(chain[-1]))) is not None and above not in chain:
            chain.append(above)
        if above == name and len(chain) > 1 and name not in told:
            told.update(chain)
            circle = " -> ".join(str(region) for region in (*chain, name))
            yield ("regions", name, "parent"), f"parents go round in a circle: {circle}; leave one of them out"


def _parents_without_line(topology: Topology, sections: Mapping[str, Mapping[str, object]]) -> Iterator[Fault]:
    for region in topology.regions.values():
        if region.parent is None or topology.lines_between(region.name, region.parent):
            continue
        if len(topology.lines) == len(sections["lines"]):
            fault = f"no line is between {region.name!r} and its parent {region.parent!r}; add one under 'lines'"
            yield ("regions", region.name, "parent"), fault


def _granted_parents(topology: Topology) -> Iterator[Fault]:
    for region in topology.regions.values():
        parent = topology.regions.get(region.parent or "")
        if parent is not None and parent.trust == "granted" and region.trust == "full":
            fault = f"region {parent.name!r} is granted its paths only; a trusted region reads through a trusted one"
            yield ("regions", region.name, "parent"), fault


def _nodes_listed_twice(topology: Topology) -> Iterator[Fault]:
    seen: dict[str, str] = {}
    for region in topology.regions.values():
        for index, node in enumerate(region.nodes):
            where = node.removeprefix(fields.TLS_NODE)
            if where in seen:
                fault = f"node {where} is listed under region {seen[where]!r} already; a node has one region"
                yield ("regions", region.name, "nodes", index), fault
            seen.setdefault(where, region.name)


def _granted_paths(topology: Topology, mounts: Mapping[str, object]) -> Iterator[Fault]:
    for region in topology.regions.values():
        for index, place in enumerate(region.paths):
            if not any(paths.covers(place, mount) or paths.covers(mount, place) for mount in mounts):
                fault = f"nothing is mounted at {place!r}, above or beneath it; known: {', '.join(mounts) or 'none'}"
                yield ("regions", region.name, "paths", index), fault


def _home(topology: Topology, bucket: Bucket) -> Iterator[Fault]:
    home = topology.regions.get(bucket.region)
    if home is not None and home.trust == "granted":
        fault = f"region {home.name!r} is granted, it holds no credentials; a bucket is at home in a trusted region"
        yield ("buckets", bucket.name, "region"), fault


def _endpoints(topology: Topology, bucket: Bucket, sections: Mapping[str, Mapping[str, object]]) -> Iterator[Fault]:
    for endpoint in _given(bucket):
        at = ("buckets", bucket.name, "endpoints", endpoint.scope)
        try:
            fields.url_of_provider(endpoint.url, bucket.provider)
        except ValueError as fault:
            yield at, str(fault)
        if bucket.provider == "file" and endpoint.scope == "external":
            yield (
                at,
                "a directory has an internal endpoint alone: other regions read it through its home's nodes",
            )
            continue
        if bucket.provider == "file" and endpoint.line is not None:
            yield (
                (*at, "line"),
                "no line leads to a directory, its home's nodes have it mounted; leave 'line' out",
            )
            continue
        line = topology.lines.get(endpoint.line or "")
        if line is not None and bucket.region not in line.between:
            ends = " and ".join(line.between)
            yield (*at, "line"), f"line {line.name!r} is between {ends}; it does not touch {bucket.region!r}, the home"
        touched = any(bucket.region in other.between for other in topology.lines.values())
        whole = len(topology.lines) == len(sections["lines"])
        if endpoint.scope == "external" and endpoint.line is None and whole and not touched:
            yield (
                at,
                (
                    f"no line touches {bucket.region!r}, so nobody elsewhere reaches this endpoint; add a line, "
                    f"or say that none is crossed: {{url: ..., line: {NO_LINE}}}"
                ),
            )


def _same_store_twice(topology: Topology) -> Iterator[Fault]:
    seen: dict[tuple[str, str, str, str], str] = {}
    for bucket in topology.buckets.values():
        for endpoint in _given(bucket):
            # A directory is known by its path alone, whatever it is called.
            named = "" if bucket.provider == "file" else bucket.bucket
            real = (bucket.provider, named, bucket.region, endpoint.url.rstrip("/"))
            first = seen.setdefault(real, bucket.name)
            if first != bucket.name:
                fault = f"this is the store of bucket {first!r}, its pages would be kept twice; mount {first!r} again"
                yield ("buckets", bucket.name, "endpoints" if bucket.provider == "file" else "bucket"), fault
                break


def _external_mounts(topology: Topology) -> Iterator[Fault]:
    for mount in topology.mounts.values():
        bucket = topology.buckets.get(mount.bucket)
        if mount.external and bucket is not None and bucket.endpoints.external is None:
            fault = f"bucket {bucket.name!r} has no external endpoint; give it one, or leave 'external' out"
            yield ("mounts", mount.path, "external"), fault


def _prefixes_of_directories(topology: Topology) -> Iterator[Fault]:
    for mount in topology.mounts.values():
        bucket = topology.buckets.get(mount.bucket)
        if bucket is None or bucket.provider != "file" or not mount.prefix:
            continue
        if any(part in {"", ".", ".."} for part in mount.prefix.removesuffix("/").split("/")):
            fault = f"bucket {bucket.name!r} is a directory: no part of a key in it is empty, '.' or '..'"
            yield ("mounts", mount.path, "prefix"), fault


def _not_kept(topology: Topology) -> Iterator[Fault]:
    for bucket in topology.buckets.values():
        if bucket.provider not in {"s3", "file"}:
            yield ("buckets", bucket.name, "provider"), "buckets are of provider s3 or file"
    for mount in topology.mounts.values():
        if mount.mode == "rw":
            yield (
                ("mounts", mount.path, "mode"),
                "mounts are read only; say mode: ro and leave 'write' and 'copies' out",
            )


def _given(bucket: Bucket) -> Iterator[Endpoint]:
    for endpoint in (bucket.endpoints.internal, bucket.endpoints.external):
        if endpoint is not None:
            yield endpoint
