"""The S3 origin, read side: ranged GET with If-Match, HEAD and ListObjectsV2, with keys as exact bytes.

Path style always: it is what every S3 store serves, whatever its certificate names. Requests carry
`Accept-Encoding: identity`, so that bytes and lengths are the object's own.
"""

import re
import time
from collections.abc import Callable, Container, Sequence
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
    OriginNeedsMending,
    OriginUnavailable,
    RangeOutside,
    VersionChanged,
    WrongVersion,
)
from regioncache.http.canonical import SigningKeys
from regioncache.http.client import Answer, Ask, Base, Client
from regioncache.http.messages import Header
from regioncache.http.sigv4 import Credentials, Signer
from regioncache.lines.base import Crossing
from regioncache.origins.asking import BodyReading, meta_body, send
from regioncache.origins.base import DIGITS, ListAsk, ListPage, Part, Question, Reading, Want, sayable
from regioncache.origins.credentials import Credentialer
from regioncache.origins.refusals import Refusal
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
_STANDARD = (b"x-amz-storage-class", b"STANDARD")
"""The class where none is told: S3 leaves it out (API reference, GetObject), others say it each time."""
_CHECKSUM = CHECKSUM.encode()
ERROR_BYTES = 64 * 1024
"""S3's error documents are a few hundred bytes."""
ANSWER_SECONDS = 10.0
"""For the head of an answer: a healthy store takes 10 to 500 ms, an archive that thaws answers 403."""
QUESTION_SECONDS = 2.0
"""For HEAD: three without an answer in 2 s mean that the origin is away (design, Consistency of a mount)."""
STALL_SECONDS = 10.0
"""Between two pieces of a body; a store that is silent for longer is asked again from where it stopped."""
REDIRECTS = 3
"""Within one host; more are a circle."""
REFUSED_SECONDS = 2.0
"""For so long nothing is asked of a store that has refused our credentials or our clock: it would refuse it too."""
_FIRST_BYTE = (b"range", b"bytes=0-0")
_COMPRESSED = frozenset({b"gzip", b"x-gzip", b"br", b"deflate", b"zstd"})
_CHECKSUM_MODE = (b"x-amz-checksum-mode", b"ENABLED")
_CONTENT_RANGE = re.compile(rb"bytes +(\d{1,18})-(\d{1,18})/(\d{1,18})", re.IGNORECASE)
_HTTP_DATE = re.compile(rb"\w{3}, (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT")
_MONTHS = {month: number for number, month in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}


@dataclass(slots=True)
class _Question:
    """One question as it stands: what a refusal may change of it before it is put again, and what was changed."""

    method: bytes
    target: bytes
    key: str
    headers: list[Header]
    seconds: float
    length: int = 0
    known: bool = True
    explained: bool = False
    """Whether a refused HEAD is put again as a GET of the first byte: an answer to HEAD has no body to say why."""
    asked_at: float = 0.0
    signed: Credentials | None = None
    redirects: int = 0
    renewed: bool = False
    located: bool = False


@dataclass(slots=True)
class S3Origin:
    """One endpoint of one bucket. `region` is the signing region, which most stores do not check.

    Mutable state: `_signer`, of the credentials that were in force last; `region`, once a store has named another;
    `_tells_checksums` until the store refuses to; `_refused`, by when what it has refused may be asked again.
    """

    name: str
    base: Base
    bucket: str
    credentials: Credentialer
    client: Client
    region: str = "us-east-1"
    wall: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    keys: SigningKeys = field(default_factory=SigningKeys, repr=False)
    _signer: Signer | None = field(default=None, init=False, repr=False)
    _tells_checksums: bool = field(default=True, init=False, repr=False)
    _refused: tuple[float, OriginNeedsMending] | None = field(default=None, init=False, repr=False)
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
        asked = _Question(
            b"GET", self._target(want.key), want.key, headers, ANSWER_SECONDS, len(want.span), want.version is not None
        )
        answer = await self._answer(asked, crossing)
        try:
            meta, span = self._ranged(answer, want, asked.asked_at)
            return BodyReading(answer, crossing, meta, span, self.name)
        except BaseException:
            answer.close()
            raise

    async def head(self, question: Question, crossing: Crossing) -> Meta:
        """Asks for the newest version; see `Source.head`."""
        wants = [_CHECKSUM_MODE] if question.checksums and self._tells_checksums else []
        asked = self._heading(self._target(question.key), question.key, wants)
        asked.explained = True
        answer = await self._answer(asked, crossing, {501} if wants else ())
        try:
            if answer.status == 501:
                # Some stores refuse what they do not know, instead of passing it over: who asks again is answered.
                self._tells_checksums = False
                raise self._meaning(Refusal(501), question.key)
            if asked.method == b"HEAD":
                crossing.learned(0)
                return self._meta(answer, _number(answer, b"content-length"), asked.asked_at, checksums=bool(wants))
            await meta_body(answer, crossing, 1, self.name)
            return self._meta(answer, self._whole_size(answer), asked.asked_at, checksums=bool(wants))
        finally:
            answer.close()

    async def part(self, question: Question, number: int, version: Version, crossing: Crossing) -> Part:
        """Asks by a HEAD for one part; see `PartSource.part`."""
        target = b"%b?partNumber=%d" % (self._target(question.key), number)
        asked = self._heading(target, question.key, [(b"if-match", version.encode())])
        answer = await self._answer(asked, crossing, {501})
        crossing.learned(0)
        answer.close()
        if answer.status == 501:
            raise NotSupported(f"{self.name} tells no parts; read the object by ranges")
        return self._part(answer, number)

    async def list(self, ask: ListAsk, question: Question, crossing: Crossing) -> ListPage:
        """Lists by ListObjectsV2; see `Source.list`."""
        query = [("encoding-type", "url"), ("list-type", "2"), ("max-keys", str(ask.limit)), ("prefix", ask.prefix)]
        if ask.delimiter:
            query.append(("delimiter", ask.delimiter))
        if ask.after:
            query.append(("start-after", ask.after))
        text = "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(query))
        target = f"{self._root}?{text}".encode()
        answer = await self._answer(_Question(b"GET", target, "", [], ANSWER_SECONDS), crossing)
        try:
            return parse_list(await meta_body(answer, crossing, LIST_BYTES, self.name), ask)
        finally:
            answer.close()

    def _target(self, key: str) -> bytes:
        # Dots stay as they are: `a/../b` is a key of its own, and nothing on this path tidies it.
        return f"{self._root}/{quote(key, safe='/')}".encode()

    def _heading(self, target: bytes, key: str, headers: Sequence[Header]) -> _Question:
        return _Question(b"HEAD", target, key, [*headers], QUESTION_SECONDS)

    async def _answer(self, asked: _Question, crossing: Crossing, welcome: Container[int] = ()) -> Answer:
        """The answer of 200, 206 or a `welcome` status, where need be after what is amended by asking once more.

        Raises: what another answer means.
        """
        if self._refused is not None and self.clock() < self._refused[0]:
            raise OriginNeedsMending(str(self._refused[1]))

        async def ask() -> Ask:
            return await self._signed(asked)

        while True:
            answer = await send(self.client, await ask(), crossing, asked.length, known=asked.known, anew=ask)
            if answer.status in {200, 206} or answer.status in welcome:
                return answer
            try:
                await self._amend(asked, await self._refusal(asked, answer, crossing))
            finally:
                answer.close()
            crossing.again()

    async def _signed(self, asked: _Question) -> Ask:
        asked.asked_at = self.wall()
        named = [*self._named, *asked.headers]
        credentials = asked.signed = await self.credentials()
        if credentials is not None:
            signer = self._signer
            if signer is None or signer.credentials is not credentials:
                signer = self._signer = Signer(credentials, self.region, keys=self.keys)
            named = signer.sign(asked.method, asked.target, named, self.wall())
        return Ask(
            self.base, asked.method, asked.target, named, answer_seconds=asked.seconds, stall_seconds=STALL_SECONDS
        )

    async def _refusal(self, asked: _Question, answer: Answer, crossing: Crossing) -> Refusal:
        """What an error answer says; its body is read so that the connection can be kept."""
        body = b""
        if asked.method == b"HEAD":
            crossing.learned(0)
        else:
            body = await meta_body(answer, crossing, ERROR_BYTES, self.name)
        return Refusal.parse(answer.status, answer.header, body, self.wall())

    async def _amend(self, asked: _Question, refusal: Refusal) -> None:
        """Changes what was asked so that it may be answered; raises what the refusal means where nothing helps."""
        if refusal.redirects:
            self._follow(asked, refusal)
        elif asked.explained and asked.method == b"HEAD" and refusal.status in {400, 401, 403}:
            asked.method, asked.headers, asked.length = b"GET", [*asked.headers, _FIRST_BYTE], 1
        elif refusal.of_credentials and not asked.renewed and asked.signed is not None:
            asked.renewed = True
            if await self.credentials(asked.signed) in {None, asked.signed}:
                raise self._meaning(refusal, asked.key)
        elif refusal.other_region and refusal.signing_region != self.region and not asked.located:
            asked.located, self.region, self._signer = True, refusal.signing_region, None
        else:
            raise self._meaning(refusal, asked.key)

    def _follow(self, asked: _Question, refusal: Refusal) -> None:
        elsewhere = refusal.elsewhere(self.base)
        if elsewhere:
            raise OriginNeedsMending(
                f"{self.name} redirects to {elsewhere}, and no other host is asked with this bucket's credentials; "
                "give that address as the bucket's endpoint in the topology"
            )
        asked.redirects += 1
        if asked.redirects > REDIRECTS:
            raise BadAnswer(f"{self.name} redirects in a circle, to {refusal.location!r}")
        asked.target = refusal.target()

    def _ranged(self, answer: Answer, want: Want, asked_at: float) -> tuple[Meta, Span]:
        encoded = answer.header(b"content-encoding") in _COMPRESSED
        if encoded and (answer.length is None or (answer.status == 200 and want.version is None)):
            # What is stored so has the length of its range; what is compressed on the way cannot know it.
            raise BadAnswer(
                f"{self.name} sent {want.key!r} compressed although it was asked not to: is a proxy between?"
            )
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
        return Part(_content_range(answer)[0], int(told) if told.isdigit() and len(told) <= DIGITS else 0)

    def _meta(self, answer: Answer, size: int, asked_at: float, *, checksums: bool = False) -> Meta:
        etag, modified = answer.header(b"etag"), answer.header(b"last-modified")
        if not etag:
            raise BadAnswer(f"{self.name} answered without an ETag, so its bytes have no version")
        if etag.startswith(b"W/"):
            # RFC 9110, 8.8.1: under one weak ETag there may be other bytes; proxies that compress make them.
            raise BadAnswer(f"{self.name} answered with the weak ETag {etag!r}: is a proxy between that compresses?")
        begin = (b"x-amz-meta-", _CHECKSUM) if checksums else b"x-amz-meta-"
        kept = tuple(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in answer.headers
            if (name in KEPT_HEADERS and (name, value) != _STANDARD) or name.startswith(begin)
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

    def _whole_size(self, answer: Answer) -> int:
        return _content_range(answer)[1] if answer.status == 206 else _number(answer, b"content-length")

    def _meaning(self, refusal: Refusal, key: str) -> CacheError:
        where = f"{self.name}: {key!r}" if key else self.name
        if refusal.lasts:
            return self._refuse(refusal)
        match refusal.status:
            case 400 if key and refusal.of_key:
                return KeyRefused(f"{where}: the origin takes no such key")
            case 404:
                return NoSuchObject(f"{where} does not exist")
            case 401 | 403:
                return OriginForbids(f"{where}: the origin refuses this bucket's credentials{refusal.named}")
            case 412:
                return VersionChanged(f"{where} was overwritten")
            case 416:
                return RangeOutside(refusal.size)
            case 503 | 429:
                return OriginBusy(f"{where}: the origin asks to slow down", refusal.retry_after)
            case status if status >= 500:
                return OriginUnavailable(f"{where}: the origin answered {status}{refusal.named}", refusal.retry_after)
            case status:
                return BadAnswer(f"{where}: the origin answered {status}{refusal.named}")

    def _refuse(self, refusal: Refusal) -> OriginNeedsMending:
        """What holds for every question, for a while."""
        if refusal.of_clocks:
            why = f"{refusal.skew}{refusal.named}, and requests are signed with the time; set the clocks (NTP, chrony)"
        else:
            why = f"it does not accept this bucket's credentials{refusal.named}; put valid ones in their place"
        fault = OriginNeedsMending(f"{self.name}: {why}")
        self._refused = (self.clock() + REFUSED_SECONDS, fault)
        return fault


def _number(answer: Answer, name: bytes) -> int:
    value = answer.header(name) or b""
    if not value.isdigit() or len(value) > DIGITS:
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


def _http_date(value: bytes | None) -> float:
    """Seconds since the epoch. What HTTP writes (RFC 9110, 5.6.7) is read at once, what it also bears by `email`."""
    found = _HTTP_DATE.fullmatch(value or b"")
    try:
        if found is not None:
            day, month, year, hour, minute, second = found.groups()
            date = datetime(int(year), _MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=UTC)
        else:
            date = parsedate_to_datetime((value or b"").decode("latin-1"))
        return sayable(date.timestamp())
    except (ValueError, TypeError, KeyError, OverflowError) as fault:
        raise BadAnswer(f"Last-Modified {value!r} is no HTTP date") from fault
