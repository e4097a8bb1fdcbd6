"""What one region may see of the namespace. It is decided here, by the region that signed the call, and nowhere else.

A trusted region sees the topology, the policy, all nodes, its own pins, and the keys that are for it; a granted one the
part of the topology that its paths need, without credentials and endpoints, and the keys that name it. A region that is
not in the topology sees the names of those that are, so that its node can say what is wrong.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from namespace import contents, forms, paths
from namespace.contents import key_shown, node_of, resealed
from namespace.items import Items
from namespace.model import Topology
from namespace.sealing import Seal

Trust = Literal["full", "granted", "unknown"]
_COMMON = frozenset({"region", "line", "bucket", "mount", "order", contents.REVISION, "node"})


@dataclass(frozen=True, slots=True)
class Seals:
    """`opening` opens keys as they lie in etcd, `closing` seals them for one region; None: keys are shown to nobody."""

    opening: Seal | None
    closing: Seal | None

    def item(self, text: str) -> str | None:
        """The item of a key for the region."""
        if self.opening is None or self.closing is None:
            return None
        return resealed(text, self.opening, self.closing)


def trust_of(items: Items, region: str) -> Trust:
    """How far a region is trusted. Before the first topology all are: somebody must apply it."""
    text = items.get(f"region/{region}")
    if text is None:
        return "unknown" if "order/region" in items else "full"
    return "granted" if json.loads(text).get("trust") == "granted" else "full"


def common(name: str) -> bool:
    """Whether an item is shown to every trusted region alike."""
    return name.partition("/")[0] in _COMMON or name == contents.POLICY


def own(name: str, text: str, region: str, seals: Seals, *, granted: bool = False) -> str | None:
    """The item of a key or pin for one region, None where it is not for it."""
    if name.startswith("key/"):
        regions = key_shown(text).regions
        mine = region in regions if granted else not regions or region in regions
        return seals.item(text) if mine else None
    if name.startswith(f"pin/{region}/"):
        return text
    return None


def owns(items: Mapping[str, str], region: str, seals: Seals, *, granted: bool = False) -> dict[str, str]:
    """The keys and pins among `items` that are for one region."""
    shown = ((name, own(name, text, region, seals, granted=granted)) for name, text in items.items())
    return {name: text for name, text in shown if text is not None}


def of_granted(items: Items, topology: Topology, region: str, seals: Seals) -> dict[str, str]:
    """All that a granted region sees.

    Args:
        items: the whole namespace.
        topology: the one in them.
        region: a granted one.
        seals: its own.
    """
    me = topology.regions[region]
    mounts = {
        path: mount
        for path, mount in topology.mounts.items()
        if any(paths.covers(place, path) or paths.covers(path, place) for place in me.paths)
    }
    buckets = {mount.bucket: topology.buckets[mount.bucket] for mount in mounts.values()}
    near = {region, *topology.parents(region), *(bucket.region for bucket in buckets.values())}
    lines = {
        name: line for name, line in topology.lines.items() if region in line.between and near.issuperset(line.between)
    }
    regions = {name: one for name, one in topology.regions.items() if name in near}
    part = Topology.model_construct(None, regions=regions, lines=lines, buckets=buckets, mounts=mounts)
    shown = {name: _bared(name, text) for name, text in forms.items_of(part).items()}
    for name in (contents.REVISION, contents.policy_name(region)):
        if name in items:
            shown[name] = items[name]
    nodes = ((name, text) for name, text in items.items() if name.startswith("node/") and node_of(text).region in near)
    return {**shown, **dict(nodes), **owns(items, region, seals, granted=True)}


def of_unknown(items: Items) -> dict[str, str]:
    """All that a region sees that is not in the topology."""
    names: list[str] = json.loads(items["order/region"])
    shown = {f"region/{name}": "{}" for name in names}
    return {**shown, **{name: items[name] for name in ("order/region", contents.REVISION) if name in items}}


def _bared(name: str, text: str) -> str:
    """A bucket without where and by which credentials it is asked: a granted region never asks it."""
    if not name.startswith("bucket/"):
        return text
    plain: dict[str, Any] = json.loads(text)
    return contents.dump({**plain, "endpoints": {}, "credentials": ["none", ""]})
