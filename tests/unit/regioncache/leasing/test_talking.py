"""When a node reports to the office: what others wait for is said at once."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policy.leases.messages import Grant, LeaseId, Safe
from regioncache.leasing import talking
from regioncache.leasing.finding import Place
from regioncache.leasing.holder import Leaseholder
from regioncache.leasing.proto import leases_pb2 as pb
from regioncache.leasing.talking import Talking
from regioncache.leasing.wire import Granted, answer_message
from regioncache.ledger import Ledger
from regioncache.lines.line import Line
from tests.fakes.alarms import Alarms
from tests.fakes.hearing import Heard
from tests.fakes.scheduling import policy

pytestmark = pytest.mark.anyio
NEVER = 3600.0
RATES = [8e6, 4e6, 6e6]


class Answering:
    """An office's end: each report is answered by the next grant; once there are no more the node is left alone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.echoed: list[int] = []
        self.full = asyncio.Event()
        self._answers: asyncio.Queue[pb.FromOffice] = asyncio.Queue()
        self._answers.put_nowait(answer_message(None, 3))
        self._monkeypatch = monkeypatch

    def reached(self, _address: str) -> Any:
        return self

    def talk(self, _method: object) -> "Answering":
        return self

    async def __aenter__(self) -> "Answering":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def close(self) -> None:
        return None

    async def send(self, message: pb.FromNode, _seconds: float) -> None:
        if message.WhichOneof("what") != "report":
            return
        report = message.report
        self.echoed.append(report.held.number)
        # From the second report on nothing but what is said at once is said.
        self._monkeypatch.setattr(talking, "REPORT_GAP_SECONDS", NEVER if len(self.echoed) > 1 else 0.0)
        if (number := len(self.echoed)) <= len(RATES):
            grant = Grant("cache-1", 7, LeaseId(3, number), report.sent, RATES[number - 1], 8e4, {}, Safe(), 30.0, 60.0)
            self._answers.put_nowait(answer_message(Granted(grant, 0.0, 0.0), 3))
        if number == len(RATES):
            self.full.set()

    async def receive(self, _seconds: float) -> pb.FromOffice:
        return await self._answers.get()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Leaseholder]:
    alarms, heard, ledger = Alarms(), Heard(), Ledger.open(tmp_path / "ledger")
    line = Line("bj-use1", "idc-bj>aws-use1", policy(), ledger, alarms, later=alarms.later, leased=True)
    yield Leaseholder(line, "cache-1", "idc-bj", alarms, alarms, heard.tidings())
    ledger.close()


class Found:
    async def find(self) -> Place:
        return Place("office:9300")


async def test_a_grant_that_lets_less_is_echoed_at_once_however_lately_a_report_was_sent(
    holder: Leaseholder, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Answering(monkeypatch)
    talk = Talking(holder, Found(), office.reached, lambda: 7, Alarms(), lambda fault: None)
    running = asyncio.create_task(talk.run())

    await asyncio.wait_for(office.full.wait(), 10)
    running.cancel()
    await asyncio.wait({running})

    assert office.echoed == [0, 1, 2]
