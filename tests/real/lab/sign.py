"""SigV4 for the raw client, written apart from the program's own, so that one cannot hide the other's fault."""

import datetime
import functools
import hashlib
import hmac
import urllib.parse
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key and what it signs for."""

    access: str
    secret: str
    region: str = "us-east-1"


def target_of(bucket: str, key: str, query: dict[str, str] | None = None) -> str:
    """A path-style request target; the query in the canonical order."""
    path = "/" + urllib.parse.quote(bucket) + (f"/{urllib.parse.quote(key, safe='/~')}" if key else "")
    return f"{path}?{canonical_query(query)}" if query else path


def canonical_query(query: dict[str, str]) -> str:
    """Names and values quoted, in the order of the quoted names."""
    quoted = ((urllib.parse.quote(name, safe="~"), urllib.parse.quote(query[name], safe="~")) for name in query)
    return "&".join(f"{name}={value}" for name, value in sorted(quoted))


def signed_headers(
    method: str, host: str, target: str, keys: Keys, now: datetime.datetime | None = None, **extra: str
) -> dict[str, str]:
    """The headers of one request, signed with UNSIGNED-PAYLOAD. `target` must come from `target_of`."""
    at = now or datetime.datetime.now(datetime.UTC)
    stamp, day = at.strftime("%Y%m%dT%H%M%SZ"), at.strftime("%Y%m%d")
    signed = {"host": host, "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": stamp}
    names = ";".join(sorted(signed))
    path, _, query = target.partition("?")
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
    scope = f"{day}/{keys.region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(_signing_key(keys, day), text.encode(), hashlib.sha256).hexdigest()
    value = f"AWS4-HMAC-SHA256 Credential={keys.access}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**signed, "authorization": value, **{name.replace("_", "-"): value for name, value in extra.items()}}


@functools.lru_cache(maxsize=64)
def _signing_key(keys: Keys, day: str) -> bytes:
    key = f"AWS4{keys.secret}".encode()
    for part in (day, keys.region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
