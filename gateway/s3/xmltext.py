"""Text inside S3's XML: escaped, or percent-encoded where the client asked for `encoding-type=url`."""

import re
from typing import Final
from urllib.parse import quote

DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"

# Quotes may stand in an element's content, and every ETag has two.
# A bare CR would reach the client as LF (XML 1.0, 2.11). The other controls and U+FFFE, U+FFFF cannot stand in XML 1.0
# at all; S3 writes character references for them, which lenient parsers read: no name is ever changed or left out.
_SPECIAL = re.compile("[&<>\x00-\x08\x0b-\x1f\ufffe\uffff]")
_SAFE: Final = "/-_.~*"
_TO_ENCODE = re.compile(f"[^A-Za-z0-9{re.escape(_SAFE)}]")
_NAMED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape(text: str) -> str:
    """Returns `text` as the content of an element."""
    if _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(_reference, text)


def url_encode(text: str) -> str:
    """Returns `text` percent-encoded, `/` left alone, as `encoding-type=url` asks."""
    return text if _TO_ENCODE.search(text) is None else quote(text, safe=_SAFE)


def _reference(found: re.Match[str]) -> str:
    char = found[0]
    return _NAMED.get(char) or f"&#{ord(char)};"
