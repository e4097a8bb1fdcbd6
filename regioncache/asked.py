"""What a door, or a node of another region, asks the cache for: one read of a place, on the terms that it has there."""

from dataclasses import dataclass, field

from namespace.resolver import Place
from regioncache.opened import Terms
from regioncache.origins.base import Hops, Payer
from regioncache.pages import ObjectId, Version, Wanted
from regioncache.standing import Standing

NO_OBJECT = ObjectId(b"", "")


@dataclass(slots=True)
class Asked:
    """One read: the place, the bytes, who pays, over which regions it came, and on what terms.

    `version`: only this one will do (a peer reads on from pages it has). `kept` says whether its pages are kept, once
    that was decided: a read that starts again is no second one. `checksums`: the metadata shall tell them.
    """

    place: Place
    wanted: Wanted
    payer: Payer
    terms: Terms
    hops: Hops = ()
    version: Version | None = None
    oid: ObjectId = field(default=NO_OBJECT)
    kept: bool | None = None
    checksums: bool = False
    standing: Standing = Standing.READER

    def __post_init__(self) -> None:
        if self.oid is NO_OBJECT:
            self.oid = ObjectId(self.place.bucket.id, self.place.key)
