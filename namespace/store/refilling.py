"""Puts a namespace that etcd has lost back from a snapshot on a node's disk.

Topology, policy, keys and pins are as the snapshot has them, from the first moment on; keys stay sealed. The number of
the revision goes on where it was. What no snapshot has is gone: the texts of the files, and the revisions before.
"""

from collections.abc import Callable

from namespace import contents, forms
from namespace.errors import NamespaceError
from namespace.etcdclient.client import Etcd
from namespace.etcdclient.values import Operation, Put
from namespace.items import Snapshot
from namespace.keeping import Draft
from namespace.store.base import Revision
from namespace.store.layout import CURRENT, LIVE, NAMES, Head
from namespace.store.revisions import Base, EtcdRevisions, Overtaken

KEYS = LIVE + b"key/"


async def refill(
    etcd: Etcd, snapshot: Snapshot, author: str, at: float, sealed: Callable[[str], str] = lambda item: item
) -> tuple[Revision, int, int]:
    """Puts a snapshot in force; returns its revision, and how many keys and pins came with it.

    Args:
        etcd: the one that shall have it.
        snapshot: as a node kept it.
        author: who does it.
        at: seconds since the epoch.
        sealed: a key's item as it is to be sealed there; it may raise SealBroken.

    Raises:
        NamespaceError: the snapshot is of a part of the namespace, or has none; etcd's is not empty.
        SealBroken, EtcdError: nothing is in force.
    """
    before, items = contents.revision_of(snapshot.items), snapshot.items
    if before is None:
        raise NamespaceError("the snapshot has no revision: it is of an empty namespace; take another node's")
    if items.get(contents.TRUST, "full") != "full":
        raise NamespaceError("the snapshot is a granted region's, which has but a part; take one of a trusted region")
    keys = [sealed(text) for _, text in contents.key_items(items)]
    # Those of a restore that was cut off are ours.
    ours = {LIVE + contents.key_name(contents.key_shown(item)).encode() for item in keys}
    if await etcd.get(CURRENT) is not None or not {one.key for one in (await etcd.snapshot(KEYS)).items} <= ours:
        raise NamespaceError("the namespace in etcd is not empty: nothing was changed; `causeway up --adopt` takes it")
    pins = {name: text for name, text in items.items() if name.startswith("pin/")}
    puts: list[Operation] = []
    for item in keys:
        key = contents.key_shown(item)
        puts.append(Put(LIVE + contents.key_name(key).encode(), item.encode()))
        puts += [Put(NAMES + name.encode(), key.id.encode()) for name in sorted({key.id, key.name})]
    puts += [Put(LIVE + name.encode(), text.encode()) for name, text in pins.items()]
    if puts:
        await etcd.write(puts)
    draft = Draft({}, _in_force(snapshot), f"{author}, restored from a snapshot of revision {before.number}", at, 0)
    # It has no texts, and so another digest: the same files applied again are a revision, and their texts are kept.
    base = Base(Head(before, "", 0, {}, 0, 0))
    try:
        revision, _ = await EtcdRevisions(etcd).apply(draft, base)
    except Overtaken as overtaken:
        raise NamespaceError("somebody applied meanwhile: the namespace in etcd is not empty any more") from overtaken
    return revision, len(keys), len(pins)


def _in_force(snapshot: Snapshot) -> dict[str, str]:
    """The items that a revision has: topology and policies."""
    return {
        name: text
        for name, text in snapshot.items.items()
        if forms.is_of_topology(name) or name.partition("/")[0] == contents.POLICY
    }
