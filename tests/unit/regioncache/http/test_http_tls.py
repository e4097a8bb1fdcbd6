"""TLS on the server's port and on the client's side: who is trusted, and what does not speak it."""

import ssl

import pytest

from regioncache.http.ask import Ask, Base
from regioncache.http.client import Client
from regioncache.http.faults import AnswerCutShort, ConnectFailed
from regioncache.http.messages import Reply, Request
from tests.fakes.http_ramp import RAMP, Serve, by_target, fetch

pytestmark = pytest.mark.anyio


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
