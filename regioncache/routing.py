"""Builds the route of a way: its source (an endpoint, or a far region's nodes) and the line that its bytes cross.

Routes are kept by what they are made of, so that a request pays a dictionary look-up; a new topology starts afresh.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from namespace import fields
from namespace.fields import Credentials as Reference
from namespace.model import Bucket, Endpoint
from namespace.resolver import Place
from namespace.routes import Way
from regioncache.cluster.members import Member
from regioncache.errors import CacheError, NotSupported, OriginUnavailable
from regioncache.federation.region import FarRegion
from regioncache.federation.regions import FarRegions
from regioncache.federation.source import FarSource
from regioncache.health import WayId
from regioncache.http.client import Base, Client
from regioncache.lines.base import Crossing
from regioncache.lines.crossing import NoLine
from regioncache.lines.line import Line
from regioncache.origins import credentials
from regioncache.origins.base import Payer, Source
from regioncache.origins.credentials import Credentialer
from regioncache.origins.file import FileOrigin
from regioncache.origins.s3 import S3Origin
from regioncache.peers.client import PeerSource
from regioncache.peers.digests import Digests
from regioncache.sources import Route, way_id

SigningSecrets = Callable[[str], str | None]
"""The secret shared with a region, by its name."""


class Routing:
    """Makes routes.

    Mutable state: `_lines` and `_routes`, replaced when a topology is adopted; `_directories` by name.
    """

    def __init__(
        self,
        region: str,
        secrets: SigningSecrets,
        client: Client,
        wall: Callable[[], float],
        digests: Digests,
        on_warning: Callable[[str], None],
        far: FarRegions,
        peers: Client | None = None,
    ) -> None:
        """Args: peers: asks nodes over TLS, with this one's certificate; None: it has none."""
        self._far = far
        self._peers = peers
        self._region = region
        self._secrets = secrets
        self._client = client
        self._wall = wall
        self._digests = digests
        self._on_warning = on_warning
        self._role = credentials.of_role()
        self._lines: Mapping[str, Line] = {}
        self._routes: dict[tuple[WayId, str | None], Route] = {}
        self._directories: dict[str, FileOrigin] = {}

    def adopt(self, lines: Mapping[str, Line]) -> None:
        """Goes on with these lines, by name; routes are made anew."""
        self._lines = lines
        self._routes = {}

    def route(self, place: Place, way: Way) -> Route:
        """Returns the route of one way of a place. Raises CacheError where it cannot be made (no secret, no key)."""
        name = way_id(place.bucket.name, way)
        route = self._routes.get((name, way.line))
        if route is None:
            route = self._routes[name, way.line] = self._route(name, place.bucket, way)
        return route

    def _route(self, name: WayId, bucket: Bucket, way: Way) -> Route:
        line = None if way.line is None else self._lines.get(way.line)
        if line is None and way.line is not None:
            raise OriginUnavailable(f"line {way.line!r} is not in force any more: the topology has changed; ask again")
        kind = "line" if line is not None else "peer" if way.kind == "region" else "origin"

        def crossing(payer: Callable[[], Payer], ledger_kind: Callable[[], str]) -> Crossing:
            return NoLine() if line is None else line.crossing(payer, bucket.name, ledger_kind)

        if way.endpoint is not None:
            return Route(name, kind, way.line, self._endpoint(bucket, way.endpoint), crossing)
        region = self._region_of(way)
        source = FarSource(region, bucket.id, partial(self._node, bucket, way.region), crossing)
        return Route(name, kind, way.line, source, crossing, region.others)

    def _region_of(self, way: Way) -> FarRegion:
        """The far region of a way, whose nodes can be asked. Raises NotSupported."""
        if self._secrets(way.region) is None:
            raise NotSupported(f"no secret is shared with region {way.region!r}: name one under `secrets` in node.yaml")
        bases = [node_base(node) for node in way.nodes]
        secure = next((base for base in bases if base.scheme == "https"), None)
        if secure is not None and self._peers is None:
            raise NotSupported(
                f"node {secure} of {way.region} speaks TLS: name this node's certificate under `listen.peer.tls`"
            )
        region = self._far.of(way.region)
        region.nodes.name(str(base) for base in bases)
        return region

    def _node(self, bucket: Bucket, region: str, node: Member, heard: Callable[[int], None]) -> PeerSource:
        base = Base.parse(node.addresses.peer)
        where = base.authority.decode()
        return PeerSource(
            f"node {where if node.name == node.addresses.peer else f'{node.name} ({where})'} of {region}",
            base,
            bucket.name,
            bucket.id,
            self._region,
            region,
            lambda: self._secrets(region) or "",
            self._peers or self._client,
            self._digests,
            self._on_warning,
            self._wall,
            heard=heard,
        )

    def _endpoint(self, bucket: Bucket, endpoint: Endpoint) -> Source:
        if bucket.provider == "file":
            return self._directory(f"bucket {bucket.name} at {endpoint.url}", fields.directory(endpoint.url))
        if bucket.provider != "s3":
            raise NotSupported(f"provider {bucket.provider!r} of bucket {bucket.name!r} is not kept by this version")
        return S3Origin(
            f"bucket {bucket.name} at {endpoint.url}",
            Base.parse(endpoint.url),
            bucket.bucket,
            credentialer(bucket.credentials, self._role),
            self._client,
            wall=self._wall,
        )

    def _directory(self, name: str, directory: str) -> FileOrigin:
        if name not in self._directories:
            self._directories[name] = FileOrigin(name, directory, self._wall)
        return self._directories[name]


def node_base(address: str) -> Base:
    """Returns where a node is asked: its address in the topology, or the URL that a member tells of itself."""
    return Base.parse(address if "://" in address else f"http://{address}")


def credentialer(reference: Reference, role: Credentialer) -> Credentialer:
    """Returns what finds the credentials that a bucket refers to; raises CacheError where they are not to be had.

    The machine has one `role`: its credentials are asked for once for all buckets.
    """
    match reference.kind:
        case "none":
            return credentials.unsigned
        case "env":
            return credentials.from_env(reference.name)
        case "file":
            return credentials.from_file(Path(reference.name))
        case "role":
            return role
    raise CacheError(f"credentials of kind {reference.kind!r} are not known")
