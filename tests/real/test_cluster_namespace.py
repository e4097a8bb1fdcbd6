"""One namespace over all regions' nodes: what is said at one node is so at every other, near and far."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.real.conftest import Note
from tests.real.lab.federation import THREE_REGIONS, Federation, Machine, federation
from tests.real.lab.load import load
from tests.real.lab.reads import Read, Thing
from tests.real.lab.sign import Keys

pytestmark = [pytest.mark.real, pytest.mark.root, pytest.mark.timeout(240)]
THING = Thing("one", 100_000, 3)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with federation(tmp_path_factory.mktemp("namespace"), replace(THREE_REGIONS, service=True)) as made:
        made.put([THING])
        yield made


def everywhere(running: Federation) -> list[Machine]:
    return [machine for cluster in running.clusters.values() for machine in cluster.machines]


def answer(running: Federation, at: Machine, key: Keys) -> int:
    """The status of one read with a key."""
    netns = running.clusters[at.place.region].readers.netns
    one = Read(THING, 0, THING.size, True).get(at.address, key)
    (status,) = load(at.address, [one], running.directory, netns=netns).statuses
    return status


def until_all(running: Federation, key: Keys, wanted: int) -> float:
    """Asks all nodes until each answers so; returns the seconds until the last did."""
    begun, left = time.monotonic(), everywhere(running)
    while left:
        left = [machine for machine in left if answer(running, machine, key) != wanted]
        assert time.monotonic() < begun + 60, [machine.address for machine in left]
    return time.monotonic() - begun


def test_a_key_made_at_one_node_opens_all_regions_and_once_revoked_none(running: Federation, note: Note) -> None:
    first = running.home.machines[0].node
    key = first.key("passing", "rec", "/ns/data")

    opened = until_all(running, key, 200)
    running.clusters["gpu-7"].machines[0].node.cli("keys", "rm", "passing")
    shut = until_all(running, key, 403)

    note("a key at 6 nodes of 3 regions", f"opens all in {opened:.1f} s, none {shut:.1f} s after it is revoked", "5 s")


def test_a_revision_applied_in_one_region_is_in_force_at_every_node(running: Federation) -> None:
    gpu = running.clusters["gpu-7"].machines[0].node
    changed = running.topology()
    changed["mounts"]["/ns/again"] = {"bucket": "data-bj"}
    gpu.apply(changed, running.policy())

    give_up = time.monotonic() + 60
    for machine in everywhere(running):
        while "/ns/again" not in machine.node.cli("ls", "/ns"):
            assert time.monotonic() < give_up, machine.address


def test_a_node_that_starts_while_the_service_is_away_serves_what_it_knew(running: Federation) -> None:
    assert running.service is not None
    machine = running.clusters["gpu-7"].machines[0]
    assert answer(running, machine, running.key) == 200
    running.service.stop()
    machine.kill()
    machine.start()
    machine.node.process.wait_until(machine.node.ready)

    seen = answer(running, machine, running.key)
    running.service.start()

    assert seen == 200
