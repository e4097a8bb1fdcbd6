"""The parts that an object was uploaded in, as far as its ETag tells: S3 writes `"<md5 of md5s>-COUNT"`."""

import re

_UPLOADED = re.compile(r'"[0-9a-fA-F]{32}-([1-9][0-9]{0,4})"')


def parts_of(etag: str) -> int | None:
    """Returns how many parts the object was uploaded in, None for one that was uploaded whole."""
    found = _UPLOADED.fullmatch(etag)
    return int(found[1]) if found else None
