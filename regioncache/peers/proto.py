"""Frames between nodes, sans-IO: what a node answers when another one reads pages.

A reply is a chunked HTTP/1.1 body whose chunks are frames, one frame a chunk: a 32-byte header and, for bytes and
faults, a payload. The receiver checks a frame before anything of it is handed on; a beat each second while nothing
lands tells that the far side lives; a reply that does not end with an end frame is cut short.
"""

import struct
from enum import IntEnum
from typing import NamedTuple

from xxhash import xxh3_64_intdigest

from regioncache.errors import BadAnswer
from regioncache.http.messages import Buffer
from regioncache.pages import BLOCK_BYTES, STEP_BYTES

PROTOCOL = 1
"""Nodes talk to nodes of this version and the one before."""

_HEADER = struct.Struct("<BBHIQQQ")  # kind, 0, 0, payload bytes, object offset, xxh3_64 of the payload, 0
HEADER_BYTES = _HEADER.size
FRAME_BYTES = BLOCK_BYTES
"""The most a frame carries: small enough that a reader's first byte does not wait for a page (design, section 5)."""
MOST_FRAME_BYTES = STEP_BYTES
"""The most it carries to who asks for such frames: members of a region, where no line lies between. Of what lands a
frame carries no more than has landed, whoever asked."""

BEAT_SECONDS = 1.0
SILENCE_SECONDS = 3.0
"""After three missed beats the far side is gone (design, section 6)."""


class Kind(IntEnum):
    BEAT = 0
    BYTES = 1
    END = 2
    FAULT = 3


_KINDS = tuple(Kind)


class Head(NamedTuple):
    """A frame's header: `length` payload bytes follow, which lie at `offset` of the object.

    A named tuple: one is made for each frame, in a third of a dataclass's time.
    """

    kind: Kind
    length: int
    offset: int
    digest: int


def frame(kind: Kind, offset: int = 0, payload: Buffer = b"") -> bytes:
    """Returns the header of a frame; the payload is sent behind it."""
    digest = xxh3_64_intdigest(payload) if len(payload) else 0
    return _HEADER.pack(kind, 0, 0, len(payload), offset, digest, 0)


def parse(header: Buffer) -> Head:
    """Returns the parsed header of `HEADER_BYTES` bytes; raises BadAnswer for one that no node sends."""
    kind, _, _, length, offset, digest, _ = _HEADER.unpack(header)
    if kind > Kind.FAULT or length > MOST_FRAME_BYTES:
        raise BadAnswer(f"a frame of kind {kind} with {length} bytes is none of protocol {PROTOCOL}")
    return Head(_KINDS[kind], length, offset, digest)


def check(head: Head, payload: Buffer) -> None:
    """Raises BadAnswer unless the payload is the one the header was made for."""
    if head.length and xxh3_64_intdigest(payload) != head.digest:
        raise BadAnswer(f"the frame at {head.offset} arrived with a flipped bit")
