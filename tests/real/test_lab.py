"""The laboratory itself: what it counts, delays and leaves behind."""

import contextlib
import http.client
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.demo.httpcount import FRAME, Connection, NotHttp
from tests.fakes.ramp import ramp
from tests.real.lab.load import get, list_all, load, loading
from tests.real.lab.longline import long_line
from tests.real.lab.proxy import counting_proxy
from tests.real.lab.proxyprocess import PIECE_BYTES
from tests.real.lab.s3 import S3Server, versitygw
from tests.real.lab.sign import Keys

pytestmark = pytest.mark.real
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with versitygw(tmp_path_factory.mktemp("store")) as server:
        server.client().create_bucket(Bucket="data")
        for n in range(20):
            server.client().put_object(Bucket="data", Key=f"k/{n:02}", Body=ramp(0, 100_000, n))
        server.put_sparse("data", "big", 10 * 1024 * MIB, (9 * 1024 * MIB, 9 * 1024 * MIB + 5000))
        yield server


def keys_of(store: S3Server) -> Keys:
    return Keys(store.access, store.secret)


def request(method: str = "GET", target: str = "/b/k") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def frame(kind: int, offset: int, data: bytes) -> bytes:
    body = FRAME.pack(kind, 0, 0, len(data), offset, 0, 0) + data
    return b"%x\r\n" % len(body) + body + b"\r\n"


FRAMED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + frame(0, 0, b"")
    + frame(1, 0, b"a" * 70_000)
    + frame(1, 70_000, b"b" * 5)
    + frame(2, 0, b"")
    + b"0\r\n\r\n"
)


@pytest.mark.parametrize("piece", [1, 2, 7, 31, 1000, 1 << 20])
def test_only_frames_of_bytes_are_payload_however_the_stream_is_cut(piece: int):
    counter = Connection(frames=True)
    stream = FRAMED + b"HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\n0123456789"
    counter.up(request() + request(target="/none"), 1.0)

    seen = sum(counter.down(stream[at : at + piece], 2.0) for at in range(0, len(stream), piece))

    assert seen == 70_005 + 10
    assert [(one.status, one.form, one.payload, one.whole) for one in counter.exchanges] == [
        (200, "frames", 70_005, True),
        (404, "length", 10, True),
    ]


def test_answers_to_head_and_not_modified_have_no_payload():
    counter = Connection(frames=False)
    counter.up(request("HEAD") + request() + request(), 1.0)

    seen = counter.down(
        b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"
        b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
        2.0,
    )

    assert seen == 3
    assert [one.whole for one in counter.exchanges] == [True, True, True]


def test_a_chunk_that_is_not_one_frame_is_refused():
    counter = Connection(frames=True)
    counter.up(request(), 1.0)
    with pytest.raises(NotHttp, match="does not hold one frame"):
        counter.down(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n30\r\n" + b"x" * 48, 2.0)


def test_the_proxy_counts_exactly_what_the_readers_read(store: S3Server, tmp_path: Path):
    with counting_proxy(store.address, tmp_path) as proxy:
        gets = [get(proxy.address, "data", f"k/{n:02}", keys_of(store), size=100_000, shift=n) for n in range(20)]

        seen = load(proxy.address, gets * 5, tmp_path, connections=8)

        report = proxy.report()
    assert seen.faults == ()
    assert seen.statuses == {200: 100}
    assert report.payload == seen.bytes == 100 * 100_000
    assert report.accepted == 8
    assert sum(payload for _, _, payload in report.timeline) == report.payload
    assert report.most_in(60.0) == report.payload


def test_the_proxy_counts_from_a_reset_on_over_connections_that_are_kept(store: S3Server, tmp_path: Path):
    with counting_proxy(store.address, tmp_path) as proxy:
        kept = http.client.HTTPConnection(proxy.address)
        one = get(proxy.address, "data", "k/01", keys_of(store), size=100_000, shift=1)
        for again in (False, True):
            if again:
                proxy.reset()
            kept.request("GET", one.target, headers=one.headers)
            kept.getresponse().read()

        report = proxy.report()
        kept.close()
    assert report.payload == report.payload_of("GET", "k/01") == 100_000


def test_a_sparse_object_reads_as_zeros_around_its_ramp(store: S3Server, tmp_path: Path):
    start = 9 * 1024 * MIB
    size = 10 * 1024 * MIB
    seen = load(
        store.address,
        [get(store.address, "data", "big", keys_of(store), size=size, span=(start, start + 5000))],
        tmp_path,
    )

    assert (seen.faults, seen.bytes) == ((), 5000)
    assert (store.root or Path()).joinpath("data/big").stat().st_blocks * 512 < MIB


def test_the_raw_client_sees_wrong_bytes(store: S3Server, tmp_path: Path):
    seen = load(store.address, [get(store.address, "data", "k/03", keys_of(store), size=100_000, shift=4)], tmp_path)

    assert "wrong bytes" in seen.faults[0]


def test_the_raw_client_is_refused_with_a_wrong_secret(store: S3Server, tmp_path: Path):
    wrong = Keys(store.access, "not the secret")

    seen = load(store.address, [get(store.address, "data", "k/03", wrong, size=100_000)], tmp_path)

    assert seen.statuses == {403: 1}


def test_a_reader_that_cuts_is_counted_to_what_it_could_have_got(store: S3Server, tmp_path: Path):
    with counting_proxy(store.address, tmp_path) as proxy:
        big = get(proxy.address, "data", "big", keys_of(store), size=10 * 1024 * MIB, checked=False).cut_after(3 * MIB)

        seen = load(proxy.address, [big, big], tmp_path, receive_buffer=64 * 1024)

        report = proxy.settled()
    assert (seen.cut, seen.faults) == (2, ())
    # The kernel doubles the 64 KiB asked for; a reader has got at most that beyond what it read.
    assert report.buffer == 2 * 64 * 1024
    assert report.payload <= seen.bytes + 2 * report.buffer
    assert seen.bytes <= report.payload + report.unsure
    assert [one.whole for one in report.exchanges] == [False, False]


def test_what_a_reader_read_and_had_not_acknowledged_as_it_cut_is_told_as_unsure(tmp_path: Path):
    with (
        socket.create_server(("127.0.0.1", 0)) as far,
        counting_proxy("{}:{}".format(*far.getsockname()), tmp_path) as proxy,
        socket.create_connection((proxy.host, proxy.port)) as reader,
    ):
        # Off: what comes is acknowledged 40 ms later, or by the next bytes that go out; a reset is neither.
        reader.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        reader.sendall(request())
        answering, _ = far.accept()
        answering.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b"x" * 5000)
        with contextlib.closing(reader.makefile("rb")) as answer:
            head = [answer.readline() for _ in range(3)]
            read = len(answer.read(5000))

            reader.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        reader.close()

        report = proxy.settled()
        answering.close()
    assert (head[-1], read) == (b"\r\n", 5000)
    assert report.payload <= read <= report.payload + report.unsure == 5000
    assert report.payload_of() + report.unsure_of() == 5000


def test_a_paused_line_brings_nothing_and_goes_on(store: S3Server, tmp_path: Path):
    with counting_proxy(store.address, tmp_path) as proxy:
        proxy.pause()
        one = get(proxy.address, "data", "k/01", keys_of(store), size=100_000, shift=1)
        with loading(proxy.address, [one], tmp_path) as under_way:
            while proxy.report().accepted == 0:
                under_way.process.check()
            assert proxy.report().payload == 0
            proxy.resume()

            assert under_way.result().faults == ()


def test_a_line_that_is_paused_after_so_much_brings_that_and_one_send_more(store: S3Server, tmp_path: Path):
    with counting_proxy(store.address, tmp_path) as proxy:
        proxy.pause_after(50_000)
        one = get(proxy.address, "data", "k/01", keys_of(store), size=100_000, shift=1)
        with loading(proxy.address, [one], tmp_path) as under_way:
            while proxy.report().payload < 50_000:
                under_way.process.check()
            assert proxy.report().payload < 50_000 + PIECE_BYTES
            proxy.resume()

            assert under_way.result().faults == ()


def test_a_refusing_and_a_cut_line_look_like_a_line_that_is_down(store: S3Server, tmp_path: Path):
    with counting_proxy(store.address, tmp_path) as proxy, socket.create_connection((proxy.host, proxy.port)) as sock:
        sock.sendall(b"GET / HTT")
        while proxy.report().open == 0:
            proxy.process.check()
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        proxy.refuse(True)
        with socket.create_connection((proxy.host, proxy.port)) as refused, pytest.raises(ConnectionResetError):
            refused.recv(1)


def test_a_prefix_is_listed_whole_and_in_order(store: S3Server):
    found, _ = list_all(store.address, "data", "k/", keys_of(store))

    assert found == [f"k/{n:02}".encode() for n in range(20)]


_ECHO = (
    "import socket,sys; s=socket.create_server((sys.argv[1],7)); print(flush=True);c,_=s.accept(); c.sendall(c.recv(9))"
)
_ASK = (
    "import socket,sys,time; t=time.monotonic(); c=socket.create_connection((sys.argv[1],7)); u=time.monotonic();"
    "c.sendall(b'x'); c.recv(1); print(u-t, time.monotonic()-u)"
)


@pytest.mark.root
def test_a_long_line_takes_80_ms_there_and_back_and_leaves_nothing_behind():
    with long_line() as line:
        args = line.far.command(sys.executable, "-c", _ECHO, line.far.address)
        with subprocess.Popen(args, stdout=subprocess.PIPE) as echo:
            assert echo.stdout is not None
            echo.stdout.readline()
            asked = line.near.command(sys.executable, "-c", _ASK, line.far.address)
            trips = [float(word) for word in subprocess.check_output(asked, text=True).split()]
        assert sum(nbytes for _, nbytes in line.delivered(line.near)) > 0
        names = {line.near.name, line.far.name}

    assert all(trip >= 0.080 for trip in trips)
    assert not names & {path.name for path in Path("/run/netns").iterdir()}
    assert not [path for path in Path("/sys/class/net").iterdir() if path.name.startswith(line.near.name[:-1])]


@pytest.mark.root
def test_a_long_line_is_torn_down_when_the_test_fails_inside():
    with pytest.raises(ZeroDivisionError), long_line() as line:
        raise ZeroDivisionError

    assert not Path("/run/netns", line.near.name).exists()


def test_nothing_outlives_its_with(tmp_path: Path):
    before = threading.active_count()
    with versitygw(tmp_path) as server:
        pid = server.process.pid
    assert not Path(f"/proc/{pid}").exists()
    assert threading.active_count() == before
    assert time.monotonic() > 0
