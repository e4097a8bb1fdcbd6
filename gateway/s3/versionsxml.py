"""The XML of ListObjectVersions for buckets without versioning: every object is its newest version, `null`."""

from gateway.s3.dates import IsoDates
from gateway.s3.listing import ListQuery, next_marker
from gateway.s3.listxml import OWNER, bounds, common_prefixes
from gateway.s3.xmltext import DECLARATION, NAMESPACE, escape, url_encode
from regioncache.origins.base import ListPage


def render_versions(bucket: str, query: ListQuery, page: ListPage, root: int, iso: IsoDates) -> bytes:
    """Returns one page of a list of versions as S3 writes it; arguments as `listxml.render`."""
    name = url_encode if query.url else escape
    parts = [
        f'{DECLARATION}<ListVersionsResult xmlns="{NAMESPACE}"><Name>{escape(bucket)}</Name>'
        f"<Prefix>{name(query.prefix)}</Prefix><KeyMarker>{name(query.start_after)}</KeyMarker>"
        f"<VersionIdMarker>{escape(query.token or '')}</VersionIdMarker>"
    ]
    if page.next_after is not None:
        marker = next_marker(page)
        parts.append(f"<NextKeyMarker>{name(marker[root:])}</NextKeyMarker>")
        if page.entries and page.entries[-1].key == marker:
            parts.append("<NextVersionIdMarker>null</NextVersionIdMarker>")
    parts += bounds(query, page, name)
    parts += [
        f"<Version><Key>{name(entry.key[root:])}</Key><VersionId>null</VersionId><IsLatest>true</IsLatest>"
        f"<LastModified>{iso(entry.last_modified)}</LastModified><ETag>{escape(entry.etag)}</ETag>"
        f"<Size>{entry.size}</Size><StorageClass>{escape(entry.storage_class)}</StorageClass>{OWNER}</Version>"
        for entry in page.entries
    ]
    parts += common_prefixes(page, root, name)
    parts.append("</ListVersionsResult>")
    return "".join(parts).encode()
