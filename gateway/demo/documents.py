"""The files an operator would write for these two regions, with the ports that this run got."""

from dataclasses import dataclass, field
from pathlib import Path

HOME, AWAY = "idc-bj", "aws-use1"
LINE = "bj-use1"
DIRECTION = f"{HOME}>{AWAY}"
MOUNT = "/ns/demo"
TENANT = "demo"
CREDENTIALS = "CAUSEWAY_DEMO_BUCKET"
"""The environment variable that holds the bucket's credentials, in idc-bj alone."""
QUOTA = "200 Mbit/s"
OVERHEAD = 1.06
# Both caches hold everything once, with room for what a file system rounds up.
CACHE_BYTES_FACTOR = 2


@dataclass(frozen=True, slots=True)
class Store:
    """The bucket of idc-bj. `prefix` is what the mount hides; credentials are passed on, never written.

    `exists`: the bucket need not be made, nor removed. `lasts`: the store is not ours, what was put there is removed.
    """

    url: str
    bucket: str
    prefix: str
    access_key: str
    secret_key: str = field(repr=False)
    exists: bool = False
    lasts: bool = False


def node_yaml(region: str, other: str, cache_bytes: int) -> str:
    """Returns the settings of one region's node; the kernel chooses its ports."""
    return f"""\
region: {region}
node: {region}-1
memory: 256MiB
listen: {{s3: "127.0.0.1:0", peer: "127.0.0.1:0", admin: "127.0.0.1:0"}}
secrets: {{{other}: {{file: ../pair.secret}}}}
cache: {{paths: [cache], size: {max(1 << 28, CACHE_BYTES_FACTOR * cache_bytes)}}}
"""


def topology_yaml(store: Store, peer: str) -> str:
    """Returns the topology of both regions; `peer` is where aws-use1 finds idc-bj's node: the counting proxy."""
    return f"""\
regions:
  {HOME}:   {{provider: idc, nodes: ["{peer}"]}}   # the counting proxy, which goes on to the node
  {AWAY}: {{provider: aws}}
lines:
  {LINE}: {{between: [{HOME}, {AWAY}], capacity: 1Gbps}}
buckets:
  demo-bj:
    provider: s3
    bucket: {store.bucket}
    region: {HOME}
    endpoints: {{internal: "{store.url}"}}
    credentials: {{env: {CREDENTIALS}}}
mounts:
  {MOUNT}: {{bucket: demo-bj, prefix: "{store.prefix}", consistency: {{max_age: 1h}}}}
"""


def policy_yaml() -> str:
    """Returns the policy of the line."""
    return f"""\
lines:
  {LINE}:
    quota: {QUOTA}
    overhead: {OVERHEAD}
"""


def write(path: Path, text: str) -> Path:
    """Writes a file that only its owner reads; returns its path."""
    path.touch(mode=0o600)
    path.write_text(text, "utf-8")
    return path
