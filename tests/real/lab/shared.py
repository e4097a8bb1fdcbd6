"""What a line shared by a cluster's nodes may carry, by what these nodes themselves say is prepaid."""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException

from tests.real.lab.federation import Cluster
from tests.real.lab.reads import STEP


class Prepaid:
    """The most that all nodes of a cluster said together was prepaid, read one after the other."""

    def __init__(self) -> None:
        self.most = 0


@contextmanager
def watched_prepaid(cluster: Cluster, every: float = 0.1) -> Iterator[Prepaid]:
    seen, over = Prepaid(), threading.Event()

    def watch() -> None:
        while not over.wait(every):
            # One of them was killed as it was asked, or as it answered.
            with contextlib.suppress(OSError, LookupError, HTTPException):
                seen.most = max(seen.most, int(cluster.metric("causeway_line_prepaid_bytes")))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def allowed(quota: float, prepaid: int) -> float:
    """Bytes above the quota times its length in any window of a second: the burst, what was prepaid, and 2 %."""
    return STEP + prepaid + (quota + STEP + prepaid) * 0.02
