"""What nodes ask one another beyond reading: a question with named values, a short answer.

The asking side signs as readers do, so that the door knows the region; a desk answers at the other end and decides
itself whom it answers. Nothing here brings pages.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote

from regioncache.errors import NotSupported, OriginUnavailable
from regioncache.http.ask import Ask, Base
from regioncache.http.canonical import SigningKeys
from regioncache.http.client import Client
from regioncache.http.messages import Reply
from regioncache.http.sigv4 import Credentials, Signer
from regioncache.lines.base import Crossing
from regioncache.lines.crossing import NoLine
from regioncache.origins.asking import meta_body, send
from regioncache.peers.client import SERVICE
from regioncache.peers.proto import PROTOCOL, SILENCE_SECONDS
from regioncache.peers.wire import ROOT, SUM, BadPeerRequest, check_told

Values = Mapping[str, str]
Desk = Callable[[str, Values], Awaitable[Reply]]
"""Answers one operation: the region that signed the question, and its values. Raises CacheError, BadPeerRequest."""

MOST_VALUES = 16
ERROR_BYTES = 4096


class Unknown(NotSupported):
    """The node that was asked knows no such question: of another version, or without what would answer it."""


def operation_of(target: bytes) -> str:
    """Returns the name of the operation that a target asks for; whether there is one is the desk's affair."""
    return target.partition(b"?")[0].rpartition(b"/")[2].decode("ascii", "replace")


def values_of(target: bytes) -> Values:
    """Returns the values of a question; raises BadPeerRequest where it is of another protocol or malformed."""
    try:
        path, _, query = target.decode("ascii").partition("?")
        root, version, _ = path.rsplit("/", 2)
        if root + "/" != ROOT or not PROTOCOL - 1 <= int(version) <= PROTOCOL:
            raise BadPeerRequest(f"{path} is nothing that a node asks; this one speaks protocol {PROTOCOL}")
        return dict(parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MOST_VALUES))
    except ValueError as fault:
        raise BadPeerRequest(f"the question is malformed: {fault}") from fault


@dataclass(frozen=True, slots=True)
class Questioner:
    """Asks other nodes' desks. `secrets` gives the secret shared with a region; `wall` is epoch seconds."""

    region: str
    secrets: Callable[[str], str | None]
    client: Client
    wall: Callable[[], float] = time.time
    keys: SigningKeys = field(default_factory=SigningKeys, repr=False)

    async def ask(
        self,
        base: Base,
        region: str,
        operation: str,
        values: Values,
        *,
        seconds: float,
        most_bytes: int,
        crossing: Crossing | None = None,
    ) -> bytes:
        """Returns the body of the answer.

        Args:
            base: where the node is; `region`: the region it is of, whose secret signs.
            seconds: until its answer's head.
            most_bytes: of the answer.
            crossing: the line that lies between; None: none.

        Raises: NotSupported (no secret, or the node knows no such question), and what `origins.asking.send` raises;
        OriginUnavailable where the node answers anything but 200.
        """
        secret = self.secrets(region)
        if secret is None:
            raise NotSupported(f"no secret is shared with region {region!r}: name one under `secrets` in node.yaml")
        counted, where = crossing or NoLine(), f"node {base.authority.decode()} of {region}"
        answer = await send(self.client, self._signed(base, region, secret, operation, values, seconds), counted, 0)
        try:
            if answer.status == 200:
                body = await meta_body(answer, counted, most_bytes, where)
                check_told(body, answer.header(SUM), where)
                return body
            text = (await meta_body(answer, counted, ERROR_BYTES, where)).decode("utf-8", "replace")
            if answer.status == 403:
                raise OriginUnavailable(f"{where} refuses us: both must have the same secret and the same time of day")
            if answer.status in {400, 404, 501}:
                raise Unknown(f"{where} does not answer {operation!r}: {text}")
            raise OriginUnavailable(f"{where} answered {answer.status}: {text}")
        finally:
            answer.close()

    def _signed(self, base: Base, region: str, secret: str, operation: str, values: Values, seconds: float) -> Ask:
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(values.items()))
        target = f"{ROOT}{PROTOCOL}/{operation}?{query}".encode()
        headers = [
            (b"host", base.authority),
            (b"x-causeway-region", self.region.encode()),
            # Nobody pays for control traffic; the door wants to see all of these signed, whatever is asked.
            (b"x-causeway-tenant", b"other"),
            (b"x-causeway-class", b"interactive"),
            (b"x-causeway-hops", b"0"),
            (b"x-causeway-fresh", b"0.0"),
        ]
        signer = Signer(Credentials(self.region, secret), region, SERVICE, self.keys)
        signed = signer.sign(b"GET", target, headers, self.wall())
        return Ask(base, b"GET", target, signed, answer_seconds=seconds, stall_seconds=SILENCE_SECONDS)


def for_members(region: str, desk: Desk) -> Desk:
    """Returns the desk as the nodes of `region` find it: to all others it is not there."""

    async def answer(asker: str, values: Values) -> Reply:
        return await desk(asker, values) if asker == region else Reply(403)

    return answer
