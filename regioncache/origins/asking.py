"""One question to a source over HTTP, told to its crossing: the shell that the S3 origin and the peers share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from regioncache.errors import BadAnswer, CacheError, OriginUnavailable, Refused, SlowDown, Unanswered
from regioncache.http.client import Answer, Ask, Client
from regioncache.http.faults import AnswerCutShort, AnswerTimeout, BadHttp, ConnectFailed, HttpFault, NoTurn
from regioncache.lines.base import Crossing
from regioncache.pages import KIB, Meta, Span

PIECE_BYTES = 64 * KIB
"""Lists and errors are read in pieces of this size; few are larger."""
SIGNED_SECONDS = 60.0
"""A question that waited longer for its line is signed again: stores and nodes refuse what is 15 minutes old."""


async def send(
    client: Client,
    ask: Ask,
    crossing: Crossing,
    length: int,
    *,
    known: bool = True,
    anew: Callable[[], Awaitable[Ask]] | None = None,
) -> Answer:
    """Sends a question whose answer may have `length` payload bytes, once the line has room for it.

    Args:
        known: False where the object's size is not known, so that the answer may be much shorter.
        anew: makes the question again, signed now.

    Raises: Refused, Unanswered, BadAnswer, SlowDown, and what `anew` raises.
    """
    try:
        connection = await client.connect(ask.base, crossing.buffer_wanted(length, known))
        try:
            round_trip = connection.round_trip if connection.fresh else 0.0
            await crossing.prepay(length, connection.receive_buffer, round_trip)
            if anew is not None and crossing.waited > SIGNED_SECONDS:
                ask = await anew()
        except BaseException:
            connection.release()
            raise
        return await client.request(ask, connection)
    except AnswerCutShort as fault:
        raise Unanswered(f"{ask.base} broke off before it answered: {fault}") from fault
    except HttpFault as fault:
        raise mapped(fault, str(ask.base)) from fault


async def meta_body(answer: Answer, crossing: Crossing, limit: int, where: str) -> bytes:
    """Returns the whole body of an answer that brings no page (a list, an error); on a line it counts as `meta`.

    Not for an answer to HEAD, whose length is that of no body.

    Raises: Unanswered, BadAnswer (longer than `limit` bytes), OriginUnavailable.
    """
    told, body = answer.length, bytearray()
    if told is not None:
        crossing.learned(told)
    piece = memoryview(bytearray(PIECE_BYTES))
    while told is None or len(body) < told:
        if max(told or 0, len(body)) > limit:
            raise BadAnswer(f"{where} sent more than the {limit} bytes that are taken of a list or an error")
        room = await crossing.room(min(PIECE_BYTES, told - len(body)) if told is not None else PIECE_BYTES)
        try:
            got = await answer.receive(piece[:room])
        except HttpFault as fault:
            raise mapped(fault, where) from fault
        if not got:
            break
        crossing.read(got)
        crossing.spoil(got, "meta")
        body += piece[:got]
    if told is None:
        crossing.learned(len(body))
    return bytes(body)


def mapped(fault: HttpFault, where: str) -> CacheError:
    """Returns what a fault of the HTTP client means to a reader."""
    if isinstance(fault, NoTurn):
        return SlowDown(f"{where}: {fault}")
    if isinstance(fault, ConnectFailed):
        return Refused(f"{where} cannot be reached: {fault}")
    if isinstance(fault, AnswerTimeout):
        return Unanswered(f"{where} did not answer in time: {fault}")
    if isinstance(fault, BadHttp):
        return BadAnswer(f"{where} answered what is not HTTP: {fault}")
    if isinstance(fault, AnswerCutShort):
        return OriginUnavailable(f"{where} broke off: {fault}")
    return OriginUnavailable(f"{where}: {fault}")


@dataclass(slots=True)
class BodyReading:
    """A ranged reply whose body is the bytes themselves (an S3 GET)."""

    answer: Answer
    crossing: Crossing
    meta: Meta
    span: Span
    where: str
    _left: int = -1

    def __post_init__(self) -> None:
        self._left = len(self.span)
        self.crossing.learned(self._left)

    async def receive(self, into: memoryview) -> int:
        """Reads up to len(into) bytes, as many as the line has room for."""
        if not self._left:
            return 0
        room = await self.crossing.room(min(len(into), self._left))
        try:
            got = await self.answer.receive(into[:room])
        except HttpFault as fault:
            raise mapped(fault, self.where) from fault
        self.crossing.read(got)
        self._left -= got
        if not self._left and self.answer.length is None and await self._more():
            raise BadAnswer(f"{self.where} sent more bytes than the {len(self.span)} that it announced")
        return got

    async def _more(self) -> bool:
        """Whether a reply that told no length goes on behind its range: then it is not what it says."""
        try:
            return await self.answer.receive(memoryview(bytearray(1))) > 0
        except HttpFault as fault:
            raise mapped(fault, self.where) from fault

    def close(self) -> None:
        self.answer.close()
