"""Identity in sixteen bytes: objects and extents as 128-bit hashes, versions in as few bytes as they need.

The hash finds, it never proves: whoever reads bytes compares the whole identity, which lies beside them on disk.
"""

from xxhash import xxh3_128_intdigest

from regioncache.pages import ObjectId

_PLAIN, _PARTS, _OTHER = b"\x01", b"\x02", b"\x00"
_HEX_BYTES = 16


def object_digest(oid: ObjectId) -> int:
    """Returns the object's 128-bit hash."""
    return xxh3_128_intdigest(oid.bucket + oid.key.encode("utf-8", "surrogateescape"))


def extent_digest(of_object: int, version: str, extent: int) -> int:
    """Returns the hash of one extent of one version; extent 0 is found by the object's own."""
    if extent == 0:
        return of_object
    return xxh3_128_intdigest(b"%b%d:%b" % (of_object.to_bytes(16, "little"), extent, version.encode()))


def squeeze(version: str) -> bytes:
    """Returns the version in few bytes: an S3 ETag of 34 characters in 17, one of a multipart upload in 19."""
    if len(version) >= 34 and version[0] == '"' and version[-1] == '"':
        try:
            plain = bytes.fromhex(version[1:33])
            parts = int(version[34:-1]) if version[33] == "-" else 0
            small = _PARTS + plain + parts.to_bytes(2, "little") if parts else _PLAIN + plain
        except (ValueError, OverflowError):
            small = b""
        if small and unsqueeze(small) == version:
            return small
    return _OTHER + version.encode("utf-8", "surrogateescape")


def unsqueeze(small: bytes) -> str:
    """Returns the version that `squeeze` made small."""
    if small[:1] == _PLAIN:
        return f'"{small[1:].hex()}"'
    if small[:1] == _PARTS:
        return f'"{small[1 : 1 + _HEX_BYTES].hex()}-{int.from_bytes(small[1 + _HEX_BYTES :], "little")}"'
    return small[1:].decode("utf-8", "surrogateescape")
