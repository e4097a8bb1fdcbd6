"""Questions that clients ask in passing, answered with S3's empty forms: no versions, no tags, an owner who may all."""

from typing import Final

from gateway.s3.asked import check_version
from gateway.s3.base import Caller, Files
from gateway.s3.buckets import Buckets, xml_reply
from gateway.s3.listxml import OWNER
from gateway.s3.visit import Visit
from gateway.s3.xmltext import NAMESPACE
from regioncache.http.messages import Reply

_ACL: Final = (
    f'<AccessControlPolicy xmlns="{NAMESPACE}">{OWNER}<AccessControlList><Grant>'
    '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">'
    "<ID>causeway</ID><DisplayName>causeway</DisplayName></Grantee><Permission>FULL_CONTROL</Permission>"
    "</Grant></AccessControlList></AccessControlPolicy>"
)
_VERSIONING: Final = f'<VersioningConfiguration xmlns="{NAMESPACE}"/>'
_TAGGING: Final = f'<Tagging xmlns="{NAMESPACE}"><TagSet></TagSet></Tagging>'


class EmptyForms:
    """Answers them, for buckets and objects that are there and that the key may see."""

    __slots__ = ("_buckets", "_files")

    def __init__(self, files: Files, buckets: Buckets) -> None:
        self._files = files
        self._buckets = buckets

    def versioning(self, visit: Visit, caller: Caller) -> Reply:
        """Answers GetBucketVersioning: never enabled."""
        self._buckets.require(visit.target, caller, visit.target.root)
        return xml_reply(visit, _VERSIONING)

    def bucket_acl(self, visit: Visit, caller: Caller) -> Reply:
        """Answers GetBucketAcl."""
        self._buckets.require(visit.target, caller, visit.target.root)
        return xml_reply(visit, _ACL)

    async def object_acl(self, visit: Visit, caller: Caller) -> Reply:
        """Answers GetObjectAcl. Raises what `Files` raises."""
        return await self._of_object(visit, caller, _ACL)

    async def object_tagging(self, visit: Visit, caller: Caller) -> Reply:
        """Answers GetObjectTagging. Raises what `Files` raises."""
        return await self._of_object(visit, caller, _TAGGING)

    async def _of_object(self, visit: Visit, caller: Caller, form: str) -> Reply:
        check_version(visit.target.query.get("versionId"))
        await self._files.stat(caller, visit.target.path)
        return xml_reply(visit, form)
