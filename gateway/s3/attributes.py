"""GetObjectAttributes: the facts of an object without its bytes, as far as they are known here.

Parts are counted, not listed: S3 lists them only for some uploads, and clients that need one ask by `partNumber`.
"""

from typing import Final

from gateway.s3.asked import check_version
from gateway.s3.base import Caller, Files
from gateway.s3.codes import Refusal
from gateway.s3.dates import HttpDates
from gateway.s3.refusals import xml_lines
from gateway.s3.visit import Visit
from gateway.s3.xmltext import DECLARATION, NAMESPACE, escape
from regioncache.checksums import CHECKSUM
from regioncache.http.messages import Reply
from regioncache.pages import Meta
from regioncache.parts import parts_of

_NAMES: Final = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")
"""All there are, in the order in which S3 writes them."""
_HIGHEST: Final = 0x7FFFFFFF


class Attributes:
    """Answers GetObjectAttributes."""

    __slots__ = ("_dates", "_files")

    def __init__(self, files: Files, dates: HttpDates) -> None:
        self._files = files
        self._dates = dates

    async def get(self, visit: Visit, caller: Caller) -> Reply:
        """Answers. Raises what `Files` raises, and `Refusal` for what cannot be read."""
        check_version(visit.target.query.get("versionId"))
        headers = visit.request.first
        for name in (b"x-amz-max-parts", b"x-amz-part-number-marker"):
            _check_number(name, headers.get(name))
        names = _asked(b",".join(value for name, value in visit.request.headers if name == b"x-amz-object-attributes"))
        opened = await self._files.stat(caller, visit.target.path, checksums="Checksum" in names)
        body = "".join(_element(name, opened.meta) for name in _NAMES if name in names)
        xml = f'{DECLARATION}<GetObjectAttributesResponse xmlns="{NAMESPACE}">{body}</GetObjectAttributesResponse>'
        dated = f"last-modified: {self._dates(opened.meta.last_modified)}\r\n".encode()
        return Reply(200, body=xml.encode(), encoded=xml_lines(visit.id) + dated)


def _asked(value: bytes) -> set[str]:
    names = {name.strip() for name in value.decode("latin-1").split(",")} - {""}
    details = (("ArgumentName", "x-amz-object-attributes"), ("ArgumentValue", value.decode("latin-1")))
    if not names:
        message = (
            "The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty"
        )
        raise Refusal("InvalidArgument", message, details)
    if not names <= set(_NAMES):
        raise Refusal("InvalidArgument", f"Invalid attribute name specified; known: {', '.join(_NAMES)}.", details)
    return names


def _check_number(name: bytes, value: bytes | None) -> None:
    if value is not None and not (value.isdigit() and len(value) <= 10 and int(value) <= _HIGHEST):
        details = (("ArgumentName", name.decode()), ("ArgumentValue", value.decode("latin-1")))
        raise Refusal("InvalidArgument", f"Provided {name.decode()} not an integer or within integer range", details)


def _element(name: str, meta: Meta) -> str:
    match name:
        case "ETag":
            bare = meta.etag.strip('"')  # S3 writes it without its quotes here, and only here
            return f"<ETag>{escape(bare)}</ETag>"
        case "Checksum":
            return _checksum(meta)
        case "ObjectParts":
            parts = parts_of(meta.etag)
            return "" if parts is None else f"<ObjectParts><PartsCount>{parts}</PartsCount></ObjectParts>"
        case "StorageClass":
            stored = dict(meta.headers).get("x-amz-storage-class", "STANDARD")
            return f"<StorageClass>{escape(stored)}</StorageClass>"
        case _:
            return f"<ObjectSize>{meta.size}</ObjectSize>"


def _checksum(meta: Meta) -> str:
    found = [(name.removeprefix(CHECKSUM), value) for name, value in meta.headers if name.startswith(CHECKSUM)]
    texts = "".join(f"<{_title(name)}>{escape(value)}</{_title(name)}>" for name, value in found)
    return f"<Checksum>{texts}</Checksum>" if texts else ""


def _title(name: str) -> str:
    """The element of a checksum: ChecksumCRC32, ChecksumSHA256, ChecksumType."""
    return "ChecksumType" if name == "type" else f"Checksum{name.upper()}"
