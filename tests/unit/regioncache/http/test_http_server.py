"""Server and client together, over sockets: bytes come through whole, plain and TLS, and stops are graceful."""

import asyncio
import datetime
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from regioncache.http.client import Ask, Base, Client
from regioncache.http.faults import AnswerCutShort, ConnectFailed
from regioncache.http.limits import ClientLimits, Limits
from regioncache.http.messages import Reply, Request
from regioncache.http.server import Server
from tests.fakes.clock import FakeClock, settle

pytestmark = pytest.mark.anyio

Serve = Callable[..., Awaitable[tuple[Server, int]]]
RAMP = bytes(range(251)) * 20_000


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(server's context, client's context that trusts it)."""
    certificate_file, key_file = certificate(tmp_path_factory.mktemp("tls"), "node")
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(certificate_file, key_file)
    return ours, ssl.create_default_context(cafile=str(certificate_file))


async def pieces(size: int, piece: int) -> AsyncIterator[memoryview]:
    """The ramp in pieces that share one buffer: it is overwritten as soon as the next piece is asked for."""
    buffer = bytearray(piece)
    for at in range(0, size, piece):
        part = RAMP[at : min(at + piece, size)]
        buffer[: len(part)] = part
        yield memoryview(buffer)[: len(part)]
        buffer[:] = bytes(piece)


def by_target(request: Request) -> Reply | Awaitable[Reply]:
    """`/size/piece`: a stream; `/size`: a whole body; `/echo`: what was sent."""
    if request.target == b"/echo":
        return echo(request)
    numbers = [int(part) for part in request.target.split(b"/")[1:]]
    if len(numbers) == 1:
        return Reply(200, body=memoryview(RAMP)[: numbers[0]])
    size, piece = numbers
    return Reply(200, stream=pieces(size, piece), length=None if request.header(b"x-chunked") else size)


async def echo(request: Request) -> Reply:
    return Reply(200, body=await request.body.read(len(RAMP)))


async def fetch(client: Client, base: Base, target: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    answer = await client.request(Ask(base, b"GET", target, headers))
    return await answer.body(len(RAMP))


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    "target", [b"/0", b"/1", b"/65536", b"/5000000", b"/1/1", b"/5000000/262144", b"/300000/999", b"/0/1"]
)
async def test_every_byte_comes_through(
    serve: Serve, tls: tuple[ssl.SSLContext, ssl.SSLContext], target: bytes, chunked: bool, secure: bool
) -> None:
    _, port = await serve(by_target, tls=tls[0] if secure else None)
    client = Client(tls=tls[1])
    base = Base("https" if secure else "http", "127.0.0.1", port)

    body = await fetch(client, base, target, ((b"x-chunked", b"1"),) if chunked else ())

    assert body == RAMP[: int(target.split(b"/")[1])]
    client.close()


@pytest.mark.parametrize("secure", [False, True])
async def test_a_large_body_is_taken_and_given_back(
    serve: Serve, tls: tuple[ssl.SSLContext, ssl.SSLContext], secure: bool
) -> None:
    _, port = await serve(by_target, tls=tls[0] if secure else None)
    client = Client(tls=tls[1])
    base = Base("https" if secure else "http", "127.0.0.1", port)

    answer = await client.request(Ask(base, b"PUT", b"/echo", (), RAMP))

    assert await answer.body(len(RAMP)) == RAMP
    client.close()


async def test_many_at_once_get_each_their_own(serve: Serve) -> None:
    server, port = await serve(by_target)
    client = Client()
    base = Base("http", "127.0.0.1", port)
    sizes = [number * 997 for number in range(200)]

    bodies = await asyncio.gather(*(fetch(client, base, b"/%d/%d" % (size, 10_000)) for size in sizes))

    assert [len(body) for body in bodies] == sizes
    assert all(body == RAMP[: len(body)] for body in bodies)
    assert server.statistics().requests == 200
    client.close()


async def test_pieces_may_be_overwritten_when_the_next_is_asked_for_even_if_the_reader_is_slow(serve: Serve) -> None:
    _, port = await serve(by_target)
    client = Client()
    answer = await client.request(
        Ask(Base("http", "127.0.0.1", port), b"GET", b"/5000000/262144", receive_buffer=16_384)
    )
    into = memoryview(bytearray(5000))

    received = bytearray()
    while got := await answer.receive(into):
        received += into[:got]
        await asyncio.sleep(0)

    assert received == RAMP[:5_000_000]
    client.close()


async def test_a_reader_that_is_merely_slow_is_never_cut_off(serve: Serve, clock: FakeClock) -> None:
    """It drains the kernel's megabytes for minutes, during which not one byte leaves the server's own buffer."""
    server, port = await serve(lambda request: Reply(200, body=RAMP * 6), Limits(write_seconds=10), clock=clock)
    loop = asyncio.get_running_loop()
    with socket.socket() as reader:
        reader.setblocking(False)
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        await loop.sock_connect(reader, ("127.0.0.1", port))
        await loop.sock_sendall(reader, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")

        for _ in range(60):
            left = 256 * 1024
            while left:
                got = await loop.sock_recv(reader, left)
                assert got, "the reader was cut off"
                left -= len(got)
            clock.advance(9)
            server.sweep()

    assert server.statistics().aborted == 0


async def test_a_client_that_closes_ends_its_stream(serve: Serve) -> None:
    closed = asyncio.Event()
    sent: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield RAMP
        finally:
            closed.set()

    _, port = await serve(lambda request: Reply(200, stream=endless(), length=1 << 40, done=sent.append))
    client = Client()
    answer = await client.request(Ask(Base("http", "127.0.0.1", port), b"GET", b"/"))

    answer.close()
    await asyncio.wait_for(closed.wait(), 10)

    assert len(sent) == 1
    assert sent[0] > 0
    client.close()


async def test_a_stream_that_fails_is_seen_as_cut_short(serve: Serve) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield RAMP[:1000]
        raise OSError("disk")

    faults: list[BaseException] = []
    _, port = await serve(
        lambda request: Reply(200, stream=failing(), length=2000), on_fault=lambda request, error: faults.append(error)
    )
    client = Client()
    answer = await client.request(Ask(Base("http", "127.0.0.1", port), b"GET", b"/"))

    with pytest.raises(AnswerCutShort):
        await answer.body(2000)

    assert [str(fault) for fault in faults] == ["disk"]
    client.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", b"431"),
        (b"PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\n" + bytes(9_000_000), b"413"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody", b"400"),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
    ],
)
async def test_a_refusal_reaches_a_client_that_is_still_sending(
    serve: Serve, request_bytes: bytes, status: bytes
) -> None:
    _, port = await serve(by_target)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    writer.write(request_bytes)
    answer = await reader.read()

    assert answer.startswith(b"HTTP/1.1 %b " % status)
    writer.close()


async def test_plain_bytes_on_a_tls_port_do_no_harm(serve: Serve, tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    _, port = await serve(by_target, tls=tls[0])
    client = Client(tls=tls[1])

    with pytest.raises(AnswerCutShort):
        await client.request(Ask(Base("http", "127.0.0.1", port), b"GET", b"/1"))

    assert await fetch(client, Base("https", "127.0.0.1", port), b"/1") == RAMP[:1]
    client.close()


async def test_tls_to_a_plain_port_is_a_failed_connect(
    serve: Serve, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    _, port = await serve(by_target)
    client = Client(tls=tls[1])

    with pytest.raises(ConnectFailed, match="TLS"):
        await client.request(Ask(Base("https", "127.0.0.1", port), b"GET", b"/1"))

    assert client.statistics().open == 0
    client.close()


async def test_a_certificate_that_nobody_signed_is_refused(
    serve: Serve, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    _, port = await serve(by_target, tls=tls[0])
    client = Client()

    with pytest.raises(ConnectFailed, match="certificate"):
        await client.request(Ask(Base("https", "127.0.0.1", port), b"GET", b"/1"))

    client.close()


async def test_tls_connections_are_kept_and_used_again(
    serve: Serve, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    server, port = await serve(by_target, tls=tls[0])
    client = Client(tls=tls[1])

    for _ in range(5):
        await fetch(client, Base("https", "127.0.0.1", port), b"/100000")

    assert (server.statistics().accepted, client.statistics().repeated) == (1, 0)
    client.close()


async def test_a_stop_lets_running_replies_finish_and_takes_no_more(serve: Serve) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Reply:
        begun.set()
        await go.wait()
        return Reply(200, body=RAMP)

    server, port = await serve(slow)
    client = Client(ClientLimits(idle_seconds=1000))
    base = Base("http", "127.0.0.1", port)
    idle = await client.connect(base, 0)
    asking = asyncio.create_task(fetch(client, base, b"/"))
    await begun.wait()

    stopping = asyncio.create_task(server.stop(30))
    await settle()
    with pytest.raises(ConnectFailed):
        await client.connect(base, 12_345)
    go.set()

    assert await asking == RAMP
    await stopping
    assert (server.statistics().open, server.statistics().aborted) == (0, 0)
    idle.close()
    client.close()


async def test_a_stop_cuts_off_what_outlives_its_grace(serve: Serve) -> None:
    ended: list[str] = []
    begun = asyncio.Event()

    async def never(request: Request) -> Reply:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("handler")
        return Reply(200)

    server, port = await serve(never)
    client = Client()
    asking = asyncio.create_task(fetch(client, Base("http", "127.0.0.1", port), b"/"))
    await begun.wait()

    await server.stop(0.01)

    assert (ended, server.statistics().open) == (["handler"], 0)
    with pytest.raises(AnswerCutShort):
        await asking
    client.close()


async def test_one_connection_more_than_allowed_gets_503(serve: Serve) -> None:
    _, port = await serve(by_target, Limits(connections=1))
    first, second = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]

    refusal = await second[0].read()

    assert refusal.startswith(b"HTTP/1.1 503 ")
    for _, writer in (first, second):
        writer.close()


async def test_the_request_knows_its_peer_and_whether_it_is_private(
    serve: Serve, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    seen: list[tuple[str, bool]] = []

    def note(request: Request) -> Reply:
        seen.append((request.client, request.tls))
        return Reply(200)

    _, plain = await serve(note)
    _, secure = await serve(note, tls=tls[0])
    client = Client(tls=tls[1])

    await fetch(client, Base("http", "127.0.0.1", plain), b"/")
    await fetch(client, Base("https", "127.0.0.1", secure), b"/")

    assert seen == [("127.0.0.1", False), ("127.0.0.1", True)]
    client.close()


@given(st.lists(st.integers(1, 4000), max_size=30), st.lists(st.integers(1, 3000), min_size=1, max_size=5))
async def test_chunks_of_any_size_are_received_whole_into_memory_of_any_size(
    sizes: list[int], memory: list[int]
) -> None:
    async def stream() -> AsyncIterator[bytes]:
        at = 0
        for size in sizes:
            yield RAMP[at : at + size]
            at += size

    server = Server(lambda request: Reply(200, stream=stream()))
    _, port = await server.listen(("127.0.0.1", 0))
    client = Client()

    answer = await client.request(Ask(Base("http", "127.0.0.1", port), b"GET", b"/"))
    received, turn = b"", 0
    while got := await answer.receive(into := memoryview(bytearray(memory[turn % len(memory)]))):
        received += into[:got]
        turn += 1

    assert received == RAMP[: sum(sizes)]
    client.close()
    await server.stop(0)
