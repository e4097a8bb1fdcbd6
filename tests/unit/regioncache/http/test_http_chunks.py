"""Chunked bodies come apart the same however they are cut on their way, and strictly."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache.http.chunks import BadChunk, Dechunker

RAMP = bytes(range(251)) * 8


def chunked(sizes: list[int], end: bytes = b"0\r\n\r\n") -> bytes:
    body, at = b"", 0
    for size in sizes:
        body += b"%x\r\n%b\r\n" % (size, RAMP[at : at + size])
        at += size
    return body + end


def feed(pieces: list[bytes]) -> tuple[bytes, bytes, bool]:
    dechunker = Dechunker()
    payload = rest = b""
    for piece in pieces:
        found, behind = dechunker.feed(rest + piece)
        payload += b"".join(found)
        rest = behind
    return payload, rest, dechunker.ended


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(at % (len(data) + 1) for at in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(st.lists(st.integers(1, 300), max_size=6), st.lists(st.integers(0, 5000), max_size=12))
def test_the_payload_is_the_same_however_it_is_cut(sizes: list[int], cuts: list[int]) -> None:
    data = chunked(sizes) + b"GET / HTTP/1.1"

    payload, rest, ended = feed(cut(data, cuts))

    assert (payload, rest, ended) == (RAMP[: sum(sizes)], b"GET / HTTP/1.1", True)


def test_extensions_and_trailers_are_passed_over() -> None:
    assert feed([b"3;name=value\r\nabc\r\n0\r\nx-amz-checksum-crc32: AAAA\r\nX-B: c\r\n\r\n"]) == (b"abc", b"", True)


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n", b"g\r\n", b"-1\r\n", b"+1\r\n", b"0x1\r\n", b" 1\r\n", b"1 \r\n", b"1_0\r\n", b"1\n", b"1\r\r\n",
        b"11111111111111111\r\n", b"1" * 300, b"1;" + b"x" * 300 + b"\r\n", b"1;a\0b\r\n", b"3\r\nabcd\r\n",
        b"3\r\nabc\n", b"0\r\nno colon\r\n", b"0\r\n folded: x\r\n", b"0\r\n: x\r\n", b"0\r\n" + b"a: b\r\n" * 3000,
        b"0\r\na: b\n\r\n",
    ],
)  # fmt: skip
def test_what_is_no_chunk_is_refused(data: bytes) -> None:
    with pytest.raises(BadChunk):
        feed([data])


def test_a_line_cannot_grow_without_bound_byte_by_byte() -> None:
    dechunker = Dechunker()

    for _ in range(256):
        dechunker.feed(b"0")

    with pytest.raises(BadChunk):
        dechunker.feed(b"0")
