"""Which processes of a region are proven dead, as its etcd tells: their room on lines is free (line-rules, Lost and
fenced). Written by members, when one is removed, leaves, or is seen to die by its supervisor."""

import asyncio
import json
from collections.abc import Callable, Iterable

from namespace.etcdclient.client import Etcd
from namespace.etcdclient.errors import EtcdError
from namespace.etcdclient.values import Gone, KeyValue, Snapshot

AGAIN_SECONDS = 1.0


class Fences:
    """Tells of each death that is written, at the start of all."""

    def __init__(self, etcd: Etcd, region: str, dead: Callable[[str, int], None]) -> None:
        """`dead` is told a member's name and the process epoch up to which its processes have ended."""
        self._etcd = etcd
        self._prefix = f"/causeway/{region}/fenced/".encode()
        self._dead = dead

    async def follow(self) -> None:
        """Follows for ever, through outages."""
        while True:
            try:
                async with self._etcd.follow(self._prefix) as following:
                    async for news in following:
                        self._tell(news.items if isinstance(news, Snapshot) else news.changes)
            except EtcdError:
                await asyncio.sleep(AGAIN_SECONDS)

    def _tell(self, items: "Iterable[KeyValue | Gone]") -> None:
        for item in items:
            if isinstance(item, Gone):
                continue
            try:
                epoch = json.loads(item.value)["process_epoch"]
            except (ValueError, KeyError, TypeError):
                continue
            if isinstance(epoch, int):
                self._dead(item.key.removeprefix(self._prefix).decode("utf-8", "replace"), epoch)
