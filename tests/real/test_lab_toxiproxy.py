"""The laboratory's faults of connections."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.lab.load import get, load
from tests.real.lab.network import network
from tests.real.lab.s3 import S3Server, versitygw, write_ramp
from tests.real.lab.sign import Keys
from tests.real.lab.toxiproxy import Proxy, toxiproxy

pytestmark = pytest.mark.real
SIZE = 300_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[S3Server]:
    with versitygw(tmp_path) as server:
        assert server.root is not None
        (server.root / "data").mkdir()
        server.put_file("data", "one", write_ramp(tmp_path / "made", SIZE))
        yield server


@pytest.fixture
def proxy(store: S3Server, tmp_path: Path) -> Iterator[Proxy]:
    with toxiproxy(tmp_path) as server:
        yield server.proxy("origin", store.address)


def read(proxy: Proxy, store: S3Server, directory: Path) -> tuple[str, ...]:
    """The faults of one GET through the proxy."""
    one = get(proxy.address, "data", "one", Keys(store.access, store.secret), size=SIZE)
    return load(proxy.address, [one], directory).faults


def test_what_passes_a_proxy_is_right_and_a_reset_is_seen(proxy: Proxy, store: S3Server, tmp_path: Path) -> None:
    assert read(proxy, store, tmp_path) == ()
    with proxy.toxic("limit_data", bytes=10_000):
        assert "connection lost" in read(proxy, store, tmp_path)[0]
    assert read(proxy, store, tmp_path) == ()


def test_a_proxy_that_is_down_refuses_and_then_serves_again(proxy: Proxy, store: S3Server, tmp_path: Path) -> None:
    with proxy.down():
        assert "cannot connect" in read(proxy, store, tmp_path)[0]

    assert read(proxy, store, tmp_path) == ()


def test_a_delay_of_a_connection_is_kept(proxy: Proxy, store: S3Server, tmp_path: Path) -> None:
    begun = time.monotonic()
    with proxy.toxic("latency", latency=200):
        assert read(proxy, store, tmp_path) == ()

    assert time.monotonic() - begun >= 0.2


def test_a_toxic_that_there_is_not_is_refused_by_name(proxy: Proxy) -> None:
    with pytest.raises(ValueError, match="invalid toxic type"), proxy.toxic("plague"):
        pass


@pytest.mark.root
def test_a_proxy_stands_in_a_region_and_spoils_what_another_host_reads(tmp_path: Path) -> None:
    with network() as made:
        here = made.site("here")
        proxied, reader = made.host(here, "proxied"), made.host(here, "reader")
        within_it = {"host": proxied.address, "netns": proxied.netns}
        with versitygw(tmp_path, **within_it) as store, toxiproxy(tmp_path, **within_it) as server:
            proxy = server.proxy("origin", store.address)
            one = get(proxy.address, "none", "none", None, size=-1, checked=False)
            with proxy.toxic("limit_data", bytes=1):
                spoilt = load(proxy.address, [one], tmp_path, netns=reader.netns)
            right = load(proxy.address, [one], tmp_path, netns=reader.netns)

    assert "connection lost" in spoilt.faults[0]
    assert right.statuses == {404: 1}
