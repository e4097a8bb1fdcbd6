"""The XML of ListObjects and ListObjectsV2, by string building: 1,000 keys in some 2 ms."""

from collections.abc import Callable
from typing import Final

from gateway.s3.dates import IsoDates
from gateway.s3.listing import ListQuery, next_marker, token_of
from gateway.s3.xmltext import DECLARATION, NAMESPACE, escape, url_encode
from regioncache.origins.base import ListPage

OWNER: Final = "<Owner><ID>causeway</ID><DisplayName>causeway</DisplayName></Owner>"
"""Keys decide who may do what; S3's owner means nothing here and is always the same."""


def render(bucket: str, query: ListQuery, page: ListPage, root: int, iso: IsoDates) -> bytes:
    """Returns one page of a list as S3 writes it.

    Args:
        page: keys, prefixes and `next_after` are paths; of each the first `root` characters are not the client's.
    """
    next_after = None if page.next_after is None else page.next_after[root:]
    name = url_encode if query.url else escape
    parts = [DECLARATION, f'<ListBucketResult xmlns="{NAMESPACE}"><Name>{escape(bucket)}</Name>']
    parts.append(f"<Prefix>{name(query.prefix)}</Prefix>")
    if query.v2:
        parts += _head_v2(query, len(page.entries) + len(page.prefixes), next_after, name)
    else:
        parts += _head_v1(query, None if next_after is None else next_marker(page)[root:], name)
    parts += bounds(query, page, name)
    owner = OWNER if query.owner else ""
    parts += [
        f"<Contents><Key>{name(entry.key[root:])}</Key><LastModified>{iso(entry.last_modified)}</LastModified>"
        f"<ETag>{escape(entry.etag)}</ETag><Size>{entry.size}</Size>{owner}"
        f"<StorageClass>{escape(entry.storage_class)}</StorageClass></Contents>"
        for entry in page.entries
    ]
    parts += common_prefixes(page, root, name)
    parts.append("</ListBucketResult>")
    return "".join(parts).encode()


def bounds(query: ListQuery, page: ListPage, name: Callable[[str], str]) -> list[str]:
    """Returns what every kind of list says of how it was asked for and whether it goes on; `name` writes a name."""
    parts = [f"<MaxKeys>{query.max_keys}</MaxKeys>"]
    if query.delimiter:
        parts.append(f"<Delimiter>{name(query.delimiter)}</Delimiter>")
    if query.url:
        parts.append("<EncodingType>url</EncodingType>")
    parts.append(f"<IsTruncated>{'false' if page.next_after is None else 'true'}</IsTruncated>")
    return parts


def common_prefixes(page: ListPage, root: int, name: Callable[[str], str]) -> list[str]:
    """Returns the rolled-up prefixes of a page; arguments as `render`, and `name` writes a name."""
    return [f"<CommonPrefixes><Prefix>{name(prefix[root:])}</Prefix></CommonPrefixes>" for prefix in page.prefixes]


def _head_v2(query: ListQuery, count: int, next_after: str | None, name: Callable[[str], str]) -> list[str]:
    parts = [f"<KeyCount>{count}</KeyCount>"]
    if query.start_after:
        parts.append(f"<StartAfter>{name(query.start_after)}</StartAfter>")
    if query.token is not None:
        parts.append(f"<ContinuationToken>{escape(query.token)}</ContinuationToken>")
    if next_after is not None:
        parts.append(f"<NextContinuationToken>{token_of(next_after)}</NextContinuationToken>")
    return parts


def _head_v1(query: ListQuery, marker: str | None, name: Callable[[str], str]) -> list[str]:
    parts = [f"<Marker>{name(query.start_after)}</Marker>"]
    if marker is not None:
        # S3 gives it only with a delimiter; a client that looks for it always goes on too.
        parts.append(f"<NextMarker>{name(marker)}</NextMarker>")
    return parts
