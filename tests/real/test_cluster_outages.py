"""What a cluster stands on goes away under load: etcd, namespace service, line, origin. Cached reads do not notice.

What is not cached comes by what is left, or gets one clear error. The figures of a minute are `make soak`'s.
"""

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest

from tests.real.conftest import Note
from tests.real.lab.crowd import crowd
from tests.real.lab.etcd import EtcdCluster
from tests.real.lab.federation import Federation, Machine, Plan, Span, federation
from tests.real.lab.reads import Read, Thing

pytestmark = [pytest.mark.real, pytest.mark.root]
KIB, MIB = 1 << 10, 1 << 20
LINE, REGION = "bj-use1", "aws-use1"
TWO = Plan(
    {"idc-bj": 1, REGION: 3},
    {LINE: Span(("idc-bj", REGION), "400 Mbit/s")},
    mount={"consistency": {"max_age": "1s"}},
    service=True,
)
CACHED = [Thing(f"cached/{n:03}", 100 * KIB + n, n) for n in range(60)] + [
    Thing(f"cached/l{n}", 3 * MIB, n) for n in range(8)
]
AROUND_SECONDS = 8.0
"""Of reading before and after, at most: some thousand reads, whose 99th percentile is no single one."""
Way = Callable[[Federation], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def cut(heal: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    finally:
        heal()


def without_line(running: Federation) -> contextlib.AbstractContextManager[None]:
    return cut(running.network.cut(running.home.site, running.clusters[REGION].site))


def half_a_line(running: Federation) -> contextlib.AbstractContextManager[None]:
    """Questions arrive, and nothing comes back."""
    return cut(running.network.cut_one_way(running.home.site, running.clusters[REGION].site))


def half_a_link_between_members(running: Federation) -> contextlib.AbstractContextManager[None]:
    """What one asks another arrives, and nothing comes back; both hear etcd."""
    first, second = (machine.host for machine in running.clusters[REGION].machines[:2])
    return cut(running.network.cut_one_way(second, first))


def without_origin(running: Federation) -> contextlib.AbstractContextManager[None]:
    return cut(running.network.cut(running.store_host, running.home.site))


@contextlib.contextmanager
def with_silent_etcd(running: Federation) -> Iterator[None]:
    member = etcd_of(running).members[0]
    member.pause()
    try:
        yield
    finally:
        member.resume()


@contextlib.contextmanager
def without_etcd(running: Federation) -> Iterator[None]:
    etcd_of(running).stop()
    try:
        yield
    finally:
        etcd_of(running).start()


@contextlib.contextmanager
def etcd_losing_all(running: Federation) -> Iterator[None]:
    """Its data is gone when it comes back."""
    etcd_of(running).stop()
    try:
        yield
    finally:
        etcd_of(running).members[0].forget()
        etcd_of(running).start()


@contextlib.contextmanager
def etcd_out_of_reach_and_compacted(running: Federation) -> Iterator[None]:
    """What happened meanwhile cannot be told any more when the watch comes back."""
    cluster = running.clusters[REGION]
    assert cluster.etcd_host is not None
    heals = [running.network.cut(machine.host, cluster.etcd_host) for machine in cluster.machines]
    try:
        yield
    finally:
        for n in range(20):
            etcd_of(running).ctl("put", "/elsewhere", str(n))
        etcd_of(running).compact()
        for heal in heals:
            heal()


@contextlib.contextmanager
def without_service(running: Federation) -> Iterator[None]:
    assert running.service is not None
    running.service.stop()
    try:
        yield
    finally:
        running.service.start()


@contextlib.contextmanager
def without_all(running: Federation) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for way in (without_service, without_etcd, without_line):
            stack.enter_context(way(running))
        yield


def etcd_of(running: Federation) -> EtcdCluster:
    found = running.clusters[REGION].etcd
    assert found is not None
    return found


WAYS: dict[str, tuple[Way, tuple[int, ...]]] = {
    "line": (without_line, (200, 503)),
    "half a line": (half_a_line, (200, 503)),
    "half a link between members": (half_a_link_between_members, (200,)),
    "origin": (without_origin, (200, 503)),
    "namespace service": (without_service, (200,)),
    "line, etcd and service": (without_all, (200, 503)),
    "etcd silent": (with_silent_etcd, (200,)),
    "etcd killed": (without_etcd, (200,)),
    "etcd compacted": (etcd_out_of_reach_and_compacted, (200,)),
    "etcd's data lost": (etcd_losing_all, (200,)),
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with federation(tmp_path_factory.mktemp("outages"), TWO) as made:
        made.put(CACHED)
        assert made.load(made.clusters[REGION].machines[0], whole(CACHED), 4).faults == ()
        yield made


def whole(things: list[Thing]) -> list[Read]:
    return [Read(thing, 0, thing.size, True) for thing in things]


def taken_away(running: Federation, name: str, seconds: float, note: Note) -> None:
    """Reads what is cached before, during and after; asks for what is not while it is away, and after it."""
    way, answers = WAYS[name]
    cluster = running.clusters[REGION]
    first, last = cluster.machines[0], cluster.machines[-1]
    cold = [Thing(f"cold/{name}-{seconds:.0f}-{n}", 2 * MIB, n) for n in range(2)]
    running.put(cold)
    around = min(seconds / 2, AROUND_SECONDS)
    with crowd(running, dict.fromkeys(cluster.machines, whole(CACHED)), 2, lasting=True) as seen:
        time.sleep(around)
        going = time.monotonic()
        with running.loading(first, whole(cold[:1])) as asking:
            with way(running):
                gone = time.monotonic()
                time.sleep(seconds)
                healing = time.monotonic()
            back = time.monotonic()
            served = until_served(running, last, cold[1])
            asked = asking.result()
        time.sleep(max(0.0, back + around - time.monotonic()))

    what = f"{name} away for {seconds:.0f} s"
    was = seen.p99_between(going - around, going)
    # To take several things away, or to bring them back, takes a moment: all of them are away from `gone` to `healing`.
    for when, start, end in (("cached", gone + 1, healing), ("cached, as it comes back", healing, back + around)):
        p99 = seen.p99_between(start, end)
        told = f"p99 {was * 1000:.1f} ms, then {p99 * 1000:.1f} ms: {p99 / was if was else 0:.2f}x"
        note(f"{what}, {when}", told, "<= 2x, 100 % right")
    answer = f"{asked.statuses} after {asked.longest:.1f} s, served {served - back:.1f} s after it was back"
    note(f"{what}, not cached", answer, f"one of {answers}")
    assert (seen.faults, seen.statuses) == ((), {200})
    assert set(asked.statuses) <= set(answers), asked.faults


def until_served(running: Federation, at: Machine, thing: Thing) -> float:
    """Reads until a thing comes whole, as SDKs do that wait as long as they are told; returns when it did."""
    give_up = time.monotonic() + 60
    while (seen := running.load(at, whole([thing]), heed=True)).statuses != {200: 1}:
        assert set(seen.statuses) <= {503}, seen.faults
        assert time.monotonic() < give_up, seen.faults
        time.sleep(0.2)
    return time.monotonic()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", WAYS)
def test_cached_reads_do_not_notice_that_something_is_away(running: Federation, name: str, note: Note) -> None:
    taken_away(running, name, 3.0, note)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", WAYS)
def test_cached_reads_do_not_notice_a_minute_without(running: Federation, name: str, note: Note) -> None:
    taken_away(running, name, 60.0, note)
