"""Where the parts lie that an object was uploaded in. Only its origin knows; it is asked once for each part.

A version's parts never move, so what was told stays true, and is remembered up to a limit. That an object has parts at
all, and how many, its ETag tells: S3 writes `"<md5 of md5s>-COUNT"`.
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable
from functools import partial

from regioncache.asked import Asked
from regioncache.errors import NoSuchObject, NotSupported, OriginForbids, RangeOutside, VersionChanged
from regioncache.lines.base import Crossing
from regioncache.origins.base import Part, PartSource, Question
from regioncache.owners.owners import Owners
from regioncache.pages import ObjectId, Version
from regioncache.questions import Questions
from regioncache.sources import Route

_UPLOADED = re.compile(r'"[0-9a-fA-F]{32}-([1-9][0-9]{0,4})"')
_FINAL = (NoSuchObject, OriginForbids, VersionChanged, RangeOutside)
_KNOWN = 65_536
"""Parts remembered: some 20 MB, the parts of six objects of the most there can be."""

_Subject = tuple[ObjectId, Version, int]


def parts_of(etag: str) -> int | None:
    """Returns how many parts the object was uploaded in, None for one that was uploaded whole."""
    found = _UPLOADED.fullmatch(etag)
    return int(found[1]) if found else None


class PartTable:
    """Parts by object, version and number. Mutable state: `_known`, oldest first; `questions` under way."""

    def __init__(self, owners: Owners, limit: int = _KNOWN) -> None:
        self.questions: Questions[Part] = Questions()
        self._owners = owners
        self._limit = limit
        self._known: OrderedDict[_Subject, Part] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    async def find(self, asked: Asked, version: Version, number: int) -> Part:
        """Returns part `number`, from 1, of this version.

        Raises: VersionChanged, RangeOutside (there is no such part), NotSupported (no source tells parts),
        NoSuchObject, OriginForbids, OriginUnavailable, SlowDown.
        """
        subject = (asked.oid, version, number)
        known = self._known.get(subject)
        if known is not None:
            self._known.move_to_end(subject)
            return known
        through = self._owners.through(asked.oid, 0, asked.standing)
        ask = partial(self._ask, asked, version, number, through=through)
        return await asyncio.shield(self.questions.ask((subject, through), ask))

    async def stop(self) -> None:
        """Ends all questions."""
        await self.questions.stop()

    async def _ask(self, asked: Asked, version: Version, number: int, *, through: bool) -> Part:
        def ask(route: Route, question: Question, crossing: Crossing) -> Awaitable[Part]:
            if not isinstance(route.source, PartSource):
                raise NotSupported(f"{route.source.name} tells no parts; read the object by ranges")
            return route.source.part(question, number, version, crossing)

        question = Question(asked.place.key, asked.payer, asked.hops)
        keeper = partial(self._owners.ownership.owner, asked.oid, 0) if through else None
        part = await self._owners.tell(keeper, asked.place, question, "part", ask, _FINAL)
        self._keep((asked.oid, version, number), part)
        return part

    def _keep(self, subject: _Subject, part: Part) -> None:
        self._known[subject] = part
        if len(self._known) > self._limit:
            self._known.popitem(last=False)
