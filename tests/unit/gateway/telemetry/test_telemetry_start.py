"""Telemetry as node.yaml asks for it: checked, loaded when it is wanted, quiet, and without its secrets in the log."""

import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config import NodeSettings, parse
from gateway.telemetry.telemetry import TelemetryUnavailable, start
from policy.errors import Faults
from regioncache.http.arriving import NO_BODY
from regioncache.http.messages import Request
from regioncache.tidings import Tidings
from tests.fakes.collector import collector

pytestmark = pytest.mark.anyio

SECRET = "Bearer a-secret-of-the-collector"


def settings(telemetry: str, folder: Path = Path("/etc/causeway")) -> NodeSettings:
    return parse(f"region: a\ncache: {{paths: [/c]}}\ntelemetry: {telemetry}\n", "node.yaml", folder)


def a_request() -> Request:
    return Request(b"GET", b"/ns/a", [], NO_BODY)


def test_the_least_that_works_is_the_collector_s_url() -> None:
    found = settings("{otlp: 'http://collector:4318/'}").telemetry

    assert found is not None
    assert (found.otlp, found.sample, found.asked, found.interval) == ("http://collector:4318", 0.01, 10.0, 60.0)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("{sample: 1%}", "telemetry.otlp"),
        ("{otlp: collector:4318}", "named by its URL"),
        ("{otlp: 'http://collector:4318?x=1'}", "named by its URL"),
        ("{otlp: 'http://me:secret@collector:4318'}", "no secret stands in a URL"),
        ("{otlp: 'http://c:1', sample: 101%}", "sample"),
        ("{otlp: 'http://c:1', sample: many}", "sample"),
        ("{otlp: 'http://c:1', interval: 10ms}", "interval"),
        ("{otlp: 'http://c:1', headers: {authorization: Bearer x}}", "a secret is named, never written here"),
        ("{otlp: 'http://c:1', every: 1s}", "every"),
    ],
)
def test_what_is_wrong_with_it_is_told(wrong: str, told: str) -> None:
    with pytest.raises(Faults) as refused:
        settings(wrong)

    assert told in str(refused.value)
    assert "secret@" not in str(refused.value)


def test_without_the_extra_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("collector", "points", "trails"):
        monkeypatch.delitem(sys.modules, f"gateway.telemetry.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    asked = settings("{otlp: 'http://c:1'}").telemetry
    assert asked is not None

    with pytest.raises(TelemetryUnavailable, match=r"pip install 'causeway\[otel\]'"):
        start(asked, "n", "a", "0", Tidings())


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What reaches the root, as `gateway.logs` writes it."""
    root, stream = logging.getLogger(), io.StringIO()
    kept, handler = root.level, logging.StreamHandler(stream)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(kept)


async def test_a_header_reaches_the_collector_and_no_log(tmp_path: Path, log: io.StringIO) -> None:
    (tmp_path / "otlp.secret").write_text(SECRET)
    warnings: list[str] = []
    with collector() as told:
        asked = settings(
            f"{{otlp: '{told.url}', headers: {{authorization: {{file: otlp.secret}}}}, sample: 100%}}", tmp_path
        )
        assert asked.telemetry is not None
        telemetry = start(asked.telemetry, "n", "a", "0", Tidings(warnings.append))
        begin = telemetry.of_clients()(a_request())
        assert begin is not None
        told.status = 401
        begin("s3.GetObject", {}).end()
        await telemetry.stop(30.0)

    assert told.headers[0]["authorization"] == SECRET
    (warning,) = warnings
    assert "takes no traces" in warning
    assert "401" in warning
    assert SECRET not in log.getvalue() + warning
    assert "Failed to export" not in log.getvalue()


async def test_a_collector_that_cannot_be_reached_holds_up_no_stop() -> None:
    warnings: list[str] = []
    asked = settings("{otlp: 'http://127.0.0.1:1', sample: 100%}").telemetry
    assert asked is not None
    telemetry = start(asked, "n", "a", "0", Tidings(warnings.append))
    begin = telemetry.of_clients()(a_request())
    assert begin is not None
    begin("s3.GetObject", {}).end()

    await telemetry.stop(0.0)

    assert telemetry.posted()["traces", "sent"] == 0
