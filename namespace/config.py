"""The namespace's part of node.yaml: where this node keeps it."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from namespace.references import SecretRef


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
    service: str | None = None
    """Address of the global namespace service. Default: none; this version keeps the namespace embedded and refuses
    one."""

    @field_validator("snapshot", mode="after")
    @classmethod
    def _beside(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        directory = (info.context or {}).get("directory")
        return value if value is None or directory is None else Path(directory) / value

    @field_validator("service", mode="before")
    @classmethod
    def _no_service(cls, value: object, info: ValidationInfo) -> object:
        if value is not None and not (info.context or {}).get("future"):
            raise ValueError("not kept by this version: leave it out, and apply the files to each region by --to")
        return value
