"""`telemetry` of node.yaml: where traces and metrics are sent, and how many reads are traced."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from namespace.references import FilePath, SecretRef
from policy import units


def _share(value: object) -> object:
    return value if isinstance(value, float) else units.fraction(value)


class TelemetrySettings(BaseModel):
    """Where traces and metrics are sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    otlp: str
    """URL of the collector, OTLP over HTTP (`http://collector:4318`); `/v1/traces` and `/v1/metrics` are added. No
    default: a guess would tell a stranger."""
    sample: Annotated[float, BeforeValidator(_share), Field(ge=0, le=1)] = 0.01
    """Share of reads that are traced, `0%` to `100%`. Default: `1%`; every kind of slow read shows within a minute, for
    under 3 % of a small hit."""
    asked: float = Field(default=10.0, ge=0)
    """Traces a second that clients may ask for by a sampled `traceparent`; beyond it `sample` decides. Default: `10`;
    no client can make the node trace everything."""
    headers: dict[str, SecretRef] = Field(default_factory=dict)
    """Headers that the collector wants, each named as a secret: `{authorization: {file: collector.secret}}`. Default:
    none."""
    ca: FilePath | None = None
    """PEM file of the authority that signed an https collector's certificate. Default: the system's."""
    interval: Annotated[float, BeforeValidator(units.duration), Field(ge=1)] = 60.0
    """How often the metrics are sent, 1s at least. Default: `60s`; what collectors expect."""

    @field_validator("otlp")
    @classmethod
    def _url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable or parts.query or parts.fragment:
            raise ValueError("a collector is named by its URL, as http://collector:4318")
        if parts.username is not None:
            raise ValueError("no secret stands in a URL; name it under `headers`: {authorization: {file: PATH}}")
        return value.rstrip("/")
