"""`/metrics` has the names that outsiders rely on."""

import math

from prometheus_client.parser import text_string_to_metric_families

from gateway.admin.exposition import Exposition
from gateway.metrics import DoorCounters, Histogram, LineLabels, LineSample, Snapshot

NAMES = {
    "causeway_requests",
    "causeway_request_seconds",
    "causeway_read_bytes",
    "causeway_line_bytes",
    "causeway_line_once_ratio",
    "causeway_line_quota_bytes_per_second",
    "causeway_line_rate_bytes_per_second",
    "causeway_line_wait_seconds",
    "causeway_cache_bytes",
    "causeway_cache_evicted_bytes",
    "causeway_cache_corrupt_pages",
    "causeway_cache_dropped_files",
    "causeway_flights",
    "causeway_memory_bytes",
    "causeway_loop_delay_seconds",
    "causeway_namespace_snapshot_age_seconds",
    "causeway_members",
    "causeway_dirty_objects",
    "causeway_dirty_oldest_seconds",
    "causeway_lease_state",
}


def samples(snapshot: Snapshot) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = Exposition(lambda: snapshot).text().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_name_of_the_design_is_there_before_the_first_event() -> None:
    text = Exposition(Snapshot).text().decode()

    assert {family.name for family in text_string_to_metric_families(text)} >= NAMES


def test_requests_are_counted_by_door_operation_and_code() -> None:
    counters = DoorCounters()
    for code in (200, 200, 404):
        counters.request("s3", "GetObject", code)

    told = samples(Snapshot(requests=counters.requests))

    assert told["causeway_requests_total", (("code", "200"), ("door", "s3"), ("operation", "GetObject"))] == 2
    assert told["causeway_requests_total", (("code", "404"), ("door", "s3"), ("operation", "GetObject"))] == 1


def test_times_to_the_first_and_the_last_byte_are_histograms() -> None:
    counters = DoorCounters()
    counters.first("s3", "GetObject", 0.001)
    counters.last("s3", "GetObject", 100.0)

    told = samples(Snapshot(first_byte=counters.first_byte, last_byte=counters.last_byte))

    labels = (("byte", "first"), ("door", "s3"))
    assert told["causeway_request_seconds_bucket", (*labels, ("le", "0.0005"), ("operation", "GetObject"))] == 0
    assert told["causeway_request_seconds_bucket", (*labels, ("le", "0.001"), ("operation", "GetObject"))] == 1
    assert told["causeway_request_seconds_sum", (("byte", "last"), ("door", "s3"), ("operation", "GetObject"))] == 100.0
    assert told["causeway_request_seconds_count", (("byte", "last"), ("door", "s3"), ("operation", "GetObject"))] == 1


def test_the_line_tells_its_ledger_and_its_state() -> None:
    snapshot = Snapshot(
        line_bytes={LineLabels("bj-use1", "idc-bj>aws-use1", "rec", "training", "unique"): 7},
        lines=(LineSample("bj-use1", "idc-bj>aws-use1", 1e9, 5e8, 0.98, 4096),),
    )

    told = samples(snapshot)

    at = (("direction", "idc-bj>aws-use1"), ("line", "bj-use1"))
    ledger = tuple(sorted((("class", "training"), *at, ("kind", "unique"), ("tenant", "rec"))))
    assert told["causeway_line_bytes_total", ledger] == 7
    assert told["causeway_line_once_ratio", at] == 0.98
    assert told["causeway_line_quota_bytes_per_second", at] == 1e9
    assert told["causeway_line_rate_bytes_per_second", at] == 5e8
    assert told["causeway_line_prepaid_bytes", at] == 4096


def test_amplification_is_told_once_something_was_asked() -> None:
    assert ("causeway_amplification_ratio", ()) not in samples(Snapshot())
    assert samples(Snapshot(asked_bytes=1000, brought_bytes=1500))["causeway_amplification_ratio", ()] == 1.5


def test_a_histogram_counts_a_value_at_its_bound_within_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, math.inf):
        histogram.observe(value)

    assert histogram.buckets() == [("1.0", 2.0), ("2.0", 4.0), ("+Inf", 5.0)]
