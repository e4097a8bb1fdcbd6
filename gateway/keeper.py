"""Chooses who keeps a node's namespace: a file of its own, the region's etcd, or the service.

What asks others is loaded only where node.yaml names them.
"""

import time
from collections.abc import Callable

from gateway.config import NodeSettings
from gateway.logs import tidings
from namespace.errors import NamespaceError
from namespace.keeping import Adopt, Namespace
from namespace.references import SecretUnreadable
from namespace.store.embedded import EmbeddedStore
from namespace.store.local import LocalNamespace

NAMESPACE_FILE = "namespace.db"


async def open_namespace(
    settings: NodeSettings, *, adopt: Adopt = "", wall: Callable[[], float] = time.time
) -> Namespace:
    """Opens the namespace as node.yaml says.

    Args:
        settings: node.yaml.
        adopt: take what the keeper has, whatever this node knew; of an embedded one there is nothing to take.
        wall: seconds since the epoch.

    Raises: StoreBroken, SealBroken, SecretUnreadable, EtcdRefused.
    """
    if settings.namespace.service:
        return await _of_service(settings, adopt)
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


async def _of_etcd(settings: NodeSettings, adopt: Adopt, wall: Callable[[], float]) -> Namespace:
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


async def _of_service(settings: NodeSettings, adopt: Adopt) -> Namespace:
    from namespace.holding import Holding
    from namespace.knowing import Knowing
    from namespace.rpc.calling import Remote
    from namespace.rpc.channels import RpcTls
    from namespace.rpc.signing import Signer
    from namespace.sealing import KEYS, Seal
    from namespace.snapshots import SnapshotFiles
    from namespace.store.remote import RemoteNamespace

    asked = settings.namespace
    warn = tidings("causeway.namespace").warning
    if asked.region not in settings.secrets:
        raise SecretUnreadable(
            f"namespace.service: the service's region {asked.region!r} has no secret under `secrets`; add it,"
            " or say by `namespace.region` which region it is"
        )
    secret = settings.secrets[asked.region].read()
    seal = Seal(secret, KEYS)
    named = () if asked.tls is None else (asked.tls.ca, asked.tls.cert, asked.tls.key)
    tls = RpcTls(*(None if path is None else path.read_bytes() for path in named)) if named else None
    signer = Signer(settings.region, asked.region, secret.decode())
    remotes = [Remote(address, signer, tls) for address in asked.service]
    holding = Holding(SnapshotFiles(settings.namespace_directory, warn), Knowing(settings.region, seal), warn)
    return await RemoteNamespace.start(settings.region, remotes, holding, seal, warn, time.monotonic, adopt=adopt)
