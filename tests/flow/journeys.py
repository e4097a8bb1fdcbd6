"""How the journeys read: signed through the S3 door, as a user does, or past it where the door is no matter."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from regioncache.http.client import Ask, Base, Client
from regioncache.http.faults import HttpFault
from regioncache.http.messages import Header
from regioncache.http.sigv4 import Credentials, Signer
from regioncache.pages import WHOLE, Wanted
from tests.flow.world import NEAR, World

_CODE = re.compile(rb"<Code>(\w+)</Code>")


@dataclass(frozen=True, slots=True)
class Got:
    """One answer: its status, S3's code where it is an error, its bytes, whether they were cut short."""

    status: int
    code: str = ""
    body: bytes = b""
    cut: bool = False
    headers: dict[str, str] = field(default_factory=dict)


async def get(
    world: World,
    key: str,
    span: tuple[int, int] | None = None,
    region: str = NEAR,
    none_match: str | None = None,
    more: Sequence[Header] = (),
) -> Got:
    """GetObject of `s3://ns/train/KEY` at a region's door; `span` is half-open, `none_match` an ETag or `*`.

    `more` headers are sent unsigned.
    """
    headers: list[Header] = []
    if span is not None:
        headers.append((b"range", b"bytes=%d-%d" % (span[0], span[1] - 1)))
    if none_match is not None:
        headers.append((b"if-none-match", none_match.encode()))
    return await ask(world, "/ns/train/" + quote(key), headers, region=region, more=more)


async def ask(
    world: World,
    target: str,
    headers: Sequence[Header] = (),
    *,
    method: bytes = b"GET",
    region: str = NEAR,
    more: Sequence[Header] = (),
) -> Got:
    """Any request at a region's door, its `headers` signed and `more` not."""
    assert world.key is not None
    base, line = Base.parse(world.url(region)), target.encode()
    named = [(b"host", base.authority), *headers]
    signed = Signer(Credentials(world.key.id, world.key.secret), "us-east-1").sign(method, line, named, world.wall())
    client = Client()
    answer = await client.request(Ask(base, method, line, [*signed, *more]))
    body, buffer, cut = bytearray(), memoryview(bytearray(256 * 1024)), False
    try:
        while got := await answer.receive(buffer):
            body += buffer[:got]
    except HttpFault:
        cut = True
    finally:
        answer.close()
        client.close()
    found = {name.decode(): value.decode() for name, value in answer.headers}
    if answer.status >= 400:
        code = _CODE.search(body)
        return Got(answer.status, code[1].decode() if code else "", headers=found)
    return Got(answer.status, "", bytes(body), cut, found)


async def read(world: World, key: str, start: int = 0, end: int | None = None, region: str = NEAR) -> bytes:
    """Reads past the door, as the administrator."""
    wanted = WHOLE if (start, end) == (0, None) else Wanted(start, end)
    opened = await world.nodes[region].operations.open(f"/ns/train/{key}", wanted)
    try:
        return b"".join([bytes(piece) async for piece in opened.stream()])
    finally:
        opened.close()


async def landed(world: World) -> None:
    """Waits until no flight is under way anywhere."""
    for node in world.nodes.values():
        while flights := list(node.running.app.flights):
            await flights[0].change()


def kinds(world: World, region: str = NEAR) -> dict[str, int]:
    """What a region's ledger counted, by kind."""
    found: dict[str, int] = {}
    for entry, nbytes in world.nodes[region].running.app.ledger.totals().items():
        found[entry.kind] = found.get(entry.kind, 0) + nbytes
    return {kind: nbytes for kind, nbytes in found.items() if nbytes}
