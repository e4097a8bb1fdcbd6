"""What one worker has of its node: a part of each disk and of the memory, a name, and addresses of its own.

Worker 0 keeps the node's own folders, the others have one beneath each: a node that was one process goes on with what
it kept, and two workers never share a folder. Pure; the same settings and number give the same share.
"""

from pathlib import Path

from gateway.config import Address, NodeSettings
from regioncache.config import CachePath, CacheSize

FOLDER = "worker-"
"""Before the number of a worker, beneath a cache path."""


def share(settings: NodeSettings, number: int) -> NodeSettings:
    """Returns the settings of worker `number`, who is the member `NODE/NUMBER`."""
    cache, listen, advertise = settings.cache, settings.listen, settings.advertise
    workers, snapshot = settings.workers, settings.namespace.snapshot
    control = listen.control.model_copy(update={"address": beside(listen.control.address, number)})
    said = {
        "peer": advertise.peer and beside(advertise.peer, 1 + number),
        "control": advertise.control and beside(advertise.control, number),
    }
    return settings.model_copy(
        update={
            "node": name(settings.node, number),
            "memory": settings.memory // workers,
            "listen": listen.model_copy(update={"control": control}),
            "advertise": advertise.model_copy(update=said),
            "cache": cache.model_copy(
                update={
                    "paths": tuple(_path(one, workers, number) for one in cache.paths),
                    "size": _size(cache.size, workers),
                }
            ),
            "namespace": settings.namespace.model_copy(update={"snapshot": snapshot and folder(snapshot, number)}),
        }
    )


def name(node: str, number: int) -> str:
    """The name of a worker as a member of its region's cluster."""
    return f"{node}/{number}"


def folder(path: Path, number: int) -> Path:
    """The folder of a worker beneath one of the node's."""
    return path / f"{FOLDER}{number}" if number else path


def beside(address: Address, steps: int) -> Address:
    """The address so many ports further on; where the kernel chooses a port, it chooses this one too."""
    return Address(address.host, address.port + steps) if address.port else address


def leftover(path: Path, workers: int) -> list[Path]:
    """Returns the folders of workers that this node has no more, of one cache path. Blocks."""
    found = [one for one in path.glob(f"{FOLDER}*") if one.is_dir()]
    numbers = {one: one.name.removeprefix(FOLDER) for one in found}
    return sorted(one for one, number in numbers.items() if number.isdigit() and int(number) >= max(1, workers))


def _path(one: CachePath, workers: int, number: int) -> CachePath:
    size = None if one.size is None else _size(one.size, workers)
    return one.model_copy(update={"path": folder(one.path, number), "size": size})


def _size(size: CacheSize, workers: int) -> CacheSize:
    if size.limit is not None:
        return CacheSize(limit=size.limit // workers)
    return CacheSize(share=(size.share or 0.0) / workers)
