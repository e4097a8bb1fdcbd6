"""What is fuzzed: each parser that strangers reach, as a function of bytes that raises where a promise is broken.

A parser may refuse by the faults that it declares and by nothing else, and what it takes must hold together.
"""

import contextlib
from collections.abc import Callable

from gateway.pairs import File, inspect
from gateway.s3 import ranges, request
from gateway.s3.codes import Refusal
from gateway.s3.conditions import Conditions, range_holds
from policy import yamlfile
from policy.errors import Faults
from regioncache.errors import BadAnswer
from regioncache.http.arriving import NO_BODY
from regioncache.http.chunks import BadChunk, Dechunker
from regioncache.http.claims import SignatureFault, Verifier
from regioncache.http.heads import BadAnswerHead, BadRequest, HeadParser, check_host, parse_answer
from regioncache.http.messages import Request
from regioncache.origins.base import ListAsk
from regioncache.origins.s3list import parse_list

GOOD_HEAD = b"GET /good?a=b HTTP/1.1\r\nHost: good\r\nX-One: 1\r\n\r\n"
SIZES = (0, 1, 5, 1 << 20, 5 << 40)
NOW = 1_793_318_400.0


def heads(data: bytes) -> None:
    """A request's head, what it means to S3, and what its signature claims; then a good one by the same parser."""
    parser = HeadParser()
    head, mark, _ = data.partition(b"\r\n\r\n")
    with contextlib.suppress(BadRequest):
        parser.parse(head + (mark or b"\r\n\r\n"))
        check_host(parser.headers, parser.old)
        assert parser.target[:1] == b"/" or parser.target == b"*"
        assert parser.length is None or parser.length >= 0
        with contextlib.suppress(Refusal):
            target = request.parse(parser.target)
            assert target.path.startswith("/ns/")
        with contextlib.suppress(SignatureFault):
            verifier = Verifier()
            asked = Request(parser.method, parser.target, parser.headers, NO_BODY)
            claim = verifier.claim(asked)
            if claim is not None:
                verifier.check(claim, asked, "a-secret-that-nobody-has", NOW)
                raise AssertionError("a signature that nobody made was taken")
        if parser.keep_alive:
            parser.parse(GOOD_HEAD)
            assert (parser.target, parser.headers) == (b"/good?a=b", [(b"host", b"good"), (b"x-one", b"1")])


def answers(data: bytes) -> None:
    """An origin's head."""
    data = data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    for to_head in (True, False):
        with contextlib.suppress(BadAnswerHead):
            head = parse_answer(data, to_head)
            assert 100 <= head.status <= 999
            assert head.length is None or head.length >= 0


def chunks(data: bytes) -> None:
    """A chunked body, whole and in pieces as long as its first byte says: the payload must be the same."""
    whole, cut = _dechunked([data]), max(1, data[0] if data else 1)
    pieces = _dechunked([data[at : at + cut] for at in range(0, len(data), cut)])
    assert whole[:2] == pieces[:2]


def _dechunked(pieces: list[bytes]) -> tuple[bytes, bool, str]:
    payload, dechunker = bytearray(), Dechunker()
    try:
        for piece in pieces:
            found, _ = dechunker.feed(piece)
            for one in found:
                payload += one
    except BadChunk as bad:
        # What came before the fault depends on how it was cut: a feed that raises hands out nothing.
        return b"", False, str(bad)
    return bytes(payload), dechunker.ended, ""


def spans(data: bytes) -> None:
    """A Range header, and the conditions beside it."""
    found = ranges.wanted(data)
    for size in SIZES:
        span = None if found is None else found.of(size)
        assert span is None or 0 <= span.start <= span.end <= size
    range_holds(data, '"etag"', NOW)
    with contextlib.suppress(Refusal):
        Conditions(data, data, data, data).changed('"etag"', NOW)


def lists(data: bytes) -> None:
    """An origin's list."""
    with contextlib.suppress(BadAnswer):
        page = parse_list(data, ListAsk("a", "ab"))
        assert all(entry.key.startswith("a") and entry.key > "ab" for entry in page.entries)


def files(data: bytes) -> None:
    """A topology or a policy: refused by faults with a place, or read."""
    with contextlib.suppress(Faults):
        yamlfile.parse(data, "fuzzed.yaml")
    with contextlib.suppress(Faults, UnicodeDecodeError):
        inspect((File("fuzzed.yaml", data.decode()),))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "request": heads,
    "answer": answers,
    "chunk": chunks,
    "range": spans,
    "xml": lists,
    "yaml": files,
}
