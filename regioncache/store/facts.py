"""The facts of an object as they lie on disk, in an extent's header and before a packed object's bytes.

A fixed part with the lengths, the key as it is, then the texts, parted by NUL (which no header value may hold).
"""

import struct

from xxhash import xxh3_128_intdigest

from regioncache.pages import Meta, ObjectId, Version
from regioncache.store.base import KEY_LIMIT

_FIXED = struct.Struct("<16sQddHH")  # bucket, size, last modified, learned at, length of the key, length of the texts
_BUCKET_BYTES = 16
FACTS_LIMIT = 4096 - 64
"""Facts share one page of 4 KiB with the header's own fields: that page is replaced whole or not at all."""


class FactsTooLarge(ValueError):
    """Key or metadata do not fit into a header: the object is not kept."""


def encode(oid: ObjectId, meta: Meta) -> bytes:
    """Returns the facts. Raises FactsTooLarge when they cannot be kept."""
    key = oid.key.encode("utf-8", "surrogateescape")
    words = [meta.version, meta.etag, meta.content_type, *(word for pair in meta.headers for word in pair)]
    texts = "\0".join(words).encode("utf-8", "surrogateescape")
    if texts.count(0) != len(words) - 1:
        raise FactsTooLarge(f"metadata of {oid.key!r} hold a NUL")
    if len(key) > KEY_LIMIT or _FIXED.size + len(key) + len(texts) > FACTS_LIMIT:
        raise FactsTooLarge(f"metadata of {oid.key!r} are larger than {FACTS_LIMIT} bytes")
    fixed = _FIXED.pack(oid.bucket, meta.size, meta.last_modified, meta.learned_at, len(key), len(texts))
    return fixed + key + texts


def decode(raw: memoryview, learned_at: float | None = None) -> tuple[ObjectId, Meta]:
    """Returns whose facts these are and the facts; the caller has checked `raw`'s checksum.

    Args:
        learned_at: what was learned later than the facts were written, if it was.
    """
    bucket, size, last_modified, written_at, key_length, texts_length = _FIXED.unpack_from(raw)
    texts_at = _FIXED.size + key_length
    key = str(raw[_FIXED.size : texts_at], "utf-8", "surrogateescape")
    words = str(raw[texts_at : texts_at + texts_length], "utf-8", "surrogateescape").split("\0")
    headers = tuple(zip(words[3::2], words[4::2], strict=True)) if len(words) > 3 else ()
    meta = Meta(
        Version(words[0]),
        size,
        words[1],
        last_modified,
        words[2],
        headers,
        written_at if learned_at is None else learned_at,
    )
    return ObjectId(bucket, key), meta


Outline = tuple[int, str, int, float]
"""Of an object's facts: the object's hash, version, size, learned at."""


def outline(raw: memoryview) -> Outline:
    """Reads what the index wants, and nothing else: a start reads a hundred thousand of these."""
    _, size, _, learned_at, key_length, texts_length = _FIXED.unpack_from(raw)
    texts_at = _FIXED.size + key_length
    digest = xxh3_128_intdigest(b"".join((raw[:_BUCKET_BYTES], raw[_FIXED.size : texts_at])))
    version, _, _ = bytes(raw[texts_at : texts_at + texts_length]).partition(b"\0")
    return digest, version.decode("utf-8", "surrogateescape"), size, learned_at
