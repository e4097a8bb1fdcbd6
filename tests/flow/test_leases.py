"""Nodes of one region share a line by the leases of the other region's office: over loopback, in one process."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from namespace.rpc.calling import Remote
from namespace.rpc.channels import RpcTls
from namespace.rpc.faults import Forbidden, NotHere, RpcFault, Untrusted, Wrong
from namespace.rpc.signing import Signer
from policy.leases.messages import NO_LEASE, Report
from regioncache.leasing.methods import HOLD
from regioncache.leasing.proto import leases_pb2 as pb
from regioncache.leasing.wire import report_message
from regioncache.origins.base import Payer
from tests.fakes.certificates import Authority
from tests.fakes.leased_nodes import DIRECTION, FAR, LINE, NEAR, SECRET, OfficeNode, Sum, leased_nodes

pytestmark = pytest.mark.anyio
QUOTA = 25_000_000.0
BURST = 262_144.0
REC = Payer("rec")
PATIENCE_SECONDS = 60.0


async def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < ends, "it did not come"
        await asyncio.sleep(0.02)


async def test_nodes_that_all_read_share_the_quota_and_are_never_above_it_together(tmp_path: Path) -> None:
    async with leased_nodes(tmp_path) as (_, nodes):
        total = Sum(nodes, QUOTA)
        for node in nodes:
            node.read(REC)
        await until(lambda: all(node.rate > QUOTA / 4 for node in nodes))
        await until(lambda: total.total > QUOTA)
        await total.stop()

        assert total.excess <= BURST
        assert sum(node.rate for node in nodes) <= QUOTA


async def test_the_room_of_a_node_that_stops_reading_goes_to_those_that_read(tmp_path: Path) -> None:
    async with leased_nodes(tmp_path) as (_, nodes):
        total = Sum(nodes, QUOTA)
        for node in nodes:
            node.read(REC)
        await until(lambda: all(node.rate > QUOTA / 4 for node in nodes))

        await nodes[0].rest()
        await until(lambda: nodes[1].rate > 0.4 * QUOTA and nodes[2].rate > 0.4 * QUOTA)
        nodes[0].read(REC)
        await until(lambda: nodes[0].rate > QUOTA / 4)
        await total.stop()

        assert total.excess <= BURST


async def test_a_node_that_leaves_frees_its_room_at_once(tmp_path: Path) -> None:
    async with leased_nodes(tmp_path, count=2) as (office, nodes):
        for node in nodes:
            node.read(REC)
        await until(lambda: all(node.rate > 0.4 * QUOTA for node in nodes))

        await nodes[0].leasing.stop()

        assert nodes[0].line.allowed is not None
        assert nodes[0].line.allowed.rate == 0
        await until(lambda: nodes[1].rate > 0.9 * QUOTA)
        assert office.leasing is not None
        assert list(office.leasing.offices()[LINE].statistics()[DIRECTION].nodes) == ["cache-1"]


async def test_an_office_that_is_begun_again_has_a_higher_epoch_and_nodes_go_on(tmp_path: Path) -> None:
    async with leased_nodes(tmp_path) as (office, nodes):
        total = Sum(nodes, QUOTA)
        for node in nodes:
            node.read(REC)
        await until(lambda: all(node.rate > QUOTA / 4 for node in nodes))
        before = nodes[0].leasing.statistics()[LINE].epoch

        await office.kill()
        await office.open()
        await until(lambda: all(node.leasing.statistics()[LINE].epoch > before for node in nodes))
        await total.stop()

        assert total.excess <= BURST
        assert all(node.state == "leased" for node in nodes)


async def test_the_process_that_follows_a_killed_one_of_its_name_gets_its_room(tmp_path: Path) -> None:
    async with leased_nodes(tmp_path, count=1) as (office, nodes):
        nodes[0].read(REC)
        await until(lambda: nodes[0].rate > 0.9 * QUOTA)
        for held in nodes[0].leasing._held.values():
            held.talking._process = lambda: 2
            held.holder.restart(2)

        await until(lambda: nodes[0].rate > 0.9 * QUOTA)

        assert office.leasing is not None
        counted = office.leasing.offices()[LINE].statistics()[DIRECTION].counted
        assert counted <= QUOTA


def remote(office: OfficeNode, region: str = NEAR, secret: str = SECRET) -> Remote:
    return Remote(f"127.0.0.1:{office.port}", Signer(region, FAR, secret))


async def said(office: OfficeNode, *messages: pb.FromNode, **who: str) -> RpcFault | None:
    """The fault by which the office ends a talk; None: it answers each message."""
    asked = remote(office, **who)
    try:
        async with asked.talk(HOLD) as talked:
            for message in messages:
                await talked.send(message, PATIENCE_SECONDS)  # type: ignore[attr-defined]
                await talked.receive(PATIENCE_SECONDS)
    except RpcFault as fault:
        return fault
    finally:
        await asked.close()
    return None


def hello(line: str = LINE, direction: str = DIRECTION) -> pb.FromNode:
    return pb.FromNode(hello=pb.Hello(line=line, direction=direction))


async def test_the_office_answers_those_at_the_other_end_of_its_line_alone(tmp_path: Path) -> None:
    async with leased_nodes(tmp_path, count=0) as (office, _):
        stranger = Report("cache-9", 1, 1, 0.0, {}, 0.0, NO_LEASE)

        assert await said(office, hello(), report_message(stranger)) is None
        assert isinstance(await said(office, hello(), region="gpu-7"), Forbidden)
        assert isinstance(await said(office, hello(), secret="another secret of both"), Untrusted)
        assert isinstance(await said(office, hello("no-such-line")), Forbidden)
        assert isinstance(await said(office, hello(direction="aws-use1>idc-bj")), Wrong)
        assert isinstance(await said(office, report_message(stranger)), Wrong)
        assert isinstance(await said(office, hello(), hello()), Wrong)


async def test_who_asks_a_node_that_is_not_in_office_is_told_so(tmp_path: Path) -> None:
    async with leased_nodes(tmp_path, count=0) as (office, _):
        assert office.leasing is not None
        office.leasing._offices.clear()

        fault = await said(office, hello())

        assert isinstance(fault, NotHere)
        assert "ask where it is" in str(fault)


async def test_nodes_hold_leases_of_an_office_whose_control_port_has_a_certificate(tmp_path: Path) -> None:
    Authority("nodes").write(tmp_path, "bj-1")
    ca, cert, key = ((tmp_path / name).read_bytes() for name in ("ca.pem", "peer.pem", "peer.key"))
    async with leased_nodes(tmp_path, 1, RpcTls(cert=cert, key=key), RpcTls(ca=ca)) as (_, nodes):
        nodes[0].read(REC)
        await until(lambda: nodes[0].rate > 0.9 * QUOTA)


async def test_an_office_with_a_certificate_that_nobody_signed_is_not_believed(tmp_path: Path) -> None:
    Authority("nodes").write(tmp_path, "bj-1")
    cert, key = ((tmp_path / name).read_bytes() for name in ("peer.pem", "peer.key"))
    async with leased_nodes(tmp_path, 1, RpcTls(cert=cert, key=key)) as (_, nodes):
        await until(lambda: nodes[0].leasing.fault(LINE) != "")

        assert nodes[0].state == "none"
