"""Operations on buckets: which there are, whether one is, where it is, and what it holds.

A bucket is the first component below `/ns`, as far as the caller's key may see it. Without a grant the answer is 403,
whether it exists or not.
"""

from typing import Final

from gateway.s3.base import Caller, Files, ListPath
from gateway.s3.codes import Refusal
from gateway.s3.dates import IsoDates
from gateway.s3.listing import ListQuery, list_query, max_buckets, read_token, token_of, versions_query
from gateway.s3.listxml import OWNER, render
from gateway.s3.refusals import xml_lines
from gateway.s3.request import TREE, Target
from gateway.s3.versionsxml import render_versions
from gateway.s3.visit import Visit
from gateway.s3.xmltext import DECLARATION, NAMESPACE, escape
from namespace.resolver import Resolver
from regioncache.http.messages import Reply
from regioncache.origins.base import ListPage

BORN: Final = "1970-01-01T00:00:00.000Z"
"""CreationDate of every bucket: mounts have none, and S3 clients insist on a date."""
_DEFAULT_REGION: Final = "us-east-1"
"""S3 writes this region's name as an empty LocationConstraint."""


class Buckets:
    """Answers requests about buckets."""

    __slots__ = ("_files", "_iso", "_resolver")

    def __init__(self, files: Files, resolver: Resolver, iso: IsoDates) -> None:
        self._files = files
        self._resolver = resolver
        self._iso = iso

    def exists(self, target: Target) -> bool:
        """Whether there is such a bucket: a mount, what leads to one, or a name inside a mount at `/ns` itself."""
        table = self._resolver.table
        return target.root == TREE or table.exists(target.root) or table.find(target.root) is not None

    def require(self, target: Target, caller: Caller, beginning: str) -> None:
        """Raises `Refusal`: AccessDenied if the key may see nothing that begins so, NoSuchBucket only if it may."""
        if not caller.key.may_list(beginning):
            raise Refusal("AccessDenied")
        if not self.exists(target):
            raise Refusal("NoSuchBucket", details=(("BucketName", target.bucket),))

    def head(self, visit: Visit, caller: Caller) -> Reply:
        """Answers HeadBucket."""
        self.require(visit.target, caller, visit.target.root)
        region = (b"x-amz-bucket-region", visit.region.encode())
        return Reply(200, (region,), encoded=f"x-amz-request-id: {visit.id}\r\n".encode())

    def location(self, visit: Visit, caller: Caller) -> Reply:
        """Answers GetBucketLocation: the region that the request was signed for.

        Clients sign what follows for the region that is answered here; every region is accepted, so the one in use is
        the one that surely works.
        """
        self.require(visit.target, caller, visit.target.root)
        region = "" if visit.region == _DEFAULT_REGION else escape(visit.region)
        return xml_reply(visit, f'<LocationConstraint xmlns="{NAMESPACE}">{region}</LocationConstraint>')

    async def list_objects(self, visit: Visit, caller: Caller, *, v2: bool) -> Reply:
        """Answers ListObjects and ListObjectsV2."""
        target = visit.target
        query = list_query(target.query, v2=v2)
        page = await self._page(target, caller, query)
        body = render(target.bucket, query, page, len(target.root), self._iso)
        return Reply(200, body=body, encoded=xml_lines(visit.id))

    async def list_versions(self, visit: Visit, caller: Caller) -> Reply:
        """Answers ListObjectVersions: each object once, with the version `null` that it has in S3 without versioning.

        Some clients clean up by this list.
        """
        target = visit.target
        query = versions_query(target.query)
        page = await self._page(target, caller, query)
        body = render_versions(target.bucket, query, page, len(target.root), self._iso)
        return Reply(200, body=body, encoded=xml_lines(visit.id))

    async def list_buckets(self, visit: Visit, caller: Caller) -> Reply:
        """Answers ListBuckets: the first components below `/ns` that the key may see."""
        query = visit.target.query
        limit = max_buckets(query.get("max-buckets", ""))
        token = query.get("continuation-token")
        prefix = query.get("prefix", "")
        names, position = await self._names(caller, prefix, "" if token is None else read_token(token), limit)
        buckets = "".join(
            f"<Bucket><Name>{escape(name)}</Name><CreationDate>{BORN}</CreationDate></Bucket>" for name in names
        )
        more = f"<ContinuationToken>{token_of(position)}</ContinuationToken>" if position is not None else ""
        asked = f"<Prefix>{escape(prefix)}</Prefix>" if prefix else ""
        return xml_reply(
            visit,
            f'<ListAllMyBucketsResult xmlns="{NAMESPACE}">{OWNER}<Buckets>{buckets}</Buckets>{more}{asked}'
            "</ListAllMyBucketsResult>",
        )

    async def _page(self, target: Target, caller: Caller, query: ListQuery) -> ListPage:
        root = target.root
        self.require(target, caller, root + query.prefix)
        if not query.max_keys:
            return ListPage()
        after = root + query.after if query.after else ""
        return await self._files.list(caller, ListPath(root + query.prefix, after, query.delimiter, query.max_keys))

    async def _names(self, caller: Caller, prefix: str, after: str, limit: int) -> tuple[list[str], str | None]:
        """Up to `limit` bucket names behind the path `after`, and where the next page begins, None at the end."""
        names: list[str] = []
        position: str | None = after
        while position is not None and len(names) < limit:
            ask = ListPath(TREE + prefix, position, "/", min(limit - len(names), 1000))
            page = await self._files.list(caller, ask)
            names += [found[len(TREE) : -1] for found in page.prefixes]
            position = page.next_after
        return names, position


def xml_reply(visit: Visit, xml: str) -> Reply:
    """A reply whose body is an XML document."""
    return Reply(200, body=(DECLARATION + xml).encode(), encoded=xml_lines(visit.id))
