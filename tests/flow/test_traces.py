"""Traced reads: what a collector is told of a read that crosses two regions, and what it is not told."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from gateway.catalogue import CATALOGUE
from regioncache.pages import MIB
from tests.fakes.collector import Collector, collector
from tests.fakes.s3server import FakeS3, stall
from tests.flow.journeys import get, landed
from tests.flow.world import FAR, NEAR, World, two_regions

pytestmark = pytest.mark.anyio

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def parent(flags: str) -> list[tuple[bytes, bytes]]:
    return [(b"traceparent", f"00-{TRACE}-{SPAN}-{flags}".encode()), (b"tracestate", b"shop=1,mart=a")]


@pytest.fixture
def told() -> Iterator[Collector]:
    with collector() as taken:
        yield taken


@asynccontextmanager
async def traced(s3: FakeS3, told: Collector, sample: str = "100%", **more: object) -> AsyncIterator[World]:
    """Both regions tell the collector; at the end they have told it all."""
    async with two_regions(s3.url, telemetry={"otlp": told.url, "sample": sample, **more}) as world:
        yield world
        for region in (NEAR, FAR):
            await world.stop(region)


async def test_a_cold_read_is_one_trace_from_the_door_to_the_origin(s3: FakeS3, told: Collector) -> None:
    s3.bucket("bucket1").put("a b/c", MIB)

    async with traced(s3, told) as world:
        assert (await get(world, "a b/c", (0, 300_000))).status == 206

    door = told.one("s3.GetObject")
    at, chain = door, []
    while children := told.children(at):
        (at,) = children
        chain.append((at.node, at.name))
    near, far = f"{NEAR}-0", f"{FAR}-0"
    assert chain == [
        *((near, name) for name in ("read", "flight", "line", "peer")),
        *((far, name) for name in ("peer.read", "read", "flight", "origin")),
    ]
    assert door.parent == ""
    assert {span.trace for span in told.spans} == {door.trace}
    assert len(told.spans) == 9


async def test_the_stretches_say_what_was_read_by_whom_and_over_what(s3: FakeS3, told: Collector) -> None:
    s3.bucket("bucket1").put("k", 300_000)

    async with traced(s3, told) as world:
        got = await get(world, "k")

    door, line = told.one("s3.GetObject").attributes, told.one("line").attributes
    assert (door["causeway.path"], door["causeway.tenant"], door["causeway.class"]) == (
        "/ns/train/k",
        "rec",
        "training",
    )
    assert (door["http.response.status_code"], door["causeway.bytes"], door["causeway.source"]) == (
        200,
        300_000,
        "line",
    )
    assert door["causeway.request_id"] == got.headers["x-amz-request-id"]
    assert (line["causeway.line"], line["causeway.bytes"]) == ("bj-use1", 300_000)
    assert told.one("origin").events == ("head",)
    assert told.one("origin").attributes["causeway.where"] == s3.url


async def test_neither_keys_nor_signatures_are_told(s3: FakeS3, told: Collector) -> None:
    s3.bucket("bucket1").put("k", 300_000)

    async with traced(s3, told) as world:
        await get(world, "k")
        await get(world, "absent")
        key = world.key

    assert key is not None
    said = repr(told.spans)
    for secret in (key.id, key.secret, "ORIGINKEY", "Signature", "AWS4"):
        assert secret not in said


async def test_a_hit_is_one_stretch(s3: FakeS3, told: Collector) -> None:
    s3.bucket("bucket1").put("k", 4096)

    async with traced(s3, told) as world:
        await get(world, "k")
        await landed(world)
        cold = {span.span for span in told.spans}
        hit = await get(world, "k", more=parent("01"))

    assert hit.headers["x-causeway-source"] == "page"
    (door,) = [span for span in told.spans if span.trace == TRACE and span.span not in cold]
    assert (door.name, door.attributes["causeway.source"]) == ("s3.GetObject", "page")


async def test_a_client_s_trace_is_gone_on_with_and_reaches_the_far_region(s3: FakeS3, told: Collector) -> None:
    s3.bucket("bucket1").put("k", 300_000)

    async with traced(s3, told, sample="0%") as world:
        await get(world, "k", more=parent("01"))

    assert told.one("s3.GetObject").parent == SPAN
    assert told.one("peer.read").trace == TRACE
    assert told.one("origin").state == "shop=1,mart=a"


async def test_what_its_client_does_not_trace_is_not_traced(s3: FakeS3, told: Collector) -> None:
    s3.bucket("bucket1").put("k", 300_000)

    async with traced(s3, told) as world:
        await get(world, "k", more=parent("00"))

    assert told.spans == []


async def test_clients_cannot_ask_for_more_traces_than_the_rate(s3: FakeS3, told: Collector) -> None:
    s3.bucket("bucket1").put("k", 100)

    async with traced(s3, told, sample="0%", asked=0.001) as world:
        for _ in range(5):
            await get(world, "k", more=parent("01"))

    assert [span.name for span in told.spans].count("s3.GetObject") == 1


async def test_a_stranger_s_request_leaves_no_trace(s3: FakeS3, told: Collector) -> None:
    async with traced(s3, told) as world:
        key = world.key
        assert key is not None
        world.key = type(key)(key.id, "another-secret-than-the-one-of-the-key")
        assert (await get(world, "k", more=parent("01"))).status == 403

    assert told.spans == []


async def test_who_comes_to_a_flight_under_way_has_a_link_to_it(s3: FakeS3, told: Collector) -> None:
    s3.bucket("bucket1").put("k", 300_000)
    held = stall(100_000)
    s3.next(held)

    async with traced(s3, told) as world:
        first = asyncio.ensure_future(get(world, "k"))
        await held.reached.wait()
        second = asyncio.ensure_future(get(world, "k", more=parent("01")))
        (flight,) = list(world.nodes[NEAR].running.app.flights)
        while flight.waiting() < 2:
            await flight.change()
        held.released.set()
        await asyncio.gather(first, second)

    join = told.one("join", NEAR)
    (flown,) = [span for span in told.spans if span.name == "flight" and span.node == f"{NEAR}-0"]
    assert join.trace == TRACE
    assert flown.trace != TRACE
    assert join.links == (flown.span,)


async def test_an_object_that_is_not_there_is_no_error_of_the_trace(s3: FakeS3, told: Collector) -> None:
    async with traced(s3, told) as world:
        assert (await get(world, "absent")).status == 404

    assert [span.name for span in told.spans if span.error] == []
    assert told.one("s3.GetObject").attributes["http.response.status_code"] == 404


async def test_an_origin_that_is_away_is_one(s3: FakeS3, told: Collector) -> None:
    await s3.away()

    async with traced(s3, told) as world:
        assert (await get(world, "k")).status == 503

    assert {"s3.GetObject", "read", "flight", "origin"} <= {span.name for span in told.spans if span.error}


async def test_a_reader_that_goes_away_leaves_no_error(s3: FakeS3, told: Collector) -> None:
    s3.bucket("bucket1").put("k", 60 * MIB)
    held = stall(MIB)
    s3.next(held)

    async with traced(s3, told) as world:
        reading = asyncio.ensure_future(get(world, "k"))
        await held.reached.wait()
        reading.cancel()
        for flight in list(world.nodes[NEAR].running.app.flights):
            while flight.waiting():
                await flight.change()
        held.released.set()
        await landed(world)

    assert [(span.name, span.attributes) for span in told.spans if span.error] == []
    assert told.one("s3.GetObject").attributes["http.response.status_code"] in {200, 499}


async def test_the_origin_is_told_of_no_trace(s3: FakeS3, told: Collector) -> None:
    s3.bucket("bucket1").put("k", 300_000)

    async with traced(s3, told) as world:
        await get(world, "k", more=parent("01"))

    assert s3.heard
    assert not any({"traceparent", "tracestate"} & set(heard.headers) for heard in s3.heard)


async def test_without_a_sampled_read_no_object_is_made(s3: FakeS3, told: Collector) -> None:
    s3.bucket("bucket1").put("k", 300_000)
    made = 0

    def count(*_: object) -> None:
        nonlocal made
        made += 1

    async with traced(s3, told, sample="0%") as world:
        for node in world.nodes.values():
            node.running.telemetry._trails.begin = count  # type: ignore[union-attr]
        for _ in range(20):
            assert (await get(world, "k")).status == 200

    assert made == 0
    assert told.spans == []


async def test_the_metrics_are_told_under_the_names_of_the_catalogue(s3: FakeS3, told: Collector) -> None:
    s3.bucket("bucket1").put("k", 300_000)

    async with traced(s3, told) as world:
        await get(world, "k")

    known = {metric.name: metric for metric in CATALOGUE}
    assert set(told.metrics) <= set(known)
    assert {"causeway_requests", "causeway_line_bytes", "causeway_request_seconds"} <= set(told.metrics)
    for name, metric in told.metrics.items():
        assert metric.unit == known[name].unit  # type: ignore[attr-defined]
        assert metric.WhichOneof("data") == {"counter": "sum"}.get(known[name].kind.value, known[name].kind.value)  # type: ignore[attr-defined]


async def test_a_collector_that_is_away_costs_no_read_and_is_counted(s3: FakeS3, told: Collector) -> None:
    s3.bucket("bucket1").put("k", 300_000)
    told.status = 400

    async with traced(s3, told) as world:
        for _ in range(5):
            assert (await get(world, "k")).status == 200
        telemetry = world.nodes[NEAR].running.telemetry

    assert telemetry is not None
    assert telemetry.posted()["traces", "dropped"] >= 5
    assert telemetry.posted()["traces", "sent"] == 0


def test_a_node_that_tells_nobody_loads_no_opentelemetry() -> None:
    program = "import sys, gateway.app, gateway.cli.up, gateway.cli.running; print('opentelemetry' in sys.modules)"

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert said == "False\n"
