"""Figures of several workers as those of their node."""

from dataclasses import replace

from gateway.admin.answers import FreedShown, LineBytes, LineStatus, Measured, Pins, Status
from gateway.admin.exposition import Exposition, text_of
from gateway.catalogue import CATALOGUE, Kind, measured
from gateway.metrics import DoorCounters, LineSample, Snapshot
from gateway.workers import adding

ONE = Status("n1/0", "here", "1", True, 5.0, 3, "d", objects=2, faults=("etcd is away", "disk full"))
OTHER = replace(ONE, node="n1/1", ready=False, uptime_seconds=9.0, revision=2, faults=("etcd is away",))


def snapshot(requests: int, once: float, expires: float) -> Snapshot:
    doors = DoorCounters()
    for _ in range(requests):
        doors.request("s3", "GetObject", 200)
        doors.first("s3", "GetObject", 0.001)
    return Snapshot(
        requests=doors.requests,
        first_byte=doors.first_byte,
        asked_bytes=100 * requests,
        brought_bytes=50,
        certificates={"s3": expires},
        lines=(LineSample("l", "a>b", 10.0, 1.0, once, 0),),
        members={"active": 2},
        uptime_seconds=float(requests),
    )


def points(metrics: tuple[Measured, ...], name: str) -> list[tuple[dict[str, str], float]]:
    (found,) = (one for one in metrics if one.name == name)
    return [(point.labels, point.value) for point in found.points]


def test_figures_are_added_by_what_they_mean() -> None:
    of = {"n1/0": measured(snapshot(2, 1.0, 70.0)), "n1/1": measured(snapshot(3, 0.5, 60.0))}

    node = adding.metrics(of)

    labels = {"door": "s3", "operation": "GetObject", "code": "200"}
    line = {"line": "l", "direction": "a>b"}
    assert points(node, "causeway_requests_total") == [(labels, 5.0)]
    assert points(node, "causeway_line_quota_bytes_per_second") == [(line, 20.0)]
    assert points(node, "causeway_members") == [({"state": "active"}, 2.0)]
    assert points(node, "causeway_uptime_seconds") == [({}, 3.0)]
    assert points(node, "causeway_certificate_expiry_timestamp_seconds") == [({"door": "s3"}, 60.0)]
    assert points(node, "causeway_amplification_ratio") == [({}, 0.2)]
    assert points(node, "causeway_line_once_ratio") == [
        ({**line, "worker": "n1/0"}, 1.0),
        ({**line, "worker": "n1/1"}, 0.5),
    ]


def test_histograms_are_added_bucket_by_bucket_and_written_as_a_nodes_own() -> None:
    both = adding.metrics({"n1/0": measured(snapshot(2, 1.0, 60.0)), "n1/1": measured(snapshot(3, 1.0, 60.0))})

    text = text_of(both).decode()

    assert 'causeway_request_seconds_bucket{byte="first",door="s3",le="0.001",operation="GetObject"} 5.0' in text
    assert 'causeway_line_once_ratio{direction="a>b",line="l",worker="n1/1"} 1.0' in text


def test_one_workers_figures_read_as_those_of_a_node_of_one_process() -> None:
    now = snapshot(3, 1.0, 60.0)
    alone = text_of(adding.metrics({"n1/0": measured(now)})).decode()

    wanted = Exposition(lambda: now).text().decode()
    assert alone.replace(',worker="n1/0"', "") == wanted


def test_every_gauge_that_is_not_summed_is_in_the_catalogue() -> None:
    gauges = {metric.shown for metric in CATALOGUE if metric.kind is Kind.GAUGE}

    assert gauges >= adding.LARGEST | adding.SMALLEST | adding.BY_WORKER


def test_a_node_is_ready_where_one_worker_is_and_a_fault_names_who_has_it() -> None:
    node = adding.status("n1", [ONE, OTHER])

    assert (node.node, node.ready, node.uptime_seconds, node.revision, node.objects) == ("n1", True, 9.0, 2, 4)
    assert node.faults == ("etcd is away", "n1/0: disk full")


def test_a_lines_ratio_weighs_each_worker_by_what_it_moved() -> None:
    def line(once: float, nbytes: int) -> LineStatus:
        return LineStatus("l", "a>b", 5.0, 1.0, 10, 0, 1, once, (LineBytes("t", "c", "b", "unique", nbytes),))

    (node,) = adding.lines([[line(1.0, 300)], [line(0.6, 100)]])

    assert (node.quota, node.waiting, node.ledger[0].nbytes) == (10.0, 2, 400)
    assert abs(node.once_ratio - 0.9) < 1e-9


def test_what_is_pinned_and_what_was_freed_are_sums() -> None:
    assert adding.pins([Pins((), (), 1, 10), Pins((), (), 2, 10)]) == Pins((), (), 3, 20)
    assert adding.freed([FreedShown("/ns", 1, 2, 3), FreedShown("/ns", 1, 2, 3, ("/d",))]) == FreedShown(
        "/ns", 2, 4, 6, ("/d",)
    )
