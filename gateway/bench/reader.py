"""Reads through an S3 door as any client does, and looks at the clock: signed GETs on kept connections."""

import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from urllib.parse import quote

from gateway.bench.plan import Done, Found, Planned
from regioncache.errors import CacheError, NoSuchObject
from regioncache.http.client import Answer, Ask, Base, Client
from regioncache.http.faults import ConnectFailed, HttpFault
from regioncache.http.messages import Header
from regioncache.http.sigv4 import Credentials, Signer
from regioncache.lines.crossing import NoLine
from regioncache.origins.base import ListAsk, Payer, Question
from regioncache.origins.s3 import S3Origin

TREE = "ns"
"""The bucket that is the whole tree."""
REGION = "us-east-1"
PIECE_BYTES = 256 * 1024
ANSWER_SECONDS = 30.0
"""The door gives up after 25 s itself."""
_NOBODY = Payer("bench")
_CODE = re.compile(rb"<Code>(\w+)</Code>")
_WAIT = re.compile(rb"line=([^;]+);class=[^;]*;seconds=([\d.]+)")


class DoorFault(Exception):
    """No read can succeed: nobody is there, or the door refuses the key. The message names the remedy."""


@dataclass(frozen=True, slots=True)
class Slowed:
    """The door asked to come again after so many seconds."""

    seconds: float


class Door:
    """An S3 door with a key. Closed by whoever made it."""

    def __init__(
        self,
        base: Base,
        key: Credentials,
        client: Client,
        cls: str = "",
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Args: cls: the class asked for; empty: the key's own."""
        self._base = base
        self._client = client
        self._signer = Signer(key, REGION)
        self._more: list[Header] = [(b"x-causeway-class", cls.encode())] if cls else []
        self._timer = timer

        async def credentials(refused: Credentials | None = None) -> Credentials:
            return key

        self._store = S3Origin(str(base), base, TREE, credentials, client)

    async def find(self, path: str, most: int) -> AsyncIterator[Found]:
        """Yields the object at `path`, or else up to `most` objects beneath it. Raises DoorFault."""
        key = path.removeprefix("/ns").removeprefix("/")
        try:
            if key and not key.endswith("/"):
                size = await self._size(key)
                if size is not None:
                    yield Found(path, size)
                    return
                key += "/"
            found, after = 0, ""
            while found < most:
                ask = ListAsk(key, after, "", min(1000, most - found))
                page = await self._store.list(ask, Question("", _NOBODY), NoLine())
                for entry in page.entries:
                    yield Found(f"/ns/{entry.key}", entry.size)
                found += len(page.entries)
                if page.next_after is None:
                    return
                after = page.next_after
        except (CacheError, HttpFault) as fault:
            raise DoorFault(self._why(path, fault)) from fault

    async def _size(self, key: str) -> int | None:
        try:
            return (await self._store.head(Question(key, _NOBODY), NoLine())).size
        except NoSuchObject:
            return None

    async def read(self, read: Planned, received: Callable[[int], bool]) -> Done | Slowed:
        """Reads once. `received` is told of each piece's bytes, and says whether to go on.

        Raises: DoorFault.
        """
        began = self._timer()
        try:
            answer = await self._client.request(self._ask(read))
        except ConnectFailed as fault:
            raise DoorFault(self._why(read.path, fault)) from fault
        except HttpFault as fault:
            return Done(read, 0, fault=str(fault))
        try:
            if answer.status not in {200, 206}:
                return await self._refused(read, answer)
            return await self._received(read, answer, began, received)
        finally:
            answer.close()

    async def _received(self, read: Planned, answer: Answer, began: float, received: Callable[[int], bool]) -> Done:
        source = (answer.header(b"x-causeway-source") or b"").decode("latin-1")
        wait = _WAIT.match(answer.header(b"x-causeway-wait") or b"")
        line, waited = (wait[1].decode("latin-1"), float(wait[2])) if wait else ("", 0.0)
        piece, nbytes, first, whole, fault = memoryview(bytearray(PIECE_BYTES)), 0, None, None, ""
        try:
            while got := await answer.receive(piece):
                first = first if first is not None else self._timer() - began
                nbytes += got
                if not received(got):
                    break
            else:
                whole = self._timer() - began
        except HttpFault as broken:
            fault = f"{read.path}: {broken}"
        return Done(read, nbytes, first if nbytes else whole, whole, source, line, waited, fault=fault)

    async def _refused(self, read: Planned, answer: Answer) -> Done | Slowed:
        body = await answer.body(64 * 1024)
        found = _CODE.search(body)
        code = found[1].decode() if found else f"status {answer.status}"
        if answer.status == 503:
            after = answer.header(b"retry-after") or b"1"
            return Slowed(float(after) if after.isdigit() else 1.0)
        if answer.status in {400, 401, 403}:
            raise DoorFault(f"{self._base} refuses {read.path}: {code}; is it the right key, and may it read there?")
        return Done(read, 0, fault=f"{read.path}: {code}")

    def _ask(self, read: Planned) -> Ask:
        target = quote(f"/{TREE}{read.path.removeprefix('/ns')}", safe="/").encode()
        headers = [(b"host", self._base.authority), *self._more]
        if not read.whole:
            headers.append((b"range", b"bytes=%d-%d" % (read.start, read.end - 1)))
        signed = self._signer.sign(b"GET", target, headers, time.time())
        return Ask(self._base, b"GET", target, signed, answer_seconds=ANSWER_SECONDS)

    def _why(self, path: str, fault: Exception) -> str:
        if isinstance(fault, NoSuchObject):
            return f"{path} is not there, or the key may not see it"
        if isinstance(fault, HttpFault) or "cannot be reached" in str(fault):
            return f"no S3 door answers at {self._base} ({fault.__cause__ or fault}); name it by --s3 or CAUSEWAY_S3"
        if "credentials" in str(fault):
            return f"{self._base} refuses {path}; is it the right key, and may it read there?"
        return f"{self._base}: {fault}"
