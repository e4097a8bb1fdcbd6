"""Chooses who keeps a node's namespace: a file of its own, the region's etcd, or the service."""

from gateway.config import NodeSettings
from namespace.keeping import Namespace
from namespace.store.embedded import EmbeddedStore
from namespace.store.local import LocalNamespace

NAMESPACE_FILE = "namespace.db"


def open_namespace(settings: NodeSettings) -> Namespace:
    """Opens the namespace as node.yaml says. Raises StoreBroken."""
    store = EmbeddedStore(settings.namespace_directory / NAMESPACE_FILE)
    try:
        return LocalNamespace(store)
    except BaseException:
        store.close()
        raise
