"""The topology: regions, lines, buckets and mounts, as one frozen value.

Each model checks what can be seen in itself; what needs the whole topology is checked by `codec`. Quantities are bytes,
bytes per second and seconds. A bucket's id is made of what cannot change without the bytes changing, so that pages
outlive new endpoints, new credentials and renamed mounts.
"""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from xxhash import xxh3_128_digest

from namespace import fields, paths
from namespace.consistency import Consistency, MaxAge, consistency_of, refresh_of
from namespace.fields import NO_LINE, Credentials

KIB = 1024
MIB = 1024 * KIB
LARGEST_PAGE = 16 * MIB
"""A page is a power of two, so that pages fill an extent of 64 MiB without a rest (design, section 2)."""
SMALLEST_PAGE = 64 * KIB

Provider = Literal["s3", "azure", "gcs", "hdfs", "file"]
Name = Annotated[str, AfterValidator(fields.name)]
LineName = Annotated[str, AfterValidator(fields.line_name)]
RegionName = Annotated[str, AfterValidator(fields.known("regions"))]
BucketName = Annotated[str, AfterValidator(fields.known("buckets"))]


class _Part(BaseModel):
    # Inputs stay out of messages: a literal credential must not reach a terminal or a log.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Region(_Part):
    """A place with its own cache, or none: `nodes` are the peer addresses of its cache."""

    name: Name
    provider: Name = "idc"
    """Who runs the place, a name for people: `aws`, `idc`, `rental`. Default: `idc`; nothing depends on it."""
    nodes: tuple[Annotated[str, AfterValidator(fields.node)], ...] = ()
    """Peer addresses of its cache, each `"HOST:PORT"` as the other regions reach it, or `"https://HOST:PORT"` where its
    peer door has a certificate (`listen.peer.tls`). Several for a cluster of several nodes: any that answers tells of
    all its members. Default: none; others then read its buckets at their endpoints."""
    parent: RegionName | None = None
    """The region whose cache this one's misses go to first; a line is between the two. Default: none; the home region
    of each bucket is asked itself."""
    trust: Literal["full", "granted"] = "full"
    """`full`: its nodes hold credentials and keys. `granted`: no credentials, and `paths` alone, through the nodes of
    its parent or of a bucket's home, which refuse the rest. Default: `full`; most regions are your own."""
    paths: tuple[str, ...] = Field(default=(), validate_default=True)
    """What a granted region may read, with all beneath, as `[/ns/train]`. Default: none; a trusted region may read
    everything."""

    def may_read(self, path: str) -> bool:
        """Whether nodes of this region may be given `path`."""
        return self.trust == "full" or any(
            paths.covers(place, path) and not paths.climbs(path[len(place) :]) for place in self.paths
        )

    @field_validator("parent", mode="after")
    @classmethod
    def _not_itself(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and value == info.data.get("name"):
            raise ValueError(f"region {value!r} is its own parent; name another region, or none")
        return value

    @field_validator("paths", mode="after")
    @classmethod
    def _only_granted(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for place in value:
            paths.check_place(place)
        trust = info.data.get("trust")
        if trust == "granted" and not value:
            raise ValueError("a granted region reads only the paths named for it: name them, as paths: [/ns/train]")
        if trust == "full" and value:
            raise ValueError("only a region with 'trust: granted' has paths; a trusted one may read everything")
        return value


class Line(_Part):
    """A dedicated or metered link between two regions; `capacity` is bytes per second in each direction."""

    name: LineName
    between: tuple[RegionName, RegionName]
    """The two regions, as `[idc-bj, aws-use1]`. Of several lines between the same two the first is taken, where an
    endpoint names no other. No default: a line has two ends."""
    capacity: Annotated[float, BeforeValidator(fields.rate), Field(gt=0, allow_inf_nan=False)]
    """What it carries each way, as `10Gbps`; its quota, where the policy gives it none. No default: a guess would be
    too much for some line."""
    price_per_gb: Annotated[StrictFloat, Field(ge=0, allow_inf_nan=False)] = 0.0
    """What 10^9 bytes over it cost, in your currency. Default: `0.0`; a dedicated line is paid for already."""
    carries: Literal["private", "public"] = "public"
    """`private`: internal endpoints are reached over it. `public`: external ones alone. Default: `public`; a private
    address means something else, or nothing, at the other end of most lines."""
    office: RegionName | None = None
    """The region at an end whose lease office shares the line out among the nodes of a cluster. Default: the first of
    `between` that has nodes; a region's only node, without `etcd`, holds the line's quota alone."""

    def far(self, region: str) -> str:
        """Returns the region at the other end; raises ValueError if `region` is at neither."""
        one, other = self.between
        if region not in self.between:
            raise ValueError(f"line {self.name!r} is between {one!r} and {other!r}, it does not touch {region!r}")
        return other if region == one else one

    @field_validator("between", mode="before")
    @classmethod
    def _a_pair(cls, value: object) -> object:
        if not isinstance(value, list | tuple) or len(value) != 2:
            raise ValueError("a line is between two regions; write it as [REGION, REGION]")
        return value

    @field_validator("between", mode="after")
    @classmethod
    def _two_regions(cls, value: tuple[str, str]) -> tuple[str, str]:
        if value[0] == value[1]:
            raise ValueError(f"a line is between two regions, and both are {value[0]!r} here")
        return value

    @field_validator("office", mode="after")
    @classmethod
    def _at_an_end(cls, value: str | None, info: ValidationInfo) -> str | None:
        ends = info.data.get("between")
        if value is not None and ends is not None and value not in ends:
            raise ValueError(f"the office is at an end of the line: {ends[0]} or {ends[1]}, not {value!r}")
        return value


class Endpoint(_Part):
    """A URL of a bucket. `line` is a line's name, `none` (reached from elsewhere without a line) or not said."""

    url: Annotated[str, AfterValidator(fields.url)]
    """`http://HOST:PORT` or `https://HOST` of an S3 store, without a path; `file:///DIRECTORY` of a directory. No
    default: it is where the store is."""
    scope: Literal["internal", "external"]
    line: str | None = None
    """The line that its bytes cross for callers elsewhere, or `none`: it is reached from elsewhere without one, and
    without a quota. Default: the line between the caller's region and the home region; where there is none it is no
    source."""

    @field_validator("line", mode="after")
    @classmethod
    def _a_line(cls, value: str | None, info: ValidationInfo) -> str | None:
        return value if value in {None, NO_LINE} else fields.known("lines")(str(value), info)


class Endpoints(_Part):
    """The endpoints of a bucket: `internal` for callers at home or behind a private line, `external` for others."""

    internal: Endpoint | None = None
    """For callers in the home region, and for those behind a line that carries private addresses; written as its URL or
    with the keys below. Default: none; one of the two is wanted."""
    external: Endpoint | None = None
    """For callers elsewhere, by mounts that say `external: true`; written alike. Default: none; one of the two is
    wanted."""

    @field_validator("internal", "external", mode="before")
    @classmethod
    def _scoped(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, str):
            return {"url": value, "scope": info.field_name}
        if isinstance(value, dict):
            if "scope" in value:
                raise ValueError("unknown key 'scope': the key of an endpoint says it, internal or external")
            return {**value, "scope": info.field_name}
        return value


class Bucket(_Part):
    """A logical name for one store. `bucket` is the real bucket's name, `region` its home, `page` is in bytes.

    The store of provider `file` is a directory that the nodes of the home region have mounted: it has an internal
    endpoint alone, is opened with the node's own rights, and need not have a real name.
    """

    name: Name
    provider: Provider
    """What kind of store it is: `s3` or `file`; `azure`, `gcs` and `hdfs` are not kept by this version. No default:
    nothing can be asked before that is known."""
    bucket: str = Field(default="", validate_default=True)
    """The store's own name of it; part of the bucket's identity. Default: none; only a directory need not have one."""
    region: RegionName
    """Its home region; part of its identity. No default: a guess would send bytes over a wrong line."""
    page: Annotated[StrictInt, BeforeValidator(fields.size)] = MIB
    """Bytes of a page, a power of two from 64KiB to 16MiB. Default: `1MiB`; less fetches less around a small read, more
    asks less often for a large one."""
    endpoints: Endpoints
    """Where it is reached. No default: one is wanted at least."""
    credentials: Annotated[Credentials, BeforeValidator(fields.credentials)] = Credentials("role")
    """By reference alone: `{env: NAME}` or `{file: PATH}`, which hold `ACCESS_KEY:SECRET` or a JSON object of
    `access_key`, `secret_key` and `session_token`; `role`, the machine's own; `none`, requests are not signed. Only
    nodes that ask the bucket itself need them. Default: `role`; a directory has `none`."""

    @cached_property
    def id(self) -> bytes:
        """The bucket's 16-byte identity, the same wherever it is computed (line-rules, Identity)."""
        parts = (self.name, self.provider, self.bucket, self.region)
        encoded = [part.encode("utf-8") for part in parts]
        # Lengths first: ("a", "bc") and ("ab", "c") are two buckets.
        return xxh3_128_digest(b"".join(len(part).to_bytes(4, "big") + part for part in encoded))

    @field_validator("bucket", mode="after")
    @classmethod
    def _named(cls, value: str, info: ValidationInfo) -> str:
        provider = info.data.get("provider", "file")
        if not value and provider != "file":
            raise PydanticCustomError("missing", "the store's own name of the bucket is missing")
        return fields.real_bucket(value, provider)

    @model_validator(mode="before")
    @classmethod
    def _with_own_rights(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("provider") == "file":
            return {"credentials": Credentials("none"), **value}
        return value

    @field_validator("credentials", mode="after")
    @classmethod
    def _needed(cls, value: Credentials, info: ValidationInfo) -> Credentials:
        if info.data.get("provider") == "file" and value.kind != "none":
            raise ValueError("a directory is opened with the node's own rights; leave 'credentials' out")
        return value

    @field_validator("page", mode="after")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if not SMALLEST_PAGE <= value <= LARGEST_PAGE or value & (value - 1):
            raise ValueError("a page is a power of two from 64KiB to 16MiB")
        return value

    @field_validator("endpoints", mode="after")
    @classmethod
    def _one_at_least(cls, value: Endpoints) -> Endpoints:
        if value.internal is None and value.external is None:
            raise ValueError("a bucket has at least one endpoint: internal, external or both")
        return value


class Mount(_Part):
    """A path under `/ns` and the bucket and prefix behind it. `stale_if_down` is seconds, infinite = for ever."""

    path: str
    bucket: BucketName
    """The bucket's name in this file. No default: a mount is a place for one."""
    prefix: str = ""
    """What stands before each key in the bucket; it ends with `/`. Default: none: the whole bucket."""
    mode: Literal["ro", "rw"] = "ro"
    """`ro`, or `rw`: not kept by this version. Default: `ro`; most data are read by many and written by one."""
    external: StrictBool = False
    """Whether the bucket's external endpoint may be used for this mount. Default: `false`; bytes that leave by the
    internet are paid for."""
    consistency: Annotated[Consistency, BeforeValidator(consistency_of)] = MaxAge(60.0)
    """What a reader may rely on: `immutable`, objects never change; `{max_age: 60s}`, what is known is believed for so
    long; `validate`, each open asks the bucket. Default: `{max_age: 60s}`; most data are written once, and a question
    for each read of a small object costs more than the read."""
    stale_if_down: Annotated[float, BeforeValidator(fields.duration), Field(ge=0)] = math.inf
    """While the bucket is away, what is cached is served if it was last asked about within this time, else 503.
    Default: for ever; reads outlive outages."""
    refresh: Annotated[float | None, BeforeValidator(refresh_of)] = None
    """Written `{every: 10m}`, 5s at least: so often what is known beneath is looked at anew, and no reader waits.
    Default: none: when it is read."""
    write: Literal["through", "back"] = "through"
    """With `mode: rw`, how a write is kept: `through`, by the bucket; `back`, by nodes. Default: `through`; the bucket
    said so."""
    copies: Annotated[StrictInt, Field(ge=1, le=16)] = 2
    """With `write: back`: on how many nodes a write lies before it is acknowledged. Default: `2`; one may be lost."""

    @field_validator("path", mode="after")
    @classmethod
    def _a_place(cls, value: str) -> str:
        paths.check_place(value)
        first = value.split("/")[2:3]
        if not first:
            raise ValueError(f"{paths.ROOT} is the whole tree; mount a bucket beneath it, as /ns/train")
        if first[0] in paths.RESERVED:
            raise ValueError(f"{first[0]!r} as a bucket's name means the whole tree in S3; choose another")
        return value

    @field_validator("prefix", mode="after")
    @classmethod
    def _whole_components(cls, value: str) -> str:
        paths.check_key(value)
        if value and not value.endswith("/"):
            raise ValueError(f"a prefix ends with '/': write {value + '/'!r}")
        return value

    @field_validator("write", mode="after")
    @classmethod
    def _writable(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("mode") == "ro":
            raise ValueError("'write' says how a mount is written, and this one is read only; say mode: rw")
        return value

    @field_validator("copies", mode="after")
    @classmethod
    def _written_back(cls, value: int, info: ValidationInfo) -> int:
        if info.data.get("write") == "through":
            raise ValueError("'copies' goes with 'write: back'; a write through is kept by the origin")
        return value


class Topology(_Part):
    """Everything the namespace knows, by name; sections keep the order of the document."""

    regions: Mapping[str, Region]
    lines: Mapping[str, Line] = Field(default_factory=dict)
    buckets: Mapping[str, Bucket] = Field(default_factory=dict)
    mounts: Mapping[str, Mount] = Field(default_factory=dict)

    def lines_between(self, one: str, other: str) -> tuple[Line, ...]:
        """Returns the lines between two regions in the document's order; the first is the one taken by default."""
        return self._by_ends.get(frozenset((one, other)), ())

    def office_region(self, line: Line, own: str) -> str:
        """Returns the region that has a line's office: the one that is named, else the first end that has nodes.

        `own` is the region that asks: it has a node, whether the topology names it or not.
        """
        if line.office is not None:
            return line.office
        with_nodes = (region for region in line.between if region == own or self.regions[region].nodes)
        return next(with_nodes, line.between[0])

    def parents(self, region: str) -> tuple[str, ...]:
        """Returns the chain of parents of a region, nearest first."""
        chain: list[str] = []
        above = self.regions[region].parent
        while above is not None and above not in chain:
            chain.append(above)
            above = self.regions[above].parent
        return tuple(chain)

    @cached_property
    def _by_ends(self) -> dict[frozenset[str], tuple[Line, ...]]:
        by_ends: dict[frozenset[str], tuple[Line, ...]] = {}
        for line in self.lines.values():
            ends = frozenset(line.between)
            by_ends[ends] = (*by_ends.get(ends, ()), line)
        return by_ends
