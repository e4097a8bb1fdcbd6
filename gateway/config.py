"""node.yaml: one machine's settings. Everything is checked before anything starts, and every fault is told at once."""

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from gateway.telemetry.config import TelemetrySettings
from namespace.config import NamespaceSettings
from namespace.etcdclient.config import EtcdSettings
from namespace.references import FilePath, SecretRef
from policy import yamlfile
from policy.units import show_size
from regioncache.config import Bytes, CacheSettings, LedgerSettings

GIB = 1 << 30
# Below this a handful of slow readers and one flight already fill the budget.
SMALLEST_MEMORY = 64 << 20
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a door listens. Port 0 lets the kernel choose one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: object) -> "Address":
        """Returns the address of `host:port` or `[v6]:port`; raises ValueError naming what is accepted."""
        if isinstance(text, Address):
            return text
        if not isinstance(text, str):
            raise ValueError('an address is "HOST:PORT", as "127.0.0.1:9200"')  # noqa: TRY004
        host, colon, port = text.rpartition(":")
        bare = host.removeprefix("[").removesuffix("]")
        if not colon or not bare or not port.isascii() or not port.isdigit() or int(port) > 65535:
            raise ValueError(f'{text!r} is no address; write "HOST:PORT", as "127.0.0.1:9200" or "[::1]:9200"')
        return cls(bare, int(port))

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in {"localhost", "::1"} or self.host.startswith("127.")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class TlsSettings(BaseModel):
    """A certificate and its key; both are read again when they change."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cert: FilePath
    """PEM file: the certificate, then those between it and its authority. No default: a certificate is yours."""
    key: FilePath
    """PEM file: the certificate's private key, without a password. No default: it goes with the certificate."""


class Listener(BaseModel):
    """One door's address, written `"HOST:PORT"` or `{address: "HOST:PORT", tls: {cert: ..., key: ...}}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: Annotated[Address, BeforeValidator(Address.parse)]
    """`"HOST:PORT"`; port 0 lets the kernel choose. No default: who says more of a door says where it is."""
    tls: TlsSettings | None = None
    """The certificate of https; read again, within seconds, when its files change. Default: none: plain HTTP."""

    @model_validator(mode="before")
    @classmethod
    def _bare_address(cls, value: object) -> object:
        return {"address": value} if isinstance(value, str | Address) else value

    @property
    def url(self) -> str:
        """The door's address as a URL."""
        return f"{'http' if self.tls is None else 'https'}://{self.address}"


class S3Listener(Listener):
    """The S3 door's address."""

    domain: str | None = None
    """Domain of virtual-host style: `BUCKET.DOMAIN` is a bucket; path style works beside it, at the domain itself and
    at any other name or address. Default: none: path style alone; `*.DOMAIN` must be in the DNS and, with TLS, in the
    certificate, whose `*` stands for one label: buckets with a dot in their name want path style there."""

    @field_validator("domain", mode="after")
    @classmethod
    def _a_name(cls, value: str | None) -> str | None:
        if value is None:
            return None
        name = value.lower().removesuffix(".")
        # A name whose last part is a number is an address (WHATWG URL), which takes no name before it.
        if len(name) > 253 or _DOMAIN.fullmatch(name) is None or name.rpartition(".")[2].isdigit():
            raise ValueError(
                f"{value!r} is no domain; write its name alone, as s3.example.com: no port, no *, no address"
            )
        return name


class PeerTlsSettings(TlsSettings):
    """A node's certificate among nodes; all three files are read again when they change."""

    ca: FilePath
    """PEM file: the authorities of your nodes' certificates. Whoever connects must have a certificate of theirs, and
    so must the nodes that are asked. No default: the system's authorities sign for everybody."""


class PeerListener(Listener):
    """The address for other nodes."""

    tls: PeerTlsSettings | None = None
    """The certificate of this node among nodes, for those who ask it and those whom it asks; it must be good for both
    uses, and for the name or address by which others reach it. Default: none: plain HTTP; nodes ask each other signed,
    each frame with its checksum."""


class ListenSettings(BaseModel):
    """The doors of this node."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    s3: S3Listener = S3Listener(address=Address("127.0.0.1", 9000))
    """Where S3 is served, as `"HOST:PORT"` or with the keys below. Default: `127.0.0.1:9000`; a door opens to other
    machines only when that is said."""
    peer: PeerListener = PeerListener(address=Address("127.0.0.1", 9100))
    """Where nodes of other regions ask, as `listen.s3`. Default: `127.0.0.1:9100`; as above. Every request on it must
    be signed with the pair's secret."""
    admin: Listener = Listener(address=Address("127.0.0.1", 9200))
    """Health, metrics, and the API behind the administrators' token, as `listen.s3`. Default: `127.0.0.1:9200`; who has
    the token may read everything, and off loopback without TLS, of which the node warns, it would cross the network
    readable."""
    control: Listener = Listener(address=Address("127.0.0.1", 9300))
    """Where nodes agree with each other (gRPC: the namespace service, shares of a line), as `listen.s3`. Default:
    `127.0.0.1:9300`; opened only on a node that has something to say there, as one with `etcd`. A node without it that
    shall be the lease office of lines for another region's nodes names this key, with an address that they reach. Every
    call on it must be signed with the pair's secret."""


class AdvertiseSettings(BaseModel):
    """Where other nodes and clients reach this node's doors, where that is not where they listen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    peer: Annotated[Address, BeforeValidator(Address.parse)] | None = None
    """Where other members reach `listen.peer`, as `"HOST:PORT"`. Default: its own address; for a wildcard that of this
    machine towards etcd: behind a translation of addresses it must be said."""
    s3: Annotated[Address, BeforeValidator(Address.parse)] | None = None
    """Where clients reach `listen.s3`. Default: as above; shown by `causeway members`."""
    admin: Annotated[Address, BeforeValidator(Address.parse)] | None = None
    """Where administrators reach `listen.admin`. Default: as above; shown by `causeway members`."""
    control: Annotated[Address, BeforeValidator(Address.parse)] | None = None
    """Where other nodes reach `listen.control`. Default: as above; it is where they ask for leases."""


def memory_by_default() -> int:
    """Returns a quarter of this machine's memory, 4 GiB at most (bytes)."""
    return min(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4, 4 * GIB)


class NodeSettings(BaseModel):
    """node.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    region: str = Field(min_length=1)
    """The region this node serves, by its name in the topology. No default: a guess would send bytes over a wrong
    line."""
    node: str = Field(default_factory=socket.gethostname, min_length=1)
    """This node's name in logs and in the status of others. Default: the host's name; it is unique in most places
    already."""
    memory: Bytes = Field(default_factory=memory_by_default)
    """Bytes that flights and doors may hold together, 64MiB at least; the interpreter and the index (at most 400 bytes
    for each extent or small object) come on top. Default: a quarter of the machine's memory, 4GiB at most; the kernel's
    page cache needs the rest: it serves the hits."""
    listen: ListenSettings = ListenSettings()
    """The doors. Default: all on loopback, in plain HTTP."""
    advertise: AdvertiseSettings = AdvertiseSettings()
    """Where others reach the doors. Default: where they listen; told to the other members, nobody else needs it."""
    secrets: dict[str, SecretRef] = Field(default_factory=dict)
    """By region, the secret that signs requests between its nodes and ours (own region: between the nodes within); both
    sides have the same. Default: none; without one, that region's nodes are neither trusted nor asked."""
    namespace: NamespaceSettings = NamespaceSettings()
    """Where the namespace is kept. Default: embedded, in the first cache path; in the region's etcd, where `etcd` names
    one."""
    cache: CacheSettings = Field(default=CacheSettings.model_construct(paths=()), validate_default=True)
    """Where pages are kept; wanted of every node but a namespace service by itself, which names `namespace.snapshot`.
    Default: none; a cache must never land on a disk by accident."""
    ledger: LedgerSettings = LedgerSettings()
    """What is kept of who moved what over lines, in the first cache path. Default: as below."""
    telemetry: TelemetrySettings | None = None
    """Where traces and metrics are sent; needs `pip install 'causeway[otel]'`. Default: nowhere, and nothing is loaded
    for it; a node tells nobody anything unasked."""
    etcd: EtcdSettings | None = None
    """The region's etcd, by which its nodes are one cluster: a list of its servers' URLs, or the keys below. Default:
    none; the node is a cluster of one, and loads nothing of this."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes of this node, each a member of its region's cluster: more than one want `etcd`. They share the doors,
    the memory and each cache path; each has an address of its own for nodes, at the ports behind that of `listen.peer`.
    Default: `1`; one process fills one core, and needs no supervisor."""

    @field_validator("node", mode="after")
    @classmethod
    def _no_workers_name(cls, value: str) -> str:
        if "/" in value:
            raise ValueError(f"{value!r} has a slash: NODE/NUMBER is the name of a node's worker; write one without")
        return value

    @field_validator("cache", mode="after")
    @classmethod
    def _somewhere(cls, value: CacheSettings, info: ValidationInfo) -> CacheSettings:
        namespace = info.data.get("namespace")
        if not value.paths and (namespace is None or namespace.snapshot is None):
            raise PydanticCustomError("missing", "this key is missing")
        return value

    @model_validator(mode="after")
    def _serves_what_it_can(self) -> "NodeSettings":
        regions = self.namespace.regions
        if regions and self.etcd is None:
            raise ValueError("namespace.regions: a namespace service keeps all it serves in etcd; name one by `etcd`")
        strangers = [region for region in regions if region not in self.secrets]
        if strangers:
            raise ValueError(f"namespace.regions: region {strangers[0]!r} has no secret under `secrets`; add it")
        return self

    @field_validator("memory", mode="after")
    @classmethod
    def _enough_memory(cls, value: int) -> int:
        if value < SMALLEST_MEMORY:
            raise ValueError("a node needs a budget of 64MiB at least")
        return value

    @field_validator("workers", mode="after")
    @classmethod
    def _with_a_cluster(cls, value: int, info: ValidationInfo) -> int:
        if value > 1 and info.data.get("etcd") is None:
            raise ValueError(
                "several workers are members of a cluster, which is kept in etcd: name the region's, as `etcd:"
                " [http://10.0.0.11:2379]`, or leave this out"
            )
        if value * SMALLEST_MEMORY > info.data.get("memory", value * SMALLEST_MEMORY):
            least = show_size(value * SMALLEST_MEMORY)
            raise ValueError(f"{value} workers share `memory`, 64MiB at least each: give {least}, or fewer workers")
        return value

    @property
    def token_file(self) -> Path:
        """The administrators' token: `admin.token` in the first cache path."""
        return self.directory / "admin.token"

    @property
    def directory(self) -> Path:
        """What is of the node as a whole: the first cache path, or where a service by itself keeps what it has."""
        return self.cache.directories[0] if self.cache.paths else self.namespace_directory

    @property
    def namespace_directory(self) -> Path:
        """Where the embedded namespace is kept."""
        return self.namespace.snapshot or self.cache.directories[0]


def load(path: Path, workers: int | None = None) -> NodeSettings:
    """Returns the settings in the file at `path`; relative paths in it begin at its directory.

    `workers` goes over what the file says.

    Raises:
        policy.yamlfile.Faults: everything wrong with it, each with line and column.
        OSError: the file cannot be read.
    """
    return parse(path.read_text("utf-8"), str(path), path.resolve().parent, workers=workers)


def parse(text: str, file: str, directory: Path, *, workers: int | None = None) -> NodeSettings:
    """Returns the settings in `text`; `file` names it in faults.

    Args:
        text: the YAML.
        file: its name, for faults.
        directory: where relative paths begin.
        workers: goes over what the text says.

    Raises:
        policy.yamlfile.Faults: everything wrong with it.
    """
    document = yamlfile.parse(text, file)
    value = document.value
    if workers is not None and isinstance(value, dict):
        value = {**value, "workers": workers}
    try:
        return NodeSettings.model_validate(value, context={"directory": directory})
    except ValidationError as invalid:
        raise yamlfile.Faults(document.faults_of(invalid)) from invalid


def is_node(text: str, file: str) -> bool:
    """Whether this looks like a node.yaml, and not like a topology or a policy; False where it is no YAML."""
    try:
        value = yamlfile.parse(text, file).value
    except yamlfile.Faults:
        return False
    return isinstance(value, dict) and ("region" in value or isinstance(value.get("cache"), dict))
