"""A running node follows its certificates: the doors stay open, connections go on, and status and metrics say it."""

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
import yaml

from gateway.admin.exposition import Exposition
from gateway.app import Node
from gateway.config import parse
from gateway.tls import Watch
from regioncache.tidings import UNHEARD
from tests.fakes.certificates import write_certificate

pytestmark = pytest.mark.anyio
PAST = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=3)
DOORS = ("s3", "admin")


@asynccontextmanager
async def node(folder: Path) -> AsyncIterator[Node]:
    """A node whose S3 door and admin port have the certificate in `folder`."""
    tls = {"cert": "cert.pem", "key": "key.pem"}
    listen = {door: {"address": "127.0.0.1:0", "tls": tls} for door in DOORS} | {"peer": "127.0.0.1:0"}
    value = {"region": "here", "memory": "64MiB", "listen": listen, "cache": {"paths": ["cache"], "size": "1GiB"}}
    running = await Node.start(parse(yaml.safe_dump(value), "node.yaml", folder))
    try:
        yield running
    finally:
        await running.stop(1.0)


class Talk:
    """One connection over TLS that trusts whatever it is shown."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def with_door(cls, running: Node, door: str) -> "Talk":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        at = running.running.addresses[door]
        return cls(*await asyncio.open_connection(at.host, at.port, ssl=context))

    @property
    def shown(self) -> bytes:
        """The certificate of the other side."""
        shown = self.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        assert isinstance(shown, bytes)
        return shown

    async def ask(self) -> int:
        """Asks for something small and returns the status of the reply."""
        self.writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await self.reader.readexactly(length)
        return int(head.split(b" ")[1])

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


ANSWER = {"s3": 403, "admin": 200}


async def test_a_renewed_certificate_is_shown_at_both_doors_and_connections_under_way_go_on(tmp_path: Path) -> None:
    write_certificate(tmp_path, "old")
    async with node(tmp_path) as running:
        before = {door: await Talk.with_door(running, door) for door in DOORS}
        write_certificate(tmp_path, "new")
        Watch(running.running.certificates, UNHEARD, running.running.wall).look()

        for door, talk in before.items():
            after = await Talk.with_door(running, door)
            assert after.shown != talk.shown
            assert [await after.ask(), await talk.ask()] == [ANSWER[door], ANSWER[door]]
            await after.close()
            await talk.close()


async def test_a_broken_pair_keeps_the_doors_open_and_is_a_fault_in_the_status(tmp_path: Path) -> None:
    write_certificate(tmp_path, "old")
    async with node(tmp_path) as running:
        assert not [fault for fault in running.operations.status().faults if "certificate" in fault]
        (tmp_path / "key.pem").write_text("half a k")
        Watch(running.running.certificates, UNHEARD, running.running.wall).look()

        for door in DOORS:
            talk = await Talk.with_door(running, door)
            assert await talk.ask() == ANSWER[door]
            await talk.close()
        faults = [fault for fault in running.operations.status().faults if "cannot be used" in fault]
        assert len(faults) == 2
        assert "key.pem" in faults[0]


async def test_a_certificate_that_has_expired_serves_on_aloud(tmp_path: Path) -> None:
    write_certificate(tmp_path, "old", until=PAST)
    with structlog.testing.capture_logs() as logs:
        async with node(tmp_path) as running:
            for door in DOORS:
                talk = await Talk.with_door(running, door)
                assert await talk.ask() == ANSWER[door]
                await talk.close()
            status, text = running.operations.status(), Exposition(running.operations.metrics).text().decode()

    warned = [log["event"] for log in logs if log["log_level"] == "warning" and "certificate" in log["event"]]
    assert [text.partition(" door")[0] for text in warned] == [f"the certificate of the {door}" for door in DOORS]
    assert all("expired 3 days ago" in text or "expired 2 days ago" in text for text in warned)
    assert len([fault for fault in status.faults if "expired" in fault]) == 2
    for door in DOORS:
        sample = f'causeway_certificate_expiry_timestamp_seconds{{door="{door}"}} '
        assert float(text.partition(sample)[2].partition("\n")[0]) == int(PAST.timestamp())
