"""Lines over one topology after the other: what crosses counts against one quota, whatever is applied meanwhile."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from namespace.model import Line as LineOfTopology
from namespace.model import Region, Topology
from policy.model import LinePolicy, Policy
from regioncache.app import CacheApp, CacheAppSettings

pytestmark = pytest.mark.anyio

HOME, AWAY, LINE = "idc-bj", "aws-use1", "bj-use1"


def topology(far: str | None) -> Topology:
    """One line from another region to ours, or none."""
    lines = {} if far is None else {LINE: LineOfTopology.model_construct(name=LINE, between=(far, AWAY), capacity=1e9)}
    return Topology.model_construct(
        regions={AWAY: Region.model_construct(name=AWAY)}, lines=lines, buckets={}, mounts={}
    )


def policy(quota: float) -> Policy:
    return Policy.model_construct(lines={LINE: LinePolicy.of_capacity(quota)}, cache=())


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[CacheApp]:
    faults: list[BaseException] = []
    settings = CacheAppSettings(AWAY, (tmp_path,), 1 << 30, 64 << 20, lambda _: None, faults.append)
    started = await CacheApp.start(settings)
    yield started
    await started.stop()
    assert not faults


async def test_a_line_taken_out_and_put_back_is_the_same_line_with_the_same_quota(app: CacheApp) -> None:
    app.adopt(topology(HOME), policy(100e6), 1)
    before = app.lines[LINE]
    app.adopt(topology(None), policy(100e6), 2)
    assert app.lines == {}

    app.adopt(topology(HOME), policy(50e6), 3)

    # What began before still crosses it: a second account beside the first would let twice the quota pass.
    assert app.lines[LINE] is before
    assert before.statistics().quota == pytest.approx(50e6)


async def test_a_line_that_now_comes_from_elsewhere_is_another_line(app: CacheApp) -> None:
    app.adopt(topology(HOME), policy(100e6), 1)
    before = app.lines[LINE]

    app.adopt(topology("gpu-7"), policy(100e6), 2)

    assert app.lines[LINE] is not before
    assert app.lines[LINE].direction == f"gpu-7>{AWAY}"
