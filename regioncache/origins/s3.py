"""The S3 origin, read side: ranged GET with If-Match, HEAD and ListObjectsV2, with keys as exact bytes.

Path style always: it is what every S3 store serves, whatever its certificate names. Requests carry
`Accept-Encoding: identity`, so that bytes and lengths are the object's own.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from regioncache.checksums import CHECKSUM
from regioncache.errors import (
    BadAnswer,
    CacheError,
    KeyRefused,
    NoSuchObject,
    NotSupported,
    OriginBusy,
    OriginForbids,
    OriginUnavailable,
    RangeOutside,
    VersionChanged,
    WrongVersion,
)
from regioncache.http.canonical import SigningKeys
from regioncache.http.client import Answer, Ask, Base, Client
from regioncache.http.messages import Header
from regioncache.http.sigv4 import Signer
from regioncache.lines.base import Crossing
from regioncache.origins.asking import BodyReading, meta_body, send
from regioncache.origins.base import ListAsk, ListPage, Part, Question, Reading, Want
from regioncache.origins.credentials import Credentialer
from regioncache.origins.s3list import LIST_BYTES, parse_list
from regioncache.pages import Meta, Span, Version

KEPT_HEADERS = frozenset(
    (
        b"cache-control",
        b"content-disposition",
        b"content-encoding",
        b"content-language",
        b"expires",
        b"x-amz-storage-class",
        b"x-amz-website-redirect-location",
    )
)
"""Headers that belong to the object and go back to the client unchanged, beside x-amz-meta-*."""
_CHECKSUM = CHECKSUM.encode()
ERROR_BYTES = 64 * 1024
"""S3's error documents are a few hundred bytes."""
ANSWER_SECONDS = 10.0
"""For the head of an answer: a healthy store takes 10 to 500 ms, an archive that thaws answers 403."""
QUESTION_SECONDS = 2.0
"""For HEAD: three without an answer in 2 s mean that the origin is away (design, Consistency of a mount)."""
STALL_SECONDS = 10.0
"""Between two pieces of a body; a store that is silent for longer is asked again from where it stopped."""
LONGEST_RETRY_SECONDS = 60.0
_KEY_CODES = frozenset({b"KeyTooLongError", b"InvalidURI", b"InvalidObjectName", b"XMinioInvalidObjectName", b"400"})
"""Codes of a 400 that speak of the key (versitygw writes the bare status for `a//` and `../a`); others may speak of
our credentials."""
_CHECKSUM_MODE = (b"x-amz-checksum-mode", b"ENABLED")
_CONTENT_RANGE = re.compile(rb"bytes +(\d+)-(\d+)/(\d+)", re.IGNORECASE)
_HTTP_DATE = re.compile(rb"\w{3}, (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT")
_MONTHS = {month: number for number, month in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}


@dataclass(slots=True)
class S3Origin:
    """One endpoint of one bucket. `region` is the signing region, which most stores do not check.

    Mutable state: `_signer`, of the credentials that were in force last; `_tells_checksums` until the store refuses to.
    """

    name: str
    base: Base
    bucket: str
    credentials: Credentialer
    client: Client
    region: str = "us-east-1"
    wall: Callable[[], float] = time.time
    keys: SigningKeys = field(default_factory=SigningKeys, repr=False)
    _signer: Signer | None = field(default=None, init=False, repr=False)
    _tells_checksums: bool = field(default=True, init=False, repr=False)
    _named: list[Header] = field(init=False, repr=False)
    _root: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._named = [(b"host", self.base.authority), (b"accept-encoding", b"identity")]
        self._root = f"/{quote(self.bucket, safe='')}"

    async def read(self, want: Want, crossing: Crossing) -> Reading:
        """Opens a ranged GET; see `Source.read`."""
        headers: list[Header] = [(b"range", b"bytes=%d-%d" % (want.span.start, want.span.end - 1))]
        if want.version is not None:
            headers.append((b"if-match", want.version.encode()))
        asked_at = 0.0

        async def ask() -> Ask:
            nonlocal asked_at
            asked_at = self.wall()
            return await self._ask(b"GET", self._target(want.key), headers, ANSWER_SECONDS)

        known = want.version is not None
        answer = await send(self.client, await ask(), crossing, len(want.span), known=known, anew=ask)
        try:
            if answer.status not in {200, 206}:
                raise await self._fault(answer, crossing, want.key)
            meta, span = self._ranged(answer, want, asked_at)
            return BodyReading(answer, crossing, meta, span, self.name)
        except BaseException:
            answer.close()
            raise

    async def head(self, question: Question, crossing: Crossing) -> Meta:
        """Asks for the newest version; see `Source.head`."""
        asked_at, key = self.wall(), question.key
        wants = [_CHECKSUM_MODE] if question.checksums and self._tells_checksums else []
        answer = await self._headed(self._target(key), wants, crossing)
        if wants and answer.status == 501:
            # Some stores refuse what they do not know, instead of passing it over: who asks again is answered.
            self._tells_checksums = False
        if answer.status != 200:
            raise self._meaning(answer, key)
        return self._meta(answer, _number(answer, b"content-length"), asked_at, checksums=bool(wants))

    async def part(self, question: Question, number: int, version: Version, crossing: Crossing) -> Part:
        """Asks by a HEAD for one part; see `PartSource.part`."""
        target = b"%b?partNumber=%d" % (self._target(question.key), number)
        answer = await self._headed(target, [(b"if-match", version.encode())], crossing)
        if answer.status == 501:
            raise NotSupported(f"{self.name} tells no parts; read the object by ranges")
        if answer.status not in {200, 206}:
            raise self._meaning(answer, question.key)
        return self._part(answer, number)

    async def _headed(self, target: bytes, headers: Sequence[Header], crossing: Crossing) -> Answer:
        """The head of an answer to HEAD, which has no body to be read."""
        answer = await send(self.client, await self._ask(b"HEAD", target, headers, QUESTION_SECONDS), crossing, 0)
        crossing.learned(0)
        answer.close()
        return answer

    async def list(self, ask: ListAsk, question: Question, crossing: Crossing) -> ListPage:
        """Lists by ListObjectsV2; see `Source.list`."""
        query = [("encoding-type", "url"), ("list-type", "2"), ("max-keys", str(ask.limit)), ("prefix", ask.prefix)]
        if ask.delimiter:
            query.append(("delimiter", ask.delimiter))
        if ask.after:
            query.append(("start-after", ask.after))
        text = "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(query))
        target = f"{self._root}?{text}".encode()
        answer = await send(self.client, await self._ask(b"GET", target, [], ANSWER_SECONDS), crossing, 0)
        try:
            if answer.status != 200:
                raise await self._fault(answer, crossing, "")
            return parse_list(await meta_body(answer, crossing, LIST_BYTES, self.name), ask)
        finally:
            answer.close()

    def _target(self, key: str) -> bytes:
        # Dots stay as they are: `a/../b` is a key of its own, and nothing on this path tidies it.
        return f"{self._root}/{quote(key, safe='/')}".encode()

    async def _ask(self, method: bytes, target: bytes, headers: Sequence[Header], answer_seconds: float) -> Ask:
        named = [*self._named, *headers]
        credentials = await self.credentials()
        if credentials is not None:
            signer = self._signer
            if signer is None or signer.credentials is not credentials:
                signer = self._signer = Signer(credentials, self.region, keys=self.keys)
            named = signer.sign(method, target, named, self.wall())
        return Ask(self.base, method, target, named, answer_seconds=answer_seconds, stall_seconds=STALL_SECONDS)

    def _ranged(self, answer: Answer, want: Want, asked_at: float) -> tuple[Meta, Span]:
        if answer.header(b"content-encoding") in {b"gzip", b"br", b"deflate"} and answer.status == 200:
            raise BadAnswer(f"{self.name} sent {want.key!r} compressed although it was asked not to")
        if answer.status == 200:
            size = _number(answer, b"content-length")
            span = Span(0, size)
            if want.span.start or size > want.span.end:
                raise BadAnswer(f"{self.name} answered a range of {want.key!r} with the whole object")
        else:
            span, size = _content_range(answer)
            if span.start != want.span.start or span.end != min(want.span.end, size):
                raise BadAnswer(
                    f"{self.name} sent bytes {span.start}-{span.end} of {want.key!r} instead of those asked"
                )
        if answer.length is not None and answer.length != len(span):
            raise BadAnswer(f"{self.name} announced {answer.length} bytes of {want.key!r} for a range of {len(span)}")
        meta = self._meta(answer, size, asked_at)
        if want.version is not None and meta.version != want.version:
            raise WrongVersion(f"{self.name} sent {want.key!r} in version {meta.version} instead of {want.version}")
        return meta, span

    def _part(self, answer: Answer, number: int) -> Part:
        told = answer.header(b"x-amz-mp-parts-count") or b""
        if answer.header(b"content-range") is None:
            # Of an object of one part a store may answer as of the whole; one that passed the question over does too.
            if number != 1 or told not in {b"", b"1"}:
                raise NotSupported(f"{self.name} does not say where a part lies; read the object by ranges")
            return Part(Span(0, _number(answer, b"content-length")), 1)
        return Part(_content_range(answer)[0], int(told) if told.isdigit() else 0)

    def _meta(self, answer: Answer, size: int, asked_at: float, *, checksums: bool = False) -> Meta:
        etag, modified = answer.header(b"etag"), answer.header(b"last-modified")
        if not etag:
            raise BadAnswer(f"{self.name} answered without an ETag, so its bytes have no version")
        begin = (b"x-amz-meta-", _CHECKSUM) if checksums else b"x-amz-meta-"
        kept = tuple(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in answer.headers
            if name in KEPT_HEADERS or name.startswith(begin)
        )
        text = etag.decode("latin-1")
        return Meta(
            Version(text),
            size,
            text,
            _http_date(modified),
            (answer.header(b"content-type") or b"binary/octet-stream").decode("latin-1"),
            kept,
            asked_at,
        )

    async def _fault(self, answer: Answer, crossing: Crossing, key: str) -> CacheError:
        """Returns what an error answer means; its body is read so that the connection can be kept."""
        body = await meta_body(answer, crossing, ERROR_BYTES, self.name)
        if key and answer.status == 400 and body.partition(b"<Code>")[2].partition(b"</Code>")[0] in _KEY_CODES:
            return KeyRefused(f"{self.name}: {key!r}: the origin takes no such key")
        return self._meaning(answer, key)

    def _meaning(self, answer: Answer, key: str) -> CacheError:
        where = f"{self.name}: {key!r}" if key else self.name
        match answer.status:
            case 404:
                return NoSuchObject(f"{where} does not exist")
            case 401 | 403:
                return OriginForbids(f"{where}: the origin refuses this bucket's credentials")
            case 412:
                return VersionChanged(f"{where} was overwritten")
            case 416:
                return RangeOutside(_total(answer.header(b"content-range")))
            case 503 | 429:
                return OriginBusy(f"{where}: the origin asks to slow down", _retry_after(answer))
            case status if status >= 500:
                return OriginUnavailable(f"{where}: the origin answered {status}", _retry_after(answer))
            case status:
                return BadAnswer(f"{where}: the origin answered {status}")


def _number(answer: Answer, name: bytes) -> int:
    value = answer.header(name) or b""
    if not value.isdigit():
        raise BadAnswer(f"an answer without a usable {name.decode()}")
    return int(value)


def _content_range(answer: Answer) -> tuple[Span, int]:
    value = answer.header(b"content-range") or b""
    found = _CONTENT_RANGE.fullmatch(value)
    if found is None:
        raise BadAnswer(f"Content-Range {value!r} is none of a ranged answer")
    first, last, total = map(int, found.groups())
    if not first <= last < total:
        raise BadAnswer(f"Content-Range {value!r} lies outside the object")
    return Span(first, last + 1), total


def _total(content_range: bytes | None) -> int:
    total = (content_range or b"").rpartition(b"/")[2]
    return int(total) if total.isdigit() else 0


def _retry_after(answer: Answer) -> float:
    value = answer.header(b"retry-after") or b""
    return min(float(value), LONGEST_RETRY_SECONDS) if value.isdigit() else 1.0


def _http_date(value: bytes | None) -> float:
    """Seconds since the epoch. What HTTP writes (RFC 9110, 5.6.7) is read at once, what it also bears by `email`."""
    found = _HTTP_DATE.fullmatch(value or b"")
    try:
        if found is not None:
            day, month, year, hour, minute, second = found.groups()
            at = datetime(int(year), _MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=UTC)
            return at.timestamp()
        return parsedate_to_datetime((value or b"").decode("latin-1")).timestamp()
    except (ValueError, TypeError, KeyError) as fault:
        raise BadAnswer(f"Last-Modified {value!r} is no HTTP date") from fault
