"""Calls between a server and a client of ours, over loopback: answers, streams, faults by the table, TLS."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from google.protobuf.wrappers_pb2 import BytesValue, StringValue

from namespace.rpc.calling import Remote
from namespace.rpc.channels import RpcLimits, RpcTls
from namespace.rpc.faults import (
    Absent,
    Broken,
    Conflicting,
    Forbidden,
    Full,
    NotHere,
    NotSpoken,
    RpcFault,
    TooSlow,
    Unreachable,
    Untrusted,
    Wrong,
)
from namespace.rpc.methods import Feed, Talk, Unary
from namespace.rpc.serving import AddressTaken, Caller, RpcServer, Service
from namespace.rpc.signing import Signer, Trust
from tests.real.lab.certificates import certificate

pytestmark = pytest.mark.anyio

NAME = "causeway.test.Echo"
SAY = Unary(NAME, "Say", StringValue, StringValue)
COUNT = Feed(NAME, "Count", StringValue, StringValue)
CHAT = Talk(NAME, "Chat", StringValue, StringValue)
SECRET = "secret-of-bj-and-use1"
NOW = 1_700_000_000.0


class Echo:
    """Says back who said what; fails as told."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.waits = asyncio.Event()
        self.left = asyncio.Event()

    async def say(self, question: StringValue, caller: Caller) -> StringValue:
        if self.fault is not None:
            raise self.fault
        if question.value == "wait":
            await self.waits.wait()
        return StringValue(value=f"{caller.region}:{question.value}")

    async def count(self, question: StringValue, caller: Caller) -> AsyncIterator[StringValue]:
        try:
            for number in range(int(question.value)):
                yield StringValue(value=str(number))
            if self.fault is not None:
                raise self.fault
            await self.waits.wait()
        finally:
            self.left.set()

    async def chat(self, questions: AsyncIterator[StringValue], caller: Caller) -> AsyncIterator[StringValue]:
        async for one in questions:
            yield StringValue(value=f"{caller.region}:{one.value}")

    @property
    def service(self) -> Service:
        service = Service(NAME)
        service.unary(SAY, self.say)
        service.feed(COUNT, self.count)
        service.talk(CHAT, self.chat)
        return service


class World:
    def __init__(self, echo: Echo, port: int, faults: list[tuple[str, BaseException]]) -> None:
        self.echo, self.port, self.faults = echo, port, faults

    def remote(self, secret: str = SECRET, wall: float = NOW, limits: RpcLimits | None = None) -> Remote:
        signer = Signer("idc-bj", "aws-use1", secret)
        return Remote(f"127.0.0.1:{self.port}", signer, limits=limits, wall=lambda: wall)


@asynccontextmanager
async def serving(tls: RpcTls | None = None) -> AsyncIterator[World]:
    echo, faults = Echo(), list[tuple[str, BaseException]]()
    trust = Trust("aws-use1", {"idc-bj": SECRET}.get)
    server = RpcServer([echo.service], trust, lambda path, fault: faults.append((path, fault)), wall=lambda: NOW)
    port = await server.start("127.0.0.1:0", tls)
    try:
        yield World(echo, port, faults)
    finally:
        await server.stop(0.0)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with serving() as running:
        yield running


@pytest.fixture
async def remote(world: World) -> AsyncIterator[Remote]:
    made = world.remote()
    yield made
    await made.close()


async def test_a_question_is_answered_and_the_caller_is_known(remote: Remote) -> None:
    assert (await remote.ask(SAY, StringValue(value="hello"), 10.0)).value == "idc-bj:hello"


async def test_answers_come_in_order_until_we_leave(world: World, remote: Remote) -> None:
    async with remote.feed(COUNT, StringValue(value="3")) as answers:
        seen = [await answers.receive() for _ in range(3)]

    assert [one.value for one in seen if one is not None] == ["0", "1", "2"]
    await world.echo.left.wait()


async def test_a_wait_for_an_answer_that_was_given_up_loses_nothing(world: World, remote: Remote) -> None:
    async with remote.talk(CHAT) as both:
        with pytest.raises(TooSlow, match="silent"):
            await both.receive(0.0)
        waiting = asyncio.create_task(both.receive())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await both.send(StringValue(value="hello"), 10.0)
        answer = await both.receive()

    assert answer is not None
    assert answer.value == "idc-bj:hello"


@pytest.mark.parametrize("kind", [Absent, Broken, Conflicting, Forbidden, Full, NotHere, NotSpoken, Untrusted, Wrong])
async def test_a_fault_arrives_as_what_it_was(world: World, remote: Remote, kind: type[RpcFault]) -> None:
    world.echo.fault = kind("revision 7 came between", {"revision": "7", "author": "Zoë"})

    with pytest.raises(kind, match="revision 7 came between") as told:
        await remote.ask(SAY, StringValue(value="hello"), 10.0)

    assert type(told.value) is kind
    assert told.value.fields == {"revision": "7", "author": "Zoë"}
    assert world.faults == []


async def test_a_fault_in_a_stream_comes_after_what_was_said_before(world: World, remote: Remote) -> None:
    world.echo.fault = Conflicting("another came")

    async with remote.feed(COUNT, StringValue(value="1")) as answers:
        assert await answers.receive() == StringValue(value="0")
        with pytest.raises(Conflicting, match="another came"):
            await answers.receive()


async def test_a_fault_of_the_program_is_told_here_and_not_there(world: World, remote: Remote) -> None:
    world.echo.fault = ZeroDivisionError("private")

    with pytest.raises(Broken) as told:
        await remote.ask(SAY, StringValue(value="hello"), 10.0)

    assert "private" not in str(told.value)
    assert [(path, type(fault)) for path, fault in world.faults] == [(SAY.path, ZeroDivisionError)]


@pytest.mark.parametrize("how", ["ask", "feed", "talk"])
async def test_a_call_by_a_wrong_secret_is_refused_whatever_its_kind(world: World, how: str) -> None:
    stranger = world.remote(secret="another secret of 16")
    ways: dict[str, Callable[[], object]] = {
        "feed": lambda: stranger.feed(COUNT, StringValue(value="1")).receive(),
        "talk": lambda: stranger.talk(CHAT).receive(),
        "ask": lambda: stranger.ask(SAY, StringValue(value="hello"), 10.0),
    }

    with pytest.raises(Untrusted, match="both sides need the same secret"):
        await ways[how]()  # type: ignore[misc]
    await stranger.close()


async def test_a_clock_that_is_two_days_off_is_named(world: World) -> None:
    late = world.remote(wall=NOW - 172_800)

    with pytest.raises(Untrusted, match="172800 s apart"):
        await late.ask(SAY, StringValue(value="hello"), 10.0)
    await late.close()


async def test_nobody_there_is_unreachable() -> None:
    async with serving() as world:
        port = world.port
    gone = Remote(f"127.0.0.1:{port}", None)

    with pytest.raises(Unreachable, match=f"127.0.0.1:{port}"):
        await gone.ask(SAY, StringValue(value="hello"), 10.0)
    await gone.close()


async def test_an_answer_that_does_not_come_is_too_slow(remote: Remote) -> None:
    with pytest.raises(TooSlow):
        await remote.ask(SAY, StringValue(value="wait"), 0.05)


async def test_an_unknown_method_is_told_as_such(remote: Remote) -> None:
    with pytest.raises(NotSpoken):
        await remote.ask(Unary(NAME, "Sing", StringValue, StringValue), StringValue(), 10.0)


async def test_a_message_above_the_bound_is_refused(world: World) -> None:
    small = world.remote(limits=RpcLimits(message_bytes=1024))

    with pytest.raises(Full):
        await small.ask(Unary(NAME, "Say", BytesValue, StringValue), BytesValue(value=bytes(4096)), 10.0)
    await small.close()


async def test_an_address_that_is_taken_is_named(world: World) -> None:
    second = RpcServer([world.echo.service], None, lambda path, fault: None)

    with pytest.raises(AddressTaken, match=f"127.0.0.1:{world.port}"):
        await second.start(f"127.0.0.1:{world.port}")
    await second.stop(0.0)


async def test_both_ends_may_want_certificates(tmp_path: Path) -> None:
    made = certificate(tmp_path)
    cert, key = made.cert.read_bytes(), made.key.read_bytes()
    async with serving(RpcTls(ca=cert, cert=cert, key=key)) as world:
        signer = Signer("idc-bj", "aws-use1", SECRET)
        known = Remote(f"127.0.0.1:{world.port}", signer, RpcTls(cert, cert, key), wall=lambda: NOW)
        unknown = Remote(f"127.0.0.1:{world.port}", signer, RpcTls(cert), wall=lambda: NOW)

        assert (await known.ask(SAY, StringValue(value="hello"), 10.0)).value == "idc-bj:hello"
        with pytest.raises(Unreachable):
            await unknown.ask(SAY, StringValue(value="hello"), 10.0)
        await known.close()
        await unknown.close()
