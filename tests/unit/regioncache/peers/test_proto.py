"""Frames between nodes: what is packed is parsed, and what no node sends is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regioncache.errors import BadAnswer
from regioncache.peers.proto import HEADER_BYTES, MOST_FRAME_BYTES, Head, Kind, check, frame, parse


@given(st.sampled_from(list(Kind)), st.integers(0, 2**63), st.binary(max_size=1000))
def test_a_frame_is_parsed_as_it_was_made(kind: Kind, offset: int, payload: bytes) -> None:
    head = parse(frame(kind, offset, payload))

    assert (head.kind, head.offset, head.length) == (kind, offset, len(payload))
    check(head, payload)


def test_a_header_has_its_size_and_the_largest_payload_fits() -> None:
    made = frame(Kind.BYTES, 0, bytes(MOST_FRAME_BYTES))

    assert len(made) == HEADER_BYTES
    assert parse(made).length == MOST_FRAME_BYTES


@given(st.binary(min_size=1, max_size=300), st.data())
def test_a_flipped_bit_of_the_payload_is_found(payload: bytes, data: st.DataObject) -> None:
    head = parse(frame(Kind.BYTES, 7, payload))
    at = data.draw(st.integers(0, len(payload) * 8 - 1))
    flipped = bytearray(payload)
    flipped[at // 8] ^= 1 << at % 8

    with pytest.raises(BadAnswer, match="flipped bit"):
        check(head, flipped)


@pytest.mark.parametrize("made", [frame(Kind.BYTES, 0, bytes(MOST_FRAME_BYTES + 1)), b"\x04" + frame(Kind.END)[1:]])
def test_what_no_node_sends_is_refused(made: bytes) -> None:
    with pytest.raises(BadAnswer, match="none of protocol"):
        parse(made)


def test_a_beat_and_an_end_carry_nothing() -> None:
    assert parse(frame(Kind.BEAT)) == Head(Kind.BEAT, 0, 0, 0)
    check(parse(frame(Kind.END)), b"")
