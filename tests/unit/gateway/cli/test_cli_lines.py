"""`causeway lines --since`: who moved what in a time, as a table, CSV and JSON."""

import csv
import json

from tests.unit.gateway.cli.conftest import Command, FakeNode


def test_lines_of_a_time_show_bytes_cost_and_once_ratio(causeway: Command, node: FakeNode) -> None:
    ended = causeway("lines", "--since", "1h")

    assert ended.code == 0
    for told in ("from 2026-03-06 11:00:00Z", "nodes: n1", "rec", "3.73 GiB", "4.000", "0.08", "0.750", "sum"):
        assert told in ended.out
    assert node.operations.asked == ["moved since=1h until= by="]


def test_lines_of_a_time_as_csv_are_exact(causeway: Command, node: FakeNode) -> None:
    ended = causeway("lines", "--since", "1h", "--until", "5m", "--by", "tenant,kind,slot", "--csv")

    rows = list(csv.DictReader(ended.out.splitlines()))
    assert [(row["tenant"], row["kind"], row["bytes"], row["cost"], row["once_ratio"]) for row in rows] == [
        ("rec", "unique", "3000000000", "0.06", "1.0"),
        ("rec", "retry", "1000000000", "0.02", "0.0"),
        ("=search", "meta", "9", "1.8e-10", ""),
    ]
    assert {row["slot"] for row in rows} == {"2026-03-06 12:00:00Z"}


def test_lines_of_a_time_as_json_are_what_the_node_says(causeway: Command, node: FakeNode) -> None:
    ended = causeway("lines", "--since", "1h", "--by", "tenant", "--json")

    said = json.loads(ended.out)
    assert said["by"] == ["tenant"]
    assert said["rows"][0]["names"] == {"tenant": "rec"}
    assert said["rows"][0]["kinds"] == {"unique": 3_000_000_000, "retry": 1_000_000_000}


def test_members_that_are_missing_in_the_figures_are_named(causeway: Command, node: FakeNode) -> None:
    node.operations.unasked = (("cache-2", "node 10.0.0.2:9100 of a cannot be reached"),)

    for form in ((), ("--json",), ("--csv",)):
        ended = causeway("lines", "--since", "1h", *form)

        assert ended.code == 0
        assert ended.err == "! not in these figures: cache-2: node 10.0.0.2:9100 of a cannot be reached\n"


def test_what_is_no_time_or_no_name_is_wrong_usage(causeway: Command, node: FakeNode) -> None:
    for wrong in (
        ("--since", "yesterday"),
        ("--since", "1h", "--until", "2h"),
        ("--since", "1h", "--by", "colour"),
        ("--since", "1h", "--csv", "--json"),
        ("--until", "1h"),
        ("--by", "tenant"),
        ("--csv",),
    ):
        assert causeway("lines", *wrong).code == 2

    assert node.operations.asked == []
