"""A door with a fake tree behind it, and requests signed by botocore as clients sign them."""

from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from lxml import etree

from gateway.logs import Access
from gateway.metrics import DoorCounters
from gateway.s3.auth import Authenticator
from gateway.s3.door import Door
from gateway.s3.visit import Accounts
from namespace import codec
from namespace.keys import AccessKey, Keys
from namespace.resolver import Resolver
from policy import units
from regioncache.http.arriving import NO_BODY
from regioncache.http.messages import Reply, Request
from tests.fakes.clock import FakeClock
from tests.fakes.files import FakeFiles

TRAINER = AccessKey(
    "CWTRAINER", "a-secret-of-the-trainer", "trainer", "rec", read=("/ns/train", "/ns/open"), may_class=("backfill",)
)
RENTER = AccessKey("CWRENTER", "a-secret-of-the-renter", "renter", "search", read=("/ns/train/public",))
OWNER = AccessKey("CWOWNER", "a-secret-of-the-owner", "owner", "ops", read=("/ns",))
TOPOLOGY = {
    "regions": {"here": {"provider": "idc"}},
    "buckets": {
        "one": {
            "provider": "s3",
            "bucket": "one",
            "region": "here",
            "endpoints": {"internal": "http://127.0.0.1:1"},
            "credentials": "none",
        }
    },
    "mounts": {
        "/ns/train": {"bucket": "one", "prefix": "train/"},
        "/ns/open": {"bucket": "one", "prefix": "open/"},
        "/ns/secret": {"bucket": "one", "prefix": "secret/"},
        "/ns/open.data.v1": {"bucket": "one", "prefix": "dotted/"},
    },
}


class Signing:
    """botocore's own signers, at the moment that a test says."""

    def __init__(self, clock: FakeClock, patch: pytest.MonkeyPatch) -> None:
        self.skew = 0.0
        now = lambda *_: datetime.fromtimestamp(clock.time() + self.skew, UTC)  # noqa: E731
        patch.setattr(botocore.auth, "get_current_datetime", now)

    def signed(self, request: AWSRequest, key: AccessKey, region: str = "us-east-1", token: str | None = None) -> None:
        """Adds the Authorization header."""
        botocore.auth.S3SigV4Auth(Credentials(key.id, key.secret, token), "s3", region).add_auth(request)

    def presigned(self, request: AWSRequest, key: AccessKey, expires: int) -> None:
        """Adds the query of a presigned URL."""
        botocore.auth.S3SigV4QueryAuth(Credentials(key.id, key.secret), "s3", "us-east-1", expires=expires).add_auth(
            request
        )


@dataclass
class Answered:
    """A reply as a client sees it."""

    status: int
    headers: dict[str, str]
    body: bytes
    length: int | None
    sync: bool

    @property
    def xml(self) -> etree._Element:
        """The body, parsed."""
        return etree.fromstring(self.body)

    @property
    def code(self) -> str | None:
        """S3's code of an error, or None."""
        return self.xml.findtext("Code") if self.body.startswith(b"<?xml") else None

    def texts(self, name: str) -> list[str]:
        """The texts of all elements of this name."""
        return [node.text or "" for node in self.xml.iter("{*}" + name)]


@dataclass
class Log:
    """Every access, kept."""

    told: list[Access] = field(default_factory=list)

    def wants(self, code: int) -> bool:
        return True

    def tell(self, access: Access) -> None:
        self.told.append(access)


class Desk:
    """Asks a door."""

    def __init__(self, clock: FakeClock, patch: pytest.MonkeyPatch, domain: str | None = None) -> None:
        self.clock = clock
        self.sign = Signing(clock, patch)
        self.files = FakeFiles()
        self.keys = Keys([TRAINER, RENTER, OWNER])
        self.counters = DoorCounters()
        self.log = Log()
        self.faults: list[BaseException] = []
        resolver = Resolver("here")
        known = codec.Units(rate=units.rate, size=units.size, duration=units.duration)
        resolver.adopt(codec.topology(TOPOLOGY, known), 1)
        self.door = Door(
            self.files,
            resolver,
            Authenticator(self.keys, clock.time),
            Accounts(self.counters, self.log, clock),
            lambda request, fault: self.faults.append(fault),
            domain,
        )

    def request(
        self,
        target: str = "/train/a",
        headers: dict[str, str] | None = None,
        method: str = "GET",
        key: AccessKey | None = TRAINER,
        expires: int | None = None,
        region: str = "us-east-1",
        host: str = "door.test:9000",
    ) -> Request:
        """A request as the server gives it to the door, signed (in the query, if it `expires`) unless `key` is None."""
        made = AWSRequest(method, f"http://{host}{target}", headers={"host": host, **(headers or {})})
        if key is not None and expires is not None:
            self.sign.presigned(made, key, expires)
            target = made.url.removeprefix(f"http://{host}")
        elif key is not None:
            self.sign.signed(made, key, region)
        sent = [(name.lower().encode(), str(value).encode()) for name, value in made.headers.items()]
        return Request(method.encode(), target.encode(), sent, NO_BODY, "127.0.0.1")

    async def ask(self, target: str = "/train/a", headers: dict[str, str] | None = None, **more: object) -> Answered:
        """Sends a request and reads the whole reply."""
        return await self.send(self.request(target, headers, **more))  # type: ignore[arg-type]

    async def send(self, request: Request) -> Answered:
        """Does what the server does with a request."""
        answer = self.door(request)
        reply = answer if isinstance(answer, Reply) else await _awaited(answer)
        body = b"" if reply.stream is None else b"".join([bytes(piece) async for piece in reply.stream])
        body = body or bytes(reply.body)
        if reply.done is not None:
            reply.done(len(body))
        lines = [line.partition(b": ") for line in reply.encoded.split(b"\r\n")[:-1]]
        pairs = [*reply.headers, *((name, value) for name, _, value in lines)]
        headers = {name.decode(): value.decode("latin-1") for name, value in pairs}
        assert len(headers) == len(pairs), f"a header stands twice: {pairs}"
        return Answered(reply.status, headers, body, reply.length, isinstance(answer, Reply))


async def _awaited(answer: Awaitable[Reply]) -> Reply:
    return await answer


@pytest.fixture
def desk(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(clock, monkeypatch)


@pytest.fixture
def domain_desk(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk whose door has the domain s3.localhost."""
    return Desk(clock, monkeypatch, "s3.localhost")


@pytest.fixture
def trainer() -> AccessKey:
    return TRAINER


@pytest.fixture
def renter() -> AccessKey:
    return RENTER


@pytest.fixture
def owner() -> AccessKey:
    return OWNER
