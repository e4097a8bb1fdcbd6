"""Answers that bring no page are on the line too: lists and errors count as `meta`, to the byte."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from policy.model import LinePolicy
from regioncache.errors import BadAnswer, Refused, SlowDown
from regioncache.http.client import Answer, Ask, Base, Client
from regioncache.http.faults import ConnectFailed, NoTurn
from regioncache.http.messages import Buffer, Reply
from regioncache.http.server import Server
from regioncache.ledger import Ledger
from regioncache.lines.crossing import LineCrossing
from regioncache.lines.line import Line
from regioncache.origins.asking import mapped, meta_body, send
from regioncache.origins.base import Payer
from tests.fakes.ramp import ramp

pytestmark = pytest.mark.anyio

LIMIT = 1 << 20


@asynccontextmanager
async def asked(path: Path, reply: Reply, kind: str, length: int) -> AsyncIterator[tuple[Answer, LineCrossing, Ledger]]:
    """An answer that has come over a line; `length` is what it was expected to have at most."""
    server = Server(lambda _request: reply)
    host, port = await server.listen(("127.0.0.1", 0))
    client, ledger = Client(), Ledger.open(path / "ledger")
    line = Line("bj-use1", "idc-bj>aws-use1", LinePolicy.model_validate({"quota": "1Gbps"}), ledger)
    crossing = line.crossing(lambda: Payer("rec"), "train-bj", lambda: kind)
    try:
        answer = await send(client, Ask(Base("http", host, port), b"GET", b"/", []), crossing, length)
        yield answer, crossing, ledger
    finally:
        crossing.close()
        client.close()
        await server.stop(0.0)
        ledger.close()


def counted(ledger: Ledger) -> dict[str, int]:
    return {entry.kind: nbytes for entry, nbytes in ledger.totals().items() if nbytes}


async def pieces(body: bytes) -> AsyncIterator[Buffer]:
    for at in range(0, len(body), 50_000):
        yield body[at : at + 50_000]


@pytest.mark.parametrize("size", [0, 1, 300, 400_000])
async def test_a_list_counts_as_meta(tmp_path: Path, size: int):
    async with asked(tmp_path, Reply(200, body=ramp(0, size)), "meta", 0) as (answer, crossing, ledger):
        body = await meta_body(answer, crossing, LIMIT, "the bucket")
        crossing.close()

        assert body == ramp(0, size)
        assert counted(ledger) == ({"meta": size} if size else {})


@pytest.mark.parametrize("size", [1, 400_000])
async def test_an_answer_whose_length_is_not_told_counts_what_it_had(tmp_path: Path, size: int):
    async with (
        aclosing(pieces(ramp(0, size))) as stream,
        asked(tmp_path, Reply(200, stream=stream), "meta", 0) as (answer, crossing, ledger),
    ):
        body = await meta_body(answer, crossing, LIMIT, "the bucket")
        crossing.close()

        assert body == ramp(0, size)
        assert counted(ledger) == {"meta": size}


async def test_an_error_in_the_place_of_pages_counts_as_meta_and_credits_the_pages(tmp_path: Path):
    async with asked(tmp_path, Reply(503, body=ramp(0, 300)), "unique", 60_000) as (answer, crossing, ledger):
        await meta_body(answer, crossing, LIMIT, "the bucket")
        crossing.close()

        assert counted(ledger) == {"meta": 300}


async def test_a_body_beyond_the_limit_is_refused(tmp_path: Path):
    async with asked(tmp_path, Reply(404, body=ramp(0, 3000)), "meta", 0) as (answer, crossing, _ledger):
        with pytest.raises(BadAnswer, match="more than the 2000 bytes"):
            await meta_body(answer, crossing, 2000, "the bucket")
        answer.close()


async def test_a_body_without_a_told_length_is_refused_beyond_the_limit(tmp_path: Path):
    async with (
        aclosing(pieces(ramp(0, 400_000))) as stream,
        asked(tmp_path, Reply(404, stream=stream), "meta", 0) as (answer, crossing, _ledger),
    ):
        with pytest.raises(BadAnswer, match="more than the 100000 bytes"):
            await meta_body(answer, crossing, 100_000, "the bucket")
        answer.close()


def test_connections_that_are_all_in_use_say_nothing_about_the_far_end() -> None:
    assert type(mapped(NoTurn("all 256 connections are in use"), "the bucket")) is SlowDown
    assert type(mapped(ConnectFailed("nobody listens"), "the bucket")) is Refused
