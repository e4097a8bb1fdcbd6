"""A node of several workers: real processes under a supervisor, killed, restarted one by one, stopped."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.fakes.ramp import ramp
from tests.real.lab.etcd import EtcdCluster, etcd
from tests.real.lab.nodes import PROGRAM, Node, Place, node
from tests.real.lab.process import family
from tests.real.lab.sign import Keys

pytestmark = pytest.mark.real
MIB = 1 << 20
SIZES = {"small": 4096, "one": MIB, "large": 70 * MIB + 11}
REGION = "here"
_DIES_YOUNG = """
import runpy, sys
from gateway.workers import care
care.LIVED_SECONDS, care.FIRST_PAUSE_SECONDS = 3600.0, 2.0
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Under this a worker dies young however long a busy machine took to start it, and is not back before its supervisor's
word is heard: one that is follows without it."""


@dataclass(slots=True)
class Reading:
    """Threads that read the same objects over and over, each on one connection or each time anew, without a retry."""

    stop: threading.Event = field(default_factory=threading.Event)
    reads: list[int] = field(default_factory=list)
    faults: list[list[str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def run(self, client: Any, number: int, names: tuple[str, ...], *, anew: bool = False) -> None:
        while not self.stop.is_set():
            for name in names:
                try:
                    body = client.get_object(Bucket="data", Key=name)["Body"].read()
                except (BotoCoreError, ClientError) as fault:
                    self.faults[number].append(f"{type(fault).__name__}: {fault}")
                    continue
                self.reads[number] += 1
                if body != ramp(0, SIZES[name]):
                    self.wrong.append(name)
                if anew:
                    client.close()  # of its pool; the next request connects again


class Region:
    """One node of several workers over a directory."""

    def __init__(self, directory: Path, servers: EtcdCluster, workers: int) -> None:
        self.directory, self.servers = directory, servers
        self.place = Place(REGION, directory / "n1")
        self.settings = {
            "node": "n1",
            "workers": workers,
            "etcd": servers.urls,
            "listen": {
                "s3": f"127.0.0.1:{self.place.s3_port}",
                "peer": "127.0.0.1:0",
                "admin": f"127.0.0.1:{self.place.admin_port}",
                "control": "127.0.0.1:0",
            },
        }
        self.keys = Keys("", "")

    @contextlib.contextmanager
    def running(self, *before: str) -> Iterator[Node]:
        with node(self.place, settings=self.settings, before=before) as started:
            yield started

    def fill(self, started: Node) -> None:
        """Puts the directory in force, and reads it once."""
        nas = self.directory / "nas"
        nas.mkdir()
        for name, size in SIZES.items():
            (nas / name).write_bytes(ramp(0, size))
            os.utime(nas / name, (1e9, 1e9))
        started.apply(
            {
                "regions": {REGION: {"provider": "idc"}},
                "buckets": {"nas": {"provider": "file", "region": REGION, "endpoints": {"internal": nas.as_uri()}}},
                "mounts": {"/ns/data": {"bucket": "nas", "consistency": "immutable"}},
            }
        )
        self.keys = started.key("joe", "rec", "/ns/data")

    def client(self, started: Node) -> Any:
        config = Config(retries={"total_max_attempts": 1}, max_pool_connections=1, s3={"addressing_style": "path"})
        return started.client(self.keys, config=config)

    @contextlib.contextmanager
    def read(self, started: Node, readers: int, *names: str, anew: bool = False) -> Iterator[Reading]:
        """Reads until the `with` ends."""
        reading = Reading(reads=[0] * readers, faults=[[] for _ in range(readers)])
        clients = [self.client(started) for _ in range(readers)]
        threads = [
            threading.Thread(target=reading.run, args=(client, number, names), kwargs={"anew": anew})
            for number, client in enumerate(clients)
        ]
        for one in threads:
            one.start()
        try:
            yield reading
        finally:
            reading.stop.set()
            for one in threads:
                one.join()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[EtcdCluster]:
    with etcd(tmp_path) as running:
        yield running


@pytest.fixture
def region(tmp_path: Path, servers: EtcdCluster) -> Region:
    return Region(tmp_path, servers, workers=2)


def workers(started: Node) -> list[int]:
    """The processes of workers, by number of their start."""
    return [pid for pid in sorted(family(started.process.process.pid)) if pid != started.process.process.pid]


def said(started: Node, pattern: str) -> Callable[[], bool]:
    return lambda: re.search(pattern, started.process.log.read_text()) is not None


def active(started: Node) -> bool:
    return started.metric("causeway_members", state="active") == 2


@dataclass(slots=True)
class Settled:
    """Whether `nbytes` were read from siblings' files since the last byte that came through a peer.

    How many come through peers before that is no promise: a worker's first read of an object does, with all who join
    it, and so does what is read within a second of an owner's not having it.
    """

    started: Node
    nbytes: int
    peer: float = -1.0
    sibling: float = 0.0

    def __call__(self) -> bool:
        sibling = self.started.metric("causeway_read_bytes_total", source="sibling")
        peer = self.started.metric("causeway_read_bytes_total", source="peer")
        if peer != self.peer:
            self.peer, self.sibling = peer, sibling
        return sibling - self.sibling >= self.nbytes


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_are_members_that_share_one_door_and_end_with_their_supervisor(region: Region) -> None:
    with region.running() as started:
        started.process.wait_until(said(started, "2 workers"))
        region.fill(started)
        started.process.wait_until(lambda: active(started))
        assert {line.split()[0] for line in started.cli("members").splitlines() if "active" in line} == {"n1/0", "n1/1"}
        with region.read(started, 4, *SIZES) as reading:
            started.process.wait_until(lambda: min(reading.reads) >= 6)
        answered = {"door": "s3", "operation": "GetObject", "code": "200"}
        started.process.wait_until(lambda: started.metric("causeway_requests_total", **answered) == sum(reading.reads))
        assert started.ask("GET", "status")["node"] == "n1"
        assert len(started.ask("GET", "status")["caches"]) == 2
        pids = workers(started)
        assert len(pids) == 2

        assert started.process.stop(40) == 0

        assert not [pid for pid in pids if alive(pid)]
    assert (reading.faults, reading.wrong) == ([[]] * 4, [])
    assert (region.place.directory / "cache" / "worker-1" / "extents").is_dir()
    assert "Traceback" not in started.process.log.read_text()


def test_a_worker_reads_what_siblings_keep_from_their_files(region: Region) -> None:
    with region.running() as started:
        started.process.wait_until(said(started, "2 workers"))
        region.fill(started)
        started.process.wait_until(lambda: active(started))
        with region.read(started, 2, *SIZES):  # until the files are old enough to be kept
            started.process.wait_until(lambda: started.metric("causeway_cache_bytes") >= sum(SIZES.values()))
        before = started.metric("causeway_read_bytes_total", source="origin")

        with region.read(started, 6, *SIZES, anew=True) as reading:  # by both workers
            started.process.wait_until(Settled(started, 4 * SIZES["large"]))

        assert (reading.faults, reading.wrong) == ([[]] * 6, [])
        assert started.metric("causeway_read_bytes_total", source="origin") == before
        freed = started.ask("POST", "cache/free?path=/ns/data")
        assert freed["nbytes"] >= sum(SIZES.values())
        assert started.metric("causeway_cache_bytes") == 0
        assert started.process.stop(40) == 0


def test_a_killed_worker_is_back_and_only_its_own_connections_notice(region: Region) -> None:
    with region.running(sys.executable, "-c", _DIES_YOUNG) as started:
        started.process.wait_until(said(started, "2 workers"))
        region.fill(started)
        with region.read(started, 6, "small", "one") as reading:
            started.process.wait_until(lambda: min(reading.reads) >= 10)
            victim = workers(started)[0]
            os.kill(victim, signal.SIGKILL)
            started.process.wait_until(said(started, "a worker died, and is started again"))
            started.process.wait_until(lambda: len(workers(started)) == 2 and victim not in workers(started))
            started.process.wait_until(lambda: active(started))
            before = list(reading.reads)
            started.process.wait_until(
                lambda: all(now >= one + 10 for one, now in zip(before, reading.reads, strict=True))
            )

        assert reading.wrong == []
        assert max(map(len, reading.faults)) <= 1
        assert started.process.stop(40) == 0


def test_a_reload_restarts_one_by_one_and_no_reader_sees_an_error(region: Region) -> None:
    with region.running() as started:
        started.process.wait_until(said(started, "2 workers"))
        region.fill(started)
        with region.read(started, 6, "small", "one") as reading:
            started.process.wait_until(lambda: min(reading.reads) >= 10)
            former = workers(started)
            started.process.process.send_signal(signal.SIGHUP)
            started.process.wait_until(said(started, "all workers are restarted"))
            before = list(reading.reads)
            started.process.wait_until(
                lambda: all(now >= one + 10 for one, now in zip(before, reading.reads, strict=True))
            )

        assert not set(former) & set(workers(started))
        assert (reading.faults, reading.wrong) == ([[]] * 6, [])
        assert started.process.stop(40) == 0


def test_settings_with_faults_change_nothing_at_a_reload(region: Region) -> None:
    with region.running() as started:
        started.process.wait_until(said(started, "2 workers"))
        pids, text = workers(started), region.place.config.read_text()

        region.place.config.write_text(text + "nonsense: 1\n")
        started.process.process.send_signal(signal.SIGHUP)
        started.process.wait_until(said(started, "nothing is restarted: .*nonsense"))
        region.place.config.write_text(text.replace("workers: 2", "workers: 3"))
        started.process.process.send_signal(signal.SIGHUP)
        started.process.wait_until(said(started, "nothing is restarted: workers cannot change"))

        assert workers(started) == pids
        assert started.ready() is False  # nothing was applied
        # What a worker was started with counts, whatever the file says by now.
        os.kill(pids[0], signal.SIGKILL)
        started.process.wait_until(said(started, "a worker died"))
        started.process.wait_until(lambda: len(workers(started)) == 2 and pids[0] not in workers(started))
        assert started.process.stop(40) == 0


def test_workers_of_a_killed_supervisor_end_by_themselves_and_the_next_takes_over(region: Region) -> None:
    with region.running() as started:
        started.process.wait_until(said(started, "2 workers"))
        pids = workers(started)
        started.process.kill()
        with region.running() as again:
            again.process.wait_until(lambda: again.process.log.read_text().count("2 workers") == 2)
            assert not [pid for pid in pids if alive(pid)]
            assert again.process.stop(40) == 0


def test_a_second_supervisor_of_a_folder_says_who_has_it(region: Region) -> None:
    with region.running() as started:
        started.process.wait_until(said(started, "2 workers"))

        second = subprocess.run(
            [PROGRAM, "up", "--config", str(region.place.config)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert second.returncode == 1
        assert f"runs already, under the supervisor with pid {started.process.process.pid}: stop that" in second.stderr
        assert started.process.stop(40) == 0
