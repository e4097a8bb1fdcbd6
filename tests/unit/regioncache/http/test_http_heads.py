"""Heads: what is a request, what is refused and with which status; replies cannot be broken apart by a header."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache.http.heads import BadAnswerHead, BadRequest, HeadParser, check_host, parse_answer, reply_head


def head_of(text: bytes) -> HeadParser:
    parser = HeadParser()
    parser.parse(text + b"\r\n\r\n")
    return parser


def status_of(text: bytes) -> int:
    with pytest.raises(BadRequest) as caught:
        head_of(text)
    return caught.value.status


def test_a_head_is_its_exact_bytes() -> None:
    head = head_of(b"GET /b/a%2Fb//..%2e?x=%41&y HTTP/1.1\r\nHost: h:1\r\nX-Odd:  a  b \t\r\nX-Odd: \xff")

    assert (head.method, head.target) == (b"GET", b"/b/a%2Fb//..%2e?x=%41&y")
    assert head.headers == [(b"host", b"h:1"), (b"x-odd", b"a  b"), (b"x-odd", b"\xff")]
    assert (head.length, head.keep_alive, head.old) == (0, True, False)


def test_one_parser_reads_one_head_after_the_other() -> None:
    parser = HeadParser()
    texts = [b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n", b"PUT /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"] * 2

    found = []
    for text in texts:
        parser.parse(text)
        found.append((parser.target, parser.length, len(parser.headers)))

    assert found == [(b"/1", 0, 1), (b"/2", 9, 2)] * 2


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nContent-Length: 5",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 0\r\nContent-Length: 0",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Content-Length: 0\r\nTransfer-Encoding: chunked",
        b"Content-Length: +5",
        b"Content-Length: -5",
        b"Content-Length: 5, 5",
        b"Content-Length: 0x5",
        b"Content-Length:",
        b"Content-Length: 99999999999999999999999",
        b"Content-Length : 5",
        b" Content-Length: 5",
        b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: identity",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding:\x0bchunked",
        b"X: a\r\n folded: b",
        b"X: a\r\n\tfolded: b",
        b"X: a\0b",
        b"X: a\rb",
        b"X: a\nY: b",
        b"X\0: a",
        b"X Y: a",
        b": a",
        b"no colon",
        b"X\xff: a",
    ],
)
def test_a_head_that_two_servers_could_read_in_two_ways_is_refused(lines: bytes) -> None:
    assert status_of(b"POST / HTTP/1.1\r\nHost: h\r\n" + lines) == 400


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/1.2", 505),
        (b"GET / HTTP/0.9", 505),
        (b"PRI * HTTP/2.0", 505),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET  /a HTTP/1.1", 400),
        (b"GET /a  HTTP/1.1", 400),
        (b"GET /a HTTP/1.1 ", 400),
        (b"GET /a\tb HTTP/1.1", 400),
        (b"GET /\0 HTTP/1.1", 400),
        (b"GET /\xff HTTP/1.1", 400),
        (b"GET /a#b HTTP/1.1", 400),
        (b"GET a HTTP/1.1", 400),
        (b"GET * HTTP/1.1", 400),
        (b"GET http:///a HTTP/1.1", 400),
        (b"GET http://u:p@h/a HTTP/1.1", 400),
        (b"GET ftp://h/a HTTP/1.1", 400),
        (b"get / HTTP/1.1", 400),
        (b"FOO / HTTP/1.1", 400),
        (b"CONNECT h:1 HTTP/1.1", 501),
        (b"CONNECT /a HTTP/1.1", 501),
        (b"\x16\x03\x01 / HTTP/1.1", 400),
    ],
)
def test_a_request_line_that_is_none_is_refused(line: bytes, status: int) -> None:
    assert status_of(line + b"\r\nHost: h") == status


def test_a_coding_that_is_not_understood_is_501() -> None:
    assert status_of(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked") == 501


def test_chunks_are_unknown_to_http_1_0() -> None:
    assert status_of(b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked") == 400


@pytest.mark.parametrize(
    ("target", "origin_form", "host"),
    [
        (b"http://other:9/a//b?x=1", b"/a//b?x=1", b"other:9"),
        (b"HTTPS://other", b"/", b"other"),
        (b"http://other?x=/", b"/?x=/", b"other"),
        (b"//a", b"//a", b"h"),
    ],
)
def test_an_absolute_target_becomes_a_path_and_its_host_the_host(
    target: bytes, origin_form: bytes, host: bytes
) -> None:
    head = head_of(b"GET %b HTTP/1.1\r\nHost: h" % target)

    assert (head.target, head.headers) == (origin_form, [(b"host", host)])


def test_an_upgrade_is_not_taken_up_and_its_body_stays_a_body() -> None:
    offer = b"Connection: Upgrade\r\nUpgrade: h2c"

    heads = [head_of(b"POST / HTTP/1.1\r\nHost: h\r\n%b\r\nContent-Length: 5" % offer)]
    heads += [head_of(b"GET / HTTP/1.1\r\nHost: h\r\n%b" % offer)]

    assert [(head.length, head.keep_alive) for head in heads] == [(5, True), (0, True)]


@pytest.mark.parametrize(
    ("text", "keep_alive"),
    [
        (b"GET / HTTP/1.1\r\nHost: h", True),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Close", False),
        (b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: x, close", False),
        (b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: close", False),
        (b"GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive", False),
    ],
)
def test_connections_are_kept_as_the_client_says_and_never_in_http_1_0(text: bytes, keep_alive: bool) -> None:
    assert head_of(text).keep_alive is keep_alive


@pytest.mark.parametrize("lines", [[], [(b"host", b"a"), (b"host", b"a")]])
def test_http_1_1_names_exactly_one_host(lines: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(BadRequest):
        check_host(lines, old=False)


@given(st.binary(max_size=200))
def test_noise_is_refused_or_read_but_never_breaks_the_parser(noise: bytes) -> None:
    with contextlib.suppress(BadRequest):
        head = head_of(noise)

        assert head.target[:1] in (b"/", b"*")


@pytest.mark.parametrize("value", [b"a\r\nSet-Cookie: x", b"a\nb", b"a\rb", b"a\0b"])
def test_a_reply_header_cannot_bring_another_header(value: bytes) -> None:
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        reply_head(200, [(b"a", b"b"), (b"x-amz-meta-a", value)], b"")


def test_a_reply_of_any_status_has_a_status_line() -> None:
    assert reply_head(206, [(b"a", b"b")], b"C: d\r\n") == b"HTTP/1.1 206 Partial Content\r\na: b\r\nC: d\r\n\r\n"
    assert reply_head(299, [], b"") == b"HTTP/1.1 299 \r\n\r\n"


@pytest.mark.parametrize(
    "text",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1",
        b"HTTP/2.0 200 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b",
        b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: h2c",
        b"ICY 200 OK",
        b"",
    ],
)
def test_an_answer_that_could_be_read_in_two_ways_is_refused(text: bytes) -> None:
    with pytest.raises(BadAnswerHead):
        parse_answer(text + b"\r\n\r\n", to_head=False)


@pytest.mark.parametrize(
    ("text", "to_head", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5", False, (5, False, True)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5", True, (5, False, True)),
        (b"HTTP/1.1 200\r\nTransfer-Encoding: Chunked", False, (None, True, True)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", True, (None, False, True)),
        (b"HTTP/1.1 200 OK", False, (None, False, False)),
        (b"HTTP/1.1 200 OK", True, (None, False, True)),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5", False, (5, False, True)),
        (b"HTTP/1.1 204 No Content", False, (None, False, True)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close", False, (5, False, False)),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5", False, (5, False, False)),
    ],
)
def test_an_answers_body_is_framed_by_its_head(
    text: bytes, to_head: bool, expected: tuple[int | None, bool, bool]
) -> None:
    head = parse_answer(text + b"\r\n\r\n", to_head)

    assert (head.length, head.chunked, head.keep_alive) == expected
