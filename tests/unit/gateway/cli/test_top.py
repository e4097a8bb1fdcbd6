"""`top`: what two looks say, how it fits a terminal, and what it does while a node is away."""

import io
import json
import os
import pty
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from rich.console import Console

from gateway.admin.answers import Measured, PeerStatus, Point, Status
from gateway.catalogue import measured
from gateway.cli.board import MOST_ROWS, board
from gateway.cli.client import NotReached
from gateway.cli.looks import Look, figures, quantile
from gateway.cli.top import Watch
from gateway.metrics import DoorCounters, LineLabels, LineSample, Snapshot
from tests.unit.gateway.cli.conftest import TOKEN, Command, FakeNode

STATUS = Status("n1", "a", "0.1.0", True, 100.0, 1, "digest")


def a_look(at: float, snapshot: Snapshot, uptime: float | None = None, **more: object) -> Look:
    status = replace(STATUS, uptime_seconds=100.0 + at if uptime is None else uptime, **more)  # type: ignore[arg-type]
    return Look.of(at, status, measured(snapshot))


def served(requests: int, failed: int = 0, tenant: str = "rec", line_bytes: int = 0) -> Snapshot:
    counters = DoorCounters()
    for number in range(requests):
        counters.request("s3", "GetObject", 500 if number < failed else 200)
        counters.first("s3", "GetObject", 0.0004)
        counters.sent(tenant, 1000)
    ledger = LineLabels("a-b", "b>a", tenant, "training", "unique")
    return Snapshot(
        requests=counters.requests,
        first_byte=counters.first_byte,
        tenant_bytes=counters.tenant_bytes,
        read_bytes={"page": 300 * requests, "line": 100 * requests},
        line_bytes={ledger: line_bytes},
        lines=(LineSample("a-b", "b>a", 1e9, 25e7, 0.98, 0, {"training": 2, "backfill": 0}),),
    )


def test_rates_are_what_came_between_two_looks() -> None:
    now = figures(a_look(0, served(10)), a_look(2, served(30, line_bytes=5000)))

    (door,) = now.doors
    assert (door.rate, door.failed_rate, door.p50_seconds) == (10.0, 0.0, 0.0005)
    assert now.read == {"page": 3000.0, "line": 1000.0}
    assert now.hit_ratio == 0.75
    (tenant,) = now.tenants
    assert (tenant.tenant, tenant.sent, tenant.brought) == ("rec", 10_000.0, 2500.0)


def test_failures_are_counted_apart() -> None:
    (door,) = figures(a_look(0, Snapshot()), a_look(1, served(10, failed=4))).doors

    assert (door.rate, door.failed_rate) == (10.0, 4.0)


def test_a_node_that_began_anew_is_counted_since_then() -> None:
    now = figures(a_look(0, served(1000)), a_look(2, served(10), uptime=1.0))

    assert now.doors[0].rate == 10.0


def test_one_counter_that_fell_is_counted_from_nothing() -> None:
    now = figures(a_look(0, Snapshot(tenant_bytes={"rec": 900})), a_look(1, Snapshot(tenant_bytes={"rec": 100})))

    assert now.tenants[0].sent == 100.0


def test_one_look_alone_tells_of_the_time_since_the_start() -> None:
    now = figures(None, a_look(0, served(50)))

    assert (now.doors[0].rate, now.seconds) == (0.5, 0.0)


def test_who_waits_for_a_line_is_told_by_class() -> None:
    (line,) = figures(None, a_look(0, served(1))).lines

    assert (line.rate / line.quota, line.waiting) == (0.25, {"training": 2, "backfill": 0})


def test_a_quantile_is_the_bound_of_its_bucket() -> None:
    seen = [Point({}, 0.0, (1.0, 2.0), (5, 4, 1)), Point({}, 0.0, (1.0, 2.0), (0, 0, 0))]

    assert (quantile(seen, 0.5), quantile(seen, 0.9), quantile(seen, 1.0)) == (1.0, 2.0, float("inf"))
    assert quantile([], 0.5) is None


def test_a_metric_that_an_older_node_does_not_know_is_nothing() -> None:
    now = figures(None, Look.of(0.0, STATUS, [Measured("causeway_requests_total", "counter", "1")]))

    assert (now.doors, now.lines, now.hit_ratio) == ((), (), None)


def shown(width: int, snapshot: Snapshot, gone: str = "", **more: object) -> list[str]:
    out = io.StringIO()
    now = figures(a_look(0, Snapshot()), a_look(1, snapshot, **more))
    Console(file=out, width=width, color_system=None).print(board(now, width, gone))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 56, 80, 120, 200])
def test_the_board_fits_any_terminal(width: int) -> None:
    many = served(10, tenant="a-tenant-with-a-rather-long-name-for-a-narrow-terminal")

    assert max(map(len, shown(width, many, faults=("a fault " * 20,)))) <= width


def test_faults_come_before_the_tables() -> None:
    peer = PeerStatus("b", "10.0.0.1:9100", False)

    lines = shown(120, served(10), "gone", faults=("a path is out",), peers=(peer,))

    told = [line for line in lines if line.startswith("!")]
    assert told == ["! gone", "! a path is out", "! node 10.0.0.1:9100 of region b does not answer"]
    assert lines.index(told[-1]) < next(at for at, line in enumerate(lines) if line.startswith("door"))


def test_the_busiest_are_shown_and_the_rest_is_counted() -> None:
    counters = DoorCounters()
    for number in range(MOST_ROWS + 5):
        counters.sent(f"tenant-{number:02}", number)

    lines = shown(100, Snapshot(tenant_bytes=counters.tenant_bytes))

    assert any(line.startswith(f"tenant-{MOST_ROWS + 4}") for line in lines)
    assert lines[-1] == "and 4 more"


class Asked:
    """A node that answers, or is away."""

    def __init__(self) -> None:
        self.away = False
        self.count = 0
        self.turned = threading.Condition()

    def __call__(self) -> Look:
        with self.turned:
            self.count += 1
            self.turned.notify_all()
            if self.away:
                raise NotReached("no node answers")
            return a_look(float(self.count), served(self.count))

    def once_more(self) -> None:
        """Waits until it was asked, and what came of that was taken note of."""
        with self.turned:
            before = self.count
            assert self.turned.wait_for(lambda: self.count >= before + 2, 30)


def test_a_node_that_goes_away_is_told_of_and_looked_at_again_when_it_is_back() -> None:
    asked = Asked()
    watch = Watch(asked, a_look(0.0, Snapshot()), 0.01)
    asked.once_more()

    asked.away = True
    asked.once_more()
    _, last, fault = watch.seen()
    asked.away = False
    asked.once_more()
    asked.once_more()
    watch.end()

    assert isinstance(fault, NotReached)
    assert last.at >= 1.0
    assert watch.seen()[2] is None
    assert watch.seen()[1].at > last.at


def test_without_a_terminal_it_shows_one_interval(causeway: Command, node: FakeNode) -> None:
    node.operations.snapshot = served(10)

    ended = causeway("top", "--interval", "0.2")

    assert ended.code == 0
    assert ended.out.startswith("n1 in a: ready")
    assert "a-b" in ended.out
    assert "! cache path /d is out" in ended.out


def test_json_has_the_figures_and_nothing_that_json_does_not_know(causeway: Command, node: FakeNode) -> None:
    counters = DoorCounters()
    counters.request("s3", "GetObject", 200)
    counters.first("s3", "GetObject", 1000.0)
    node.operations.snapshot = Snapshot(requests=counters.requests, first_byte=counters.first_byte)

    ended = causeway("top", "--interval", "0.2", "--json")

    told = json.loads(ended.out, parse_constant=pytest.fail)
    assert told["node"] == "n1"
    assert told["doors"][0]["operation"] == "GetObject"


def test_where_no_node_is_it_says_so(causeway: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUSEWAY_ADMIN", "http://127.0.0.1:1")
    monkeypatch.setenv("CAUSEWAY_TOKEN", TOKEN)

    ended = causeway("top")

    assert ended.code == 1
    assert "no node answers at http://127.0.0.1:1" in ended.err


def test_q_ends_it_on_a_terminal(node: FakeNode) -> None:
    ours, theirs = pty.openpty()
    program = [sys.executable, "-m", "gateway", "top", "--interval", "0.2"]
    env = {**os.environ, "TERM": "xterm", "CAUSEWAY_ADMIN": node.url, "CAUSEWAY_TOKEN": TOKEN}
    with subprocess.Popen(program, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as running:
        os.close(theirs)
        seen = b""
        while b"q: quit" not in seen:
            seen += os.read(ours, 65536)
        os.write(ours, b"q")
        try:
            while os.read(ours, 65536):
                continue
        except OSError:
            pass  # EIO: the other side of the terminal is closed
        assert running.wait(30) == 0
    os.close(ours)
