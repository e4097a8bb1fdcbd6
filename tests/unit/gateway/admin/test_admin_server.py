"""The admin port: open for health and metrics, closed for the rest, and plain about what it refuses."""

import asyncio
import io
import logging

import aiohttp
import pytest
import structlog
from yarl import URL

from gateway.admin.operations import BadOperation, Unavailable, UnknownPath
from gateway.admin.server import LARGEST_BODY, AdminServer
from gateway.admin.token import AdminToken
from gateway.config import Address
from gateway.logs import configure
from gateway.metrics import DoorCounters
from gateway.redact import Redactor
from namespace import errors as namespace_errors
from policy.yamlfile import Fault, Faults
from regioncache import errors
from tests.unit.gateway.admin.conftest import TOKEN, Port

pytestmark = pytest.mark.anyio

TOPOLOGY = "regions: {a: {}, b: {}}\nlines: {a-b: {between: [a, b], capacity: 1Gbps}}\n"
QUESTIONS = [
    "status",
    "lines",
    "explain?path=/ns/x",
    "history",
    "keys",
    "list?path=/ns/",
    "stat?path=/ns/x",
    "object?path=/x",
    "cache/pins",
]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_health_and_metrics_need_no_token(port: Port, path: str) -> None:
    async with aiohttp.ClientSession() as stranger, stranger.get(port.url + path) as reply:
        assert reply.status == 200


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("header", [None, "Bearer wrong-token-wrong-token", "Basic YWRtaW46YWRtaW4="])
async def test_everything_else_is_closed_without_the_token(port: Port, question: str, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}

    async with (
        aiohttp.ClientSession() as stranger,
        stranger.get(f"{port.url}/api/v1/{question}", headers=headers) as reply,
    ):
        assert reply.status == 401
        assert reply.headers["WWW-Authenticate"] == "Bearer"

    assert port.operations.asked == []


@pytest.mark.parametrize(
    ("method", "name"), [("POST", "apply"), ("POST", "keys"), ("DELETE", "keys"), ("POST", "refresh")]
)
async def test_nothing_is_changed_without_the_token(port: Port, method: str, name: str) -> None:
    async with (
        aiohttp.ClientSession() as stranger,
        stranger.request(method, f"{port.url}/api/v1/{name}?name=k&path=/ns/x", json={}) as reply,
    ):
        assert reply.status == 401

    assert port.operations.asked == []


@pytest.mark.parametrize("path", ["/", "/api/v1/nothing", "/api/v2/status", "/metrics/", "//metrics", "/%6detrics/.."])
async def test_a_stranger_learns_nothing_of_what_exists(port: Port, path: str) -> None:
    async with aiohttp.ClientSession() as stranger, stranger.get(URL(port.url + path, encoded=True)) as reply:
        assert reply.status == 401


async def test_a_node_that_does_not_serve_yet_is_alive_and_not_ready(port: Port) -> None:
    port.operations.ready = False

    async with port.session.get(f"{port.url}/healthz") as alive, port.session.get(f"{port.url}/readyz") as ready:
        assert (alive.status, ready.status) == (200, 503)


async def test_status_is_told_as_json(port: Port) -> None:
    async with port.session.get(f"{port.url}/api/v1/status") as reply:
        told = await reply.json()

    assert (told["node"], told["revision"], told["listeners"]) == ("n1", 0, [["s3", "http://127.0.0.1:9000"]])


async def test_an_apply_is_kept_under_the_administrators_name(port: Port) -> None:
    body = {"files": [{"name": "t.yaml", "text": TOPOLOGY}]}

    async with port.session.post(f"{port.url}/api/v1/apply", json=body) as reply:
        told = await reply.json()

    assert reply.status == 200
    assert told["revision"] == 1
    assert port.operations.store.history()[0].author == "admin (127.0.0.1)"


async def test_a_dry_run_keeps_nothing(port: Port) -> None:
    body = {"files": [{"name": "t.yaml", "text": TOPOLOGY}], "dry_run": True}

    async with port.session.post(f"{port.url}/api/v1/apply", json=body) as reply:
        told = await reply.json()

    assert told["changes"]
    assert port.operations.store.revision() == 0


async def test_faults_of_a_file_come_back_each_with_its_place(port: Port) -> None:
    body = {"files": [{"name": "t.yaml", "text": "regions: {a: {parent: moon}}\nline: {}\n"}]}

    async with port.session.post(f"{port.url}/api/v1/apply", json=body) as reply:
        told = await reply.json()

    assert reply.status == 422
    assert [(fault["file"], fault["line"]) for fault in told["faults"]] == [("t.yaml", 1), ("t.yaml", 2)]


async def test_a_key_is_told_its_secret_once(port: Port) -> None:
    body = {"name": "k", "tenant": "rec", "read": ["/ns/train"]}

    async with port.session.post(f"{port.url}/api/v1/keys", json=body) as reply:
        made = await reply.json()
    async with port.session.get(f"{port.url}/api/v1/keys") as reply:
        listed = await reply.text()

    assert made["id"] in listed
    assert made["secret"] not in listed


async def test_a_key_is_removed_by_name(port: Port) -> None:
    body = {"name": "k", "tenant": "rec", "read": ["/ns/train"]}
    async with port.session.post(f"{port.url}/api/v1/keys", json=body):
        pass

    async with port.session.delete(f"{port.url}/api/v1/keys?name=k") as reply:
        assert reply.status == 200
    async with port.session.delete(f"{port.url}/api/v1/keys?name=k") as again:
        assert again.status == 404

    assert port.operations.store.keys() == ()


async def test_no_secret_of_a_key_reaches_the_log(port: Port) -> None:
    kept, level, stream = logging.getLogger().handlers[:], logging.getLogger().level, io.StringIO()
    configure("json", "debug", Redactor(), stream)
    secret = "veryverysecretsecret"
    body = {"name": "k", "tenant": "rec", "read": ["/ns/train"], "id": "CWID", "secret": secret}
    try:
        async with port.session.post(f"{port.url}/api/v1/keys", json=body) as reply:
            assert reply.status == 201
        async with port.session.post(f"{port.url}/api/v1/keys", json=body | {"tenant": 7}) as reply:
            assert secret not in await reply.text()
    finally:
        logging.getLogger().handlers[:] = kept
        logging.getLogger().setLevel(level)
        structlog.reset_defaults()

    assert "key made" in stream.getvalue()
    assert secret not in stream.getvalue()


@pytest.mark.parametrize("body", ["", "[]", "{", '{"files": 7}', '{"files": [], "nonsense": 1}', "\x00"])
async def test_a_body_that_is_not_understood_is_refused(port: Port, body: str) -> None:
    async with port.session.post(f"{port.url}/api/v1/apply", data=body.encode()) as reply:
        assert reply.status == 400
        assert (await reply.json())["error"]

    assert port.operations.asked == []


async def test_a_body_beyond_any_file_is_refused(port: Port) -> None:
    async with port.session.post(f"{port.url}/api/v1/apply", data=io.BytesIO(b"x" * (LARGEST_BODY + 1))) as reply:
        assert reply.status == 413


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Faults([Fault("f", 1, 1, "p", "m")]), 422),
        (BadOperation("m"), 400),
        (UnknownPath("m"), 404),
        (Unavailable("m", 2.5), 503),
        (namespace_errors.UnknownKey("m"), 404),
        (namespace_errors.KeyExists("m"), 409),
        (namespace_errors.KeyTooLong("m"), 400),
        (namespace_errors.StoreBroken("m"), 503),
        (errors.KeyRefused("m"), 400),
        (errors.NoSuchObject("m"), 404),
        (errors.OriginForbids("m"), 502),
        (errors.OriginUnavailable("m", 1.5), 503),
        (errors.SlowDown("m"), 503),
        (errors.VersionChanged("m"), 409),
        (errors.RangeOutside(7), 416),
        (errors.BadAnswer("m"), 502),
        (errors.NotSupported("m"), 501),
    ],
)
async def test_each_fault_has_its_code_and_its_message(port: Port, fault: Exception, code: int) -> None:
    port.operations.refuse = fault

    async with port.session.get(f"{port.url}/api/v1/explain?path=/ns/x") as reply:
        assert reply.status == code
        assert (await reply.json())["error"] == str(fault)
        assert ("Retry-After" in reply.headers) == hasattr(fault, "retry_after")


async def test_a_fault_of_ours_is_told_in_the_log_only(port: Port) -> None:
    port.operations.refuse = ZeroDivisionError("secret detail")

    async with port.session.get(f"{port.url}/api/v1/status") as reply:
        assert reply.status == 500
        assert "secret detail" not in await reply.text()


@pytest.mark.parametrize(
    "query",
    [
        "explain",
        "explain?path=",
        "stat?x=1",
        "object",
        "list?path=/ns/&limit=0",
        "list?path=/ns/&limit=-1",
        "list?path=/&limit=9x",
    ],
)
async def test_a_question_without_what_it_needs_is_refused(port: Port, query: str) -> None:
    async with port.session.get(f"{port.url}/api/v1/{query}") as reply:
        assert reply.status == 400

    assert port.operations.asked == []


@pytest.mark.parametrize("path", ["/ns/a//b", "/ns/a/../b", "/ns/a b+c%2F&d=e#f", "/ns/ü/漢", "/ns/dir/", "/ns/%2e%2e"])
async def test_a_path_arrives_exactly(port: Port, path: str) -> None:
    port.operations.sizes = {path: 10}

    async with port.session.get(f"{port.url}/api/v1/stat", params={"path": path}) as reply:
        assert reply.status == 200

    assert port.operations.asked == [f"stat {path}"]


async def test_a_list_goes_on_where_it_ended(port: Port) -> None:
    port.operations.sizes = {f"/ns/t/{at}": at for at in range(5)}

    async with port.session.get(f"{port.url}/api/v1/list?path=/ns/t/&limit=3") as reply:
        first = await reply.json()
    async with port.session.get(
        f"{port.url}/api/v1/list", params={"path": "/ns/t/", "after": first["next_after"]}
    ) as reply:
        rest = await reply.json()

    assert [name["path"] for name in first["names"] + rest["names"]] == [f"/ns/t/{at}" for at in range(5)]
    assert rest["next_after"] is None


async def test_answers_are_counted_by_operation_and_made_up_paths_are_one(port: Port) -> None:
    for path in ("/api/v1/status", "/api/v1/made-up-1", "/api/v1/made-up-2", "/healthz"):
        async with port.session.get(port.url + path):
            pass

    assert port.counters.requests == {
        ("admin", "get-status", 200): 1,
        ("admin", "unknown", 404): 2,
        ("admin", "healthz", 200): 1,
    }


async def test_a_reply_that_hangs_holds_up_a_stop_for_its_grace_alone(port: Port) -> None:
    server = await AdminServer.start(
        Address("127.0.0.1", 0), port.operations, AdminToken(TOKEN), DoorCounters(), grace_seconds=0.01
    )
    reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
    writer.write(
        b"POST /api/v1/apply HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %b\r\nExpect: 100-continue\r\n"
        b"Content-Length: 1000\r\n\r\n" % TOKEN.encode()
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 100 ")  # it is waiting for the body now

    await server.stop()

    assert b"HTTP/1.1 200" not in await reader.read()
    writer.close()


MALFORMED = [
    b"GET /healthz HTTP/1.1\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nand then garbage\r\n\r\n",
]


@pytest.mark.parametrize("request_", MALFORMED, ids=["no host", "long", "negative", "second"])
async def test_what_is_no_request_fills_no_log(port: Port, request_: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    url = URL(port.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write(request_)
        answer = await reader.read()
    finally:
        writer.close()

    assert b" 400 Bad Request\r\n" in answer
    assert caplog.records == []
