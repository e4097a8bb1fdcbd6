"""Chooses who keeps a node's namespace: a file of its own, the region's etcd, or the service.

What asks others is loaded only where node.yaml names them.
"""

import time
from collections.abc import Callable

from gateway.config import NodeSettings
from gateway.logs import tidings
from namespace.errors import NamespaceError
from namespace.keeping import Namespace
from namespace.store.embedded import EmbeddedStore
from namespace.store.local import LocalNamespace

NAMESPACE_FILE = "namespace.db"


async def open_namespace(
    settings: NodeSettings, *, adopt: bool = False, wall: Callable[[], float] = time.time
) -> Namespace:
    """Opens the namespace as node.yaml says.

    Args:
        settings: node.yaml.
        adopt: take what the keeper has, whatever this node knew; of an embedded one there is nothing to take.
        wall: seconds since the epoch.

    Raises: StoreBroken, SealBroken, SecretUnreadable, EtcdRefused.
    """
    if settings.etcd is not None:
        return await _of_etcd(settings, adopt, wall)
    if adopt:
        raise NamespaceError(
            "--adopt is for a node whose namespace is kept elsewhere: by `etcd`, or `namespace.service`"
        )
    store = EmbeddedStore(settings.namespace_directory / NAMESPACE_FILE)
    try:
        return LocalNamespace(store)
    except BaseException:
        store.close()
        raise


async def _of_etcd(settings: NodeSettings, adopt: bool, wall: Callable[[], float]) -> Namespace:
    from namespace.etcdclient.client import Etcd
    from namespace.holding import Holding
    from namespace.knowing import Knowing
    from namespace.sealing import KEYS, Seal
    from namespace.snapshots import SnapshotFiles
    from namespace.store.etcd import EtcdNamespace

    assert settings.etcd is not None
    warn = tidings("causeway.namespace").warning
    reference = settings.namespace.seal or settings.secrets.get(settings.region)
    seal = None if reference is None else Seal(reference.read(), KEYS)
    access = settings.etcd.access()
    files = SnapshotFiles(settings.namespace_directory, warn)
    holding = Holding(files, Knowing(settings.region, seal), warn)
    return await EtcdNamespace.start(settings.region, Etcd(access), holding, seal, warn, wall, adopt=adopt)
