"""An origin away for a minute while a cached set is read: every byte right, and after a second nobody waits for it.

It is stopped, killed or cut off in turn. What is read is older than its mount's max_age all the while, so that each
read would ask the origin if that were there.
"""

import http.client
import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real.conftest import Note
from tests.real.lab.hole import FarPlace, far_place
from tests.real.lab.load import Get, Loaded, get, load, loading
from tests.real.lab.nodes import Node, Place, node
from tests.real.lab.regions import HOME, credentials
from tests.real.lab.s3 import S3Server, versitygw, write_ramp
from tests.real.lab.sign import Keys, signed_headers, target_of

pytestmark = [pytest.mark.real, pytest.mark.root, pytest.mark.soak]
READERS = 32
SMALL, LARGE = [(f"small/{n}", 100_000, n) for n in range(200)], [(f"large/{n}", 3 << 20, n) for n in range(20)]
THINGS = [*SMALL, *LARGE]
BEFORE_SECONDS, AWAY_SECONDS, AFTER_SECONDS = 20.0, 60.0, 10.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A node, the store behind a cable, and a key that reads everything."""

    at: Node
    store: S3Server
    far: FarPlace
    key: Keys

    def plan(self) -> list[Get]:
        small = [get(self.at.address, "data", name, self.key, size=size, shift=n) for name, size, n in SMALL]
        large = [get(self.at.address, "data", name, self.key, size=size, shift=n) for name, size, n in LARGE]
        # Ten small ones to each large one.
        return [one for n, big in enumerate(large) for one in (*small[n * 10 : n * 10 + 10], big)]

    def away(self) -> float:
        return self.at.metric("causeway_origin_away", bucket="data-bj")


@contextmanager
def stage(tmp_path: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        far = stack.enter_context(far_place())
        store = stack.enter_context(versitygw(tmp_path, host=far.address, netns=far.netns))
        assert store.root is not None
        (store.root / "data").mkdir()
        for name, size, n in THINGS:
            store.put_file("data", name, write_ramp(tmp_path / "making", size, n))
        at = stack.enter_context(node(Place(HOME, tmp_path / HOME), env=credentials()))
        bucket = {
            "provider": "s3",
            "bucket": "data",
            "region": HOME,
            "endpoints": {"internal": store.url},
            "credentials": {"env": "LAB_BUCKET"},
        }
        topology = {
            "regions": {HOME: {"provider": "idc"}},
            "lines": {},
            "buckets": {"data-bj": bucket},
            "mounts": {"/ns/data": {"bucket": "data-bj", "consistency": {"max_age": "1s"}}},
        }
        at.apply(topology, {"lines": {}})
        yield Stage(at, store, far, at.key("reader", "rec", "/ns"))


def stopped(on: Stage) -> Callable[[], None]:
    os.kill(_server(on), signal.SIGSTOP)
    return lambda: os.kill(_server(on), signal.SIGCONT)


def killed(on: Stage) -> Callable[[], None]:
    on.store.process.kill()
    return lambda: None


def cut_off(on: Stage) -> Callable[[], None]:
    on.far.drop()
    return on.far.let_through


def _server(on: Stage) -> int:
    """The store itself: `ip netns exec` becomes the program."""
    return on.store.process.pid


def heads(on: Stage, count: int) -> list[float]:
    """Seconds of HEADs, one after the other, each of another object that is cached."""
    connection = http.client.HTTPConnection(on.at.address, timeout=30)
    took = []
    try:
        for name, size, _ in THINGS[:count]:
            target = target_of("data", name)
            began = time.monotonic()
            connection.request("HEAD", target, headers=signed_headers("HEAD", on.at.address, target, on.key))
            answer = connection.getresponse()
            answer.read()
            took.append(time.monotonic() - began)
            assert (answer.status, answer.getheader("content-length")) == (200, str(size))
    finally:
        connection.close()
    return took


def p50_p99(seconds: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(seconds, n=100)
    return cuts[49], cuts[98]


def shown(seconds: list[float]) -> str:
    p50, p99 = p50_p99(seconds)
    return f"p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms of {len(seconds)}"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", [stopped, killed, cut_off], ids=["stopped", "killed", "cut off"])
def test_a_cached_set_is_read_as_before_while_its_origin_is_away(
    tmp_path: Path, note: Note, way: Callable[[Stage], Callable[[], None]]
) -> None:
    with stage(tmp_path) as on:
        warm = load(on.at.address, on.plan(), tmp_path, connections=8)
        assert warm.faults == ()
        with loading(
            on.at.address,
            on.plan(),
            tmp_path,
            connections=READERS,
            seconds=BEFORE_SECONDS + AWAY_SECONDS + AFTER_SECONDS,
        ) as readers:
            time.sleep(BEFORE_SECONDS)
            gone = time.monotonic()
            back = way(on)
            time.sleep(AWAY_SECONDS / 2)
            asked = heads(on, 200)
            assert on.away() == 1
            time.sleep(max(0.0, gone + AWAY_SECONDS - time.monotonic()))
            over = time.monotonic()
            back()
            seen = readers.result()
        report(note, way.__name__, seen, gone, over, asked)
    assert seen.faults == ()
    assert set(seen.statuses) == {200}


def report(note: Note, what: str, seen: Loaded, gone: float, over: float, asked: list[float]) -> None:
    before = seen.lasts_between(gone - BEFORE_SECONDS + 3, gone)
    first, away = seen.lasts_between(gone, gone + 1), seen.lasts_between(gone + 1, over)
    ratio = p50_p99(away)[1] / p50_p99(before)[1]
    note(f"{what}: before", shown(before), "")
    note(f"{what}: in the first second", shown(first), "")
    note(f"{what}: after it", f"{shown(away)}; p99 {ratio:.2f}x", "<= 2x, 100 % right")
    note(f"{what}: HEADs meanwhile", shown(asked), "no 300 ms each")
    note(f"{what}: back again", shown(seen.lasts_between(over, seen.ended)), "")
