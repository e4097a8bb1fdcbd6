"""docs/metrics.md, the catalogue and what a running node's `/metrics` shows are the same, both ways."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.admin.exposition import Exposition
from gateway.catalogue import CATALOGUE, document
from gateway.metrics import Snapshot
from tests.fakes.s3server import FakeS3
from tests.flow.journeys import get
from tests.flow.world import FAR, NEAR, World, two_regions

pytestmark = pytest.mark.anyio

DOCUMENT = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
DOCUMENTED = {
    name: tuple(filter(None, labels.split(",")))
    for name, labels in re.findall(r"^\| `(\w+)(?:\{([\w,]+)\})?` \|", DOCUMENT, re.MULTILINE)
}


def shown(text: str) -> dict[str, str]:
    """Names of `/metrics`, and of what kind they are."""
    kinds = {}
    for family in text_string_to_metric_families(text):
        kinds[f"{family.name}_total" if family.type == "counter" else family.name] = family.type
    return kinds


def labels(text: str) -> dict[str, set[tuple[str, ...]]]:
    found: dict[str, set[tuple[str, ...]]] = {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        for sample in family.samples:
            found.setdefault(name, set()).add(tuple(sorted(set(sample.labels) - {"le"})))
    return found


@pytest.fixture
async def node(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Two regions between which one object was read cold and then again."""
    monkeypatch.setenv("CAUSEWAY_TEST_ORIGIN", "ORIGINKEY:origin-secret")
    async with FakeS3() as s3:
        s3.bucket("bucket1").put("k", 300_000)
        async with two_regions(s3.url) as world:
            for _ in range(2):
                assert (await get(world, "k")).status == 200
            yield world


async def scrape(world: World) -> str:
    async with aiohttp.ClientSession() as session:
        url = f"http://{world.nodes[NEAR].running.addresses['admin']}/metrics"
        async with session.get(url) as answer:
            return await answer.text()


def test_the_document_is_what_the_catalogue_says() -> None:
    written = DOCUMENT.partition("\n## ")

    assert "".join(written[1:]).lstrip("\n") == document(), "run scripts/write_metrics.py"


async def test_what_a_running_node_shows_is_documented_and_the_other_way_round(node: World) -> None:
    text = await scrape(node)

    assert set(shown(text)) == set(DOCUMENTED)


async def test_what_a_running_node_shows_has_the_labels_of_the_document(node: World) -> None:
    text = await scrape(node)

    for name, seen in labels(text).items():
        assert seen == {tuple(sorted(DOCUMENTED[name]))}


async def test_a_read_shows_at_the_door_in_the_ledger_and_at_the_tenant(node: World) -> None:
    await scrape(node)

    told = {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(await scrape(node))
        for sample in family.samples
    }

    assert told["causeway_requests_total", frozenset(("s3", "GetObject", "200"))] == 2
    assert told["causeway_requests_total", frozenset(("admin", "metrics", "200"))] == 1
    assert told["causeway_tenant_bytes_total", frozenset(("rec",))] == 600_000


async def test_the_far_node_counts_what_its_peer_door_answered(node: World) -> None:
    counters = node.nodes[FAR].running.counters

    assert counters.requests["peer", "read", 200] == 1
    assert sum(counters.last_byte["peer", "read"].counts) == 1


def test_each_kind_is_what_prometheus_is_told() -> None:
    kinds = shown(Exposition(Snapshot).text().decode())

    assert kinds == {metric.shown: metric.kind.value for metric in CATALOGUE}


def test_units_stand_in_the_names_that_have_one() -> None:
    words = {"By": "bytes", "s": "seconds", "By/s": "bytes_per_second"}

    for metric in CATALOGUE:
        if metric.unit in words:
            assert metric.name.endswith(words[metric.unit]), metric.name


async def test_no_sample_is_a_truth_value_which_otlp_does_not_carry(node: World) -> None:
    now = node.nodes[NEAR].operations.metrics()

    values = [(metric.name, value) for metric in CATALOGUE for _, value in metric.read(now)]

    assert [name for name, value in values if isinstance(value, bool)] == []
