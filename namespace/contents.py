"""What stands in the namespace beside the topology, as items: the revision, the policy, keys, pins and nodes.

Each kind has one item a thing, in JSON; the secret of a key is sealed before it becomes an item.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from namespace.errors import NamespaceError
from namespace.items import Items
from namespace.keys import AccessKey
from namespace.store.base import PinnedPath, Revision

if TYPE_CHECKING:
    from namespace.sealing import Seal

REVISION, POLICY = "revision", "policy"
TRUST = "trust"
"""How far its region is trusted, in what the service shows: a part must not be taken for the whole of before."""
dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


class Unreadable(NamespaceError):
    """An item is not what this version writes; the message names it."""


@dataclass(frozen=True, slots=True)
class PublishedNode:
    """A node as its region tells of it.

    `addresses` are `HOST:PORT` by door (`peer`, `s3`, `admin`, `control`) as others reach them; `fault` is why it
    should not be asked, empty while it is well.
    """

    region: str
    name: str
    addresses: dict[str, str]
    capacity: int = 0
    """Bytes of its cache."""
    fault: str = ""


def revision_item(revision: Revision) -> str:
    """The text of the item `revision`."""
    return dump([revision.number, revision.author, revision.at, revision.digest])


def revision_of(items: Items) -> Revision | None:
    """The newest revision, None before the first."""
    text = items.get(REVISION)
    return None if text is None else Revision(*_read(REVISION, text))


def policy_of(items: Items, region: str) -> str | None:
    """The text of the policy for a region, None where there is none; a granted region has one of its own."""
    text = items.get(policy_name(region), items.get(POLICY))
    return None if text is None else str(_read(POLICY, text))


def policy_item(text: str) -> str:
    """The text of the item `policy`."""
    return dump(text)


def policy_name(region: str) -> str:
    """The name of the item that is the policy of a granted region."""
    return f"{POLICY}/{region}"


def key_name(key: AccessKey) -> str:
    """The name of a key's item."""
    return f"key/{key.id}"


def key_item(key: AccessKey, seal: "Seal") -> str:
    """A key as the text of its item, its secret sealed beside all else that it says."""
    plain = _plain(key)
    return dump({**plain, "sealed": seal.close(key.secret, dump(plain))})


def key_of(text: str, seal: "Seal") -> AccessKey:
    """The key in an item. Raises SealBroken, Unreadable."""
    plain = _read("key", text)
    try:
        secret = seal.open(plain.pop("sealed"), dump(plain))
        return _key(plain, secret)
    except (KeyError, TypeError, ValueError) as wrong:
        raise Unreadable(f"a key is not what this version writes ({wrong}); use a newer Causeway") from wrong


def key_shown(text: str) -> AccessKey:
    """The key in an item with its secret hidden: for who only looks."""
    plain = _read("key", text)
    plain.pop("sealed", None)
    return _key(plain, "*" * 16)


def resealed(text: str, opening: "Seal", closing: "Seal") -> str:
    """The item of a key for another reader. Raises SealBroken."""
    plain = _read("key", text)
    beside = dump({name: value for name, value in plain.items() if name != "sealed"})
    return dump({**plain, "sealed": closing.close(opening.open(plain["sealed"], beside), beside)})


def key_items(items: Items) -> Iterator[tuple[str, str]]:
    """The items of keys."""
    return _beneath(items, "key/")


def pin_name(region: str, path: str) -> str:
    """The name of a pin's item; pins are of one region."""
    return f"pin/{region}/{path}"


def pin_item(pin: PinnedPath) -> str:
    """The text of a pin's item."""
    return dump([pin.path, pin.author, pin.at, pin.nbytes])


def pin_of(text: str) -> PinnedPath:
    """The pin in an item."""
    return PinnedPath(*_read("pin", text))


def pins_of(items: Items, region: str) -> tuple[PinnedPath, ...]:
    """The pins of a region, by path."""
    return tuple(sorted((pin_of(text) for _, text in _beneath(items, f"pin/{region}/")), key=lambda pin: pin.path))


def node_name(node: PublishedNode) -> str:
    """The name of a node's item."""
    return f"node/{node.region}/{node.name}"


def node_item(node: PublishedNode) -> str:
    """The text of a node's item."""
    return dump([node.region, node.name, node.addresses, node.capacity, node.fault])


def node_of(text: str) -> PublishedNode:
    """The node in an item."""
    return PublishedNode(*_read("node", text))


def nodes_of(items: Items) -> tuple[PublishedNode, ...]:
    """Every node that a region told of, by region and name."""
    found = (node_of(text) for _, text in _beneath(items, "node/"))
    return tuple(sorted(found, key=lambda node: (node.region, node.name)))


def _plain(key: AccessKey) -> dict[str, Any]:
    names = ("id", "name", "tenant", "cls", "may_class", "read", "write", "until", "regions")
    return {name: getattr(key, name) for name in names}


def _key(plain: dict[str, Any], secret: str) -> AccessKey:
    lists = {name: tuple(plain[name]) for name in ("may_class", "read", "write", "regions")}
    return AccessKey(**{**plain, **lists, "secret": secret})


def _beneath(items: Items, beginning: str) -> Iterator[tuple[str, str]]:
    return ((name, text) for name, text in items.items() if name.startswith(beginning))


def _read(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as wrong:
        raise Unreadable(f"the namespace's {name!r} is not what this version writes: {wrong}") from wrong
