"""The pair of regions with a long line between them: each in a namespace of its own, 40 ms apart by packet.

The bucket and its node live at the far end, the reader and its node at the near one. Nothing but the line joins them.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.real.lab.load import Get, Loaded, load
from tests.real.lab.longline import LongLine, long_line
from tests.real.lab.nodes import Node, Place, node
from tests.real.lab.regions import AWAY, BUCKET, HOME, LINE, credentials, topology
from tests.real.lab.s3 import S3Server, versitygw

# user(7) capabilities: without it no process may have receive buffers beyond net.core.rmem_max.
WITHOUT_NET_ADMIN = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")


@dataclass(frozen=True, slots=True)
class LongRegions:
    """The running pair."""

    store: S3Server
    home: Node
    away: Node
    line: LongLine
    directory: Path

    def load(self, gets: Sequence[Get], connections: int = 1, **more: Any) -> Loaded:
        """Reads at the near end."""
        near = self.line.near.name
        return load(self.away.address, gets, self.directory, connections=connections, netns=near, **more)


@contextlib.contextmanager
def long_regions(directory: Path, quota: str, *, before: Sequence[str] = ()) -> Iterator[LongRegions]:
    """Runs the pair; `before` is a command that starts the near node's program."""
    with contextlib.ExitStack() as stack:
        line = stack.enter_context(long_line())
        far, near = line.far, line.near
        store = stack.enter_context(versitygw(directory, host=far.address, netns=far.name))
        assert store.root is not None
        (store.root / BUCKET).mkdir()
        there = Place(HOME, directory / HOME, far.address, far.name)
        here = Place(AWAY, directory / AWAY, near.address, near.name)
        home = stack.enter_context(node(there, far=[AWAY], env=credentials()))
        away = stack.enter_context(node(here, far=[HOME], env=credentials(), before=before))
        document = topology(store.url, there.peer)
        for one in (home, away):
            one.apply(document, {"lines": {LINE: {"quota": quota}}})
        yield LongRegions(store, home, away, line, directory)
