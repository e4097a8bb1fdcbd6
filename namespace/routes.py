"""Routes: the sources of a mount as seen from a region, in order of preference, and why each is one or not.

A region's cache is asked before a store, since it may hold the pages already, and a shield reads for many. Nothing is
reached without a line that leads there, unless the topology says `line: none` aloud. Everything is a pure function of
the topology: nodes of one revision agree on every route.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from namespace import paths
from namespace.fields import NO_LINE
from namespace.model import Bucket, Endpoint, Line, Mount, Topology


@dataclass(frozen=True, slots=True)
class Way:
    """One source: the nodes of a region, or an endpoint of a bucket at home in a region.

    `line` is the line that its bytes cross on their way to the caller, None where they cross none.
    """

    kind: Literal["region", "endpoint"]
    region: str
    nodes: tuple[str, ...] = ()
    endpoint: Endpoint | None = None
    line: str | None = None

    def __post_init__(self) -> None:
        if (self.kind == "endpoint") != (self.endpoint is not None) or (self.kind == "region") != bool(self.nodes):
            raise ValueError(f"a way to {self.region!r} has nodes if it is a region, an endpoint if it is an endpoint")


@dataclass(frozen=True, slots=True)
class Candidate:
    """What might be a source: `what` it is, the way if it is one (else None), and why."""

    what: str
    way: Way | None
    why: str


class Routes:
    """The routes of a topology as seen from one region: mounts of one bucket that are alike share theirs.

    Mutable state: what was worked out.
    """

    def __init__(self, topology: Topology, caller_region: str) -> None:
        """Raises KeyError if the region is not in the topology."""
        self.topology = topology
        self._region = caller_region
        self._granted = topology.regions[caller_region].trust == "granted"
        self._known: dict[tuple[str, bool, str], tuple[Way, ...]] = {}

    def of(self, mount: Mount) -> tuple[Way, ...]:
        """The sources of a mount, best first; empty where there is none."""
        alike = (mount.bucket, mount.external, mount.path if self._granted else "")
        known = self._known.get(alike)
        if known is None:
            known = self._known[alike] = routes(self.topology, mount, self._region)
        return known


def routes(topology: Topology, mount: Mount, caller_region: str) -> tuple[Way, ...]:
    """Returns the sources of `mount` for a node in `caller_region`, best first; empty where there is none."""
    return tuple(each.way for each in candidates(topology, mount, caller_region) if each.way is not None)


def candidates(topology: Topology, mount: Mount, caller_region: str) -> tuple[Candidate, ...]:
    """Returns everything that might be a source of `mount` for a node in `caller_region`, best first, with the reasons.

    Raises KeyError if the region, or the mount's bucket, is not in the topology.
    """
    caller = topology.regions[caller_region]
    bucket = topology.buckets[mount.bucket]
    granted = caller.trust == "granted"
    if granted and not any(
        paths.covers(place, mount.path) or paths.covers(mount.path, place) for place in caller.paths
    ):
        return (Candidate(f"mount {mount.path}", None, f"region {caller.name} is granted other paths only"),)
    return (*_regions(topology, bucket, caller_region), *_endpoints(topology, mount, bucket, caller_region, granted))


def unreached(topology: Topology) -> list[tuple[tuple[str, ...], str]]:
    """Returns (loc, message) of each mount that has no source in some region: no fault, but worth a warning."""
    lost: list[tuple[tuple[str, ...], str]] = []
    for mount in topology.mounts.values():
        for region in topology.regions.values():
            if region.trust == "full" and not routes(topology, mount, region.name):
                lost.append((("mounts", mount.path), f"region {region.name!r} has no way to it; see `explain`"))
    return lost


def _regions(topology: Topology, bucket: Bucket, caller: str) -> Iterator[Candidate]:
    """Yields the caches on the way home: the caller's parents, nearest first, then the home region."""
    if caller == bucket.region:
        return
    for parent in topology.parents(caller):
        if parent == bucket.region:
            break
        yield _region(topology, parent, caller, "parent")
    yield _region(topology, bucket.region, caller, "home")


def _region(topology: Topology, region: str, caller: str, role: str) -> Candidate:
    what = f"nodes of {region}"
    nodes = topology.regions[region].nodes
    if not nodes:
        return Candidate(what, None, f"the {role} region {region} has no nodes")
    lines = topology.lines_between(caller, region)
    if not lines:
        return Candidate(what, None, f"no line is between {caller} and {region}")
    return Candidate(what, Way("region", region, nodes=nodes, line=lines[0].name), f"cache of the {role} region")


def _endpoints(topology: Topology, mount: Mount, bucket: Bucket, caller: str, granted: bool) -> Iterator[Candidate]:
    for endpoint in (bucket.endpoints.internal, bucket.endpoints.external):
        if endpoint is None:
            continue
        what = f"{endpoint.scope} endpoint {endpoint.url}"
        if granted:
            yield Candidate(what, None, f"region {caller} is granted: it reads through its parent or the home region")
        elif endpoint.scope == "external" and not mount.external:
            yield Candidate(what, None, f"mount {mount.path} does not allow it; say external: true")
        elif caller == bucket.region:
            yield _reached(what, bucket, endpoint, None, "the bucket is at home here")
        elif bucket.provider == "file":
            yield Candidate(what, None, f"a directory is read by the nodes of its home region {bucket.region} alone")
        else:
            yield _over_line(topology, what, bucket, endpoint, caller)


def _over_line(topology: Topology, what: str, bucket: Bucket, endpoint: Endpoint, caller: str) -> Candidate:
    """Judges an endpoint as seen from another region than its home."""
    if endpoint.line == NO_LINE:
        return _reached(what, bucket, endpoint, None, "it says line: none")
    between = topology.lines_between(caller, bucket.region)
    fit = [line for line in between if _fits(endpoint, line)]
    if fit:
        return _reached(what, bucket, endpoint, fit[0], f"it is reached over line {fit[0].name}")
    if endpoint.line is not None:
        return Candidate(what, None, f"its line {endpoint.line} does not touch {caller}")
    if between:
        return Candidate(what, None, f"line {between[0].name} does not carry private addresses; say carries: private")
    return Candidate(what, None, f"no line is between {caller} and {bucket.region}, and it does not say line: none")


def _fits(endpoint: Endpoint, line: Line) -> bool:
    """Whether the endpoint is reached over a line between the caller and its home."""
    if endpoint.line is not None:
        return endpoint.line == line.name
    return endpoint.scope == "external" or line.carries == "private"


def _reached(what: str, bucket: Bucket, endpoint: Endpoint, line: Line | None, why: str) -> Candidate:
    name = None if line is None else line.name
    return Candidate(what, Way("endpoint", bucket.region, endpoint=endpoint, line=name), why)
