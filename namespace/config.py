"""The namespace's part of node.yaml: where this node keeps it."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator

from namespace import fields
from namespace.references import FilePath, SecretRef


class ServiceTls(BaseModel):
    """Certificates towards the namespace service."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ca: FilePath | None = None
    """PEM file of the authorities that its certificates are of. Default: none; public authorities are trusted."""
    cert: FilePath | None = None
    """PEM file of this node's certificate, where the service asks for one. Default: none."""
    key: FilePath | None = None
    """PEM file of that certificate's private key, without a password. Default: none; it goes with `cert`."""

    @model_validator(mode="after")
    def _both_or_none(self) -> "ServiceTls":
        if (self.cert is None) != (self.key is None):
            raise ValueError("a certificate goes with its key: name both `cert` and `key`, or neither")
        return self


class NamespaceSettings(BaseModel):
    """Where the namespace is kept and asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    snapshot: Path | None = None
    """Directory of the namespace on this machine, mode 0600: of an embedded one topology, policy, access keys and pins
    (SQLite), else the newest snapshot of it, which the node goes on with alone. Default: the first cache path; one
    directory is the whole node."""
    seal: SecretRef | None = None
    """The secret with which access keys lie sealed (AES-256-GCM) in etcd and in snapshots, the same for all nodes on
    that etcd. Default: that of the own region under `secrets`; an embedded namespace seals nothing, its file is
    0600."""
    service: tuple[str, ...] = ()
    """Addresses of the global namespace service, each `"HOST:PORT"`, one or a list; one that answers is asked. Default:
    none; the region's etcd keeps the namespace, or this node by itself."""
    region: str = "namespace"
    """The region that the service's nodes name as theirs: its secret under `secrets` signs what is asked of it.
    Default: `namespace`; a service by itself is called so, one that a region's nodes run has that region's name."""
    tls: ServiceTls | None = None
    """How the service is known over TLS. Default: none; it is asked in plain gRPC, signed, with keys sealed."""
    regions: tuple[str, ...] = ()
    """The regions that this node serves as a namespace service, kept in its `etcd`; each with its secret under
    `secrets`. Default: none; nobody is served unasked."""

    @field_validator("snapshot", mode="after")
    @classmethod
    def _beside(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        directory = (info.context or {}).get("directory")
        return value if value is None or directory is None else Path(directory) / value

    @field_validator("service", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("service", mode="after")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for address in value:
            fields.node(address)
        if len(set(value)) != len(value):
            raise ValueError("an address is named twice; name each once")
        return value
