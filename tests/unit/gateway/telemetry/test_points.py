"""The catalogue as OTLP's points: what is sent is what a scrape would show at that moment."""

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from gateway.metrics import DoorCounters, Snapshot
from gateway.telemetry.collector import teller
from gateway.telemetry.points import Points


def sent(snapshot: Snapshot) -> dict[str, Metric]:
    moments = iter((100, 200))
    points = Points(teller("n", "a", "0"), "0", lambda: next(moments))
    (resource,) = encode_metrics(points.of(snapshot)).resource_metrics
    (scope,) = resource.scope_metrics
    return {metric.name: metric for metric in scope.metrics}


def test_a_counter_is_a_sum_since_the_start() -> None:
    (metric,) = [one for name, one in sent(Snapshot(read_bytes={"page": 7})).items() if name == "causeway_read_bytes"]

    (point,) = metric.sum.data_points
    assert (metric.unit, metric.sum.is_monotonic, metric.sum.aggregation_temporality) == ("By", True, 2)
    assert (point.as_int, point.start_time_unix_nano, point.time_unix_nano) == (7, 100, 200)
    assert [(label.key, label.value.string_value) for label in point.attributes] == [("source", "page")]


def test_a_truth_is_a_number() -> None:
    now = sent(Snapshot(flights={"flying": True}))

    assert now["causeway_flights"].gauge.data_points[0].as_int == 1


def test_a_histogram_has_its_bounds_and_counts_and_no_extremes_that_were_not_counted() -> None:
    counters = DoorCounters()
    for seconds in (0.00005, 0.3, 100.0):
        counters.first("s3", "GetObject", seconds)

    (point,) = sent(Snapshot(first_byte=counters.first_byte))["causeway_request_seconds"].histogram.data_points

    assert (point.count, point.sum) == (3, 100.30005)
    assert (point.bucket_counts[0], point.bucket_counts[-1], sum(point.bucket_counts)) == (1, 1, 3)
    assert len(point.explicit_bounds) == len(point.bucket_counts) - 1
    assert not point.HasField("min")
    assert not point.HasField("max")


def test_what_is_sent_does_not_change_while_it_waits() -> None:
    counters = DoorCounters()
    counters.first("s3", "GetObject", 0.1)
    points = Points(teller("n", "a", "0"), "0")

    waiting = points.of(Snapshot(first_byte=counters.first_byte, requests=counters.requests))
    counters.first("s3", "GetObject", 0.1)

    (metric,) = [
        one
        for one in encode_metrics(waiting).resource_metrics[0].scope_metrics[0].metrics
        if one.name == "causeway_request_seconds"
    ]
    assert metric.histogram.data_points[0].count == 1
