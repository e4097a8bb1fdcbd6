"""10,000 connections of strangers that ask for nothing: clients are served beside them, in bounded memory."""

import contextlib
import errno
import resource
import socket
import ssl
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.bench.stage import own_region
from tests.fakes.ramp import ramp
from tests.real.conftest import Note
from tests.real.lab.certificates import certificate
from tests.real.lab.nodes import Node, Place, node
from tests.real.lab.regions import BUCKET, HOME, credentials
from tests.real.lab.s3 import versitygw

pytestmark = pytest.mark.real
KIB, MIB = 1 << 10, 1 << 20
STRANGERS = 10_000
SIZE = 300_000
OF_CONNECTIONS, OF_HANDSHAKES = 64 * MIB, 128 * MIB
"""A connection takes some 4 KiB, of which there are 4,096; one that shakes hands some 64 KiB, 1,024 of them."""
LOW = ["sh", "-c", 'ulimit -n 2048 && exec "$@"', "sh"]
"""Far fewer descriptors than there are strangers."""


@pytest.fixture(autouse=True)
def many_sockets() -> Iterator[None]:
    """This process holds the strangers' ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < STRANGERS + 500:
        pytest.skip(f"this process may open {hard} files, the test wants {STRANGERS + 500}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, STRANGERS + 500), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def serving(directory: Path, *, tls: bool, before: Sequence[str] = ()) -> Iterator[tuple[Node, str]]:
    """A node that has an object in its cache, and a presigned URL of it."""
    with versitygw(directory) as store:
        origin = store.client()
        origin.create_bucket(Bucket=BUCKET)
        origin.put_object(Bucket=BUCKET, Key="k", Body=ramp(0, SIZE))
        place = Place(HOME, directory / HOME, tls=certificate(directory) if tls else None)
        with node(place, env=credentials(), before=before) as running:
            running.apply(own_region(store.url))
            client = running.client(running.key("reader", "rec", "/ns/data"))
            assert client.get_object(Bucket="data", Key="k")["Body"].read() == ramp(0, SIZE)
            yield running, client.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "k"})


@contextlib.contextmanager
def strangers(port: int, say: bytes = b"") -> Iterator[list[socket.socket]]:
    """So many connections begun, which say no more than that."""
    begun = []
    try:
        for _ in range(STRANGERS):
            one = socket.socket()
            begun.append(one)
            one.setblocking(False)
            if one.connect_ex(("127.0.0.1", port)) not in {0, errno.EINPROGRESS}:
                raise ConnectionError("a stranger could not come")
            if say:
                with contextlib.suppress(OSError):
                    one.send(say)
        yield begun
    finally:
        for one in begun:
            one.close()


def fetch(url: str, running: Node) -> bytes:
    """What a client gets over a connection of its own."""
    tls = running.place.tls
    context = None if tls is None else ssl.create_default_context(cafile=str(tls.cert))
    with urllib.request.urlopen(url, context=context, timeout=60) as reply:
        body: bytes = reply.read()
    return body


@pytest.mark.parametrize(
    ("tls", "before"),
    [(False, ()), (False, LOW), (True, ())],
    ids=["http", "http, few descriptors", "https"],
)
def test_clients_are_served_beside_strangers_who_hold_connections(
    tmp_path: Path, tls: bool, before: Sequence[str], note: Note
) -> None:
    with serving(tmp_path, tls=tls, before=before) as (running, url):
        idle = running.process.resident_bytes()
        with strangers(running.place.s3_port):
            for _ in range(20):
                assert fetch(url, running) == ramp(0, SIZE)
            grown = running.process.peak_bytes() - idle
            assert running.process.log.read_bytes().count(b"Traceback") == 0

        bound = OF_HANDSHAKES if tls else OF_CONNECTIONS
        what = f"{STRANGERS} idle connections, {'https' if tls else 'http'}, {'2048' if before else 'many'} descriptors"
        note(what, f"{grown / MIB:.0f} MiB more", f"<= {bound // MIB} MiB")
        assert grown <= bound
        assert fetch(url, running) == ramp(0, SIZE)


def test_clients_are_served_beside_strangers_who_dawdle_over_their_heads(tmp_path: Path, note: Note) -> None:
    with serving(tmp_path, tls=False, before=LOW) as (running, url):
        idle = running.process.resident_bytes()
        with strangers(running.place.s3_port, b"GET /ns/data/k HTTP/1.1\r\nHo"):
            for _ in range(20):
                assert fetch(url, running) == ramp(0, SIZE)
            grown = running.process.peak_bytes() - idle

        note(f"{STRANGERS} half heads", f"{grown / MIB:.0f} MiB more", f"<= {OF_CONNECTIONS // MIB} MiB")
        assert grown <= OF_CONNECTIONS


def test_the_admin_port_answers_beside_strangers_at_it(tmp_path: Path) -> None:
    with serving(tmp_path, tls=False, before=LOW) as (running, url), strangers(running.place.admin_port):
        assert running.metric("causeway_requests_total", operation="GetObject", code="200") == 1
        assert "ready" in running.cli("status")
        assert fetch(url, running) == ramp(0, SIZE)
        assert running.metric("causeway_connections", door="admin") <= 256
