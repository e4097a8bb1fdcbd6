"""Why a path is served as it is, from what is known here: mount, bucket, version, ways, pages, rules, last wait."""

from gateway.admin.answers import Explanation, LastWait, RuleShown, WayShown
from gateway.admin.operations import BadOperation, UnknownPath
from gateway.operating.running import Running
from namespace.consistency import Immutable, MaxAge
from namespace.errors import NamespaceError
from namespace.model import Mount
from namespace.resolver import Place
from namespace.routes import candidates
from regioncache.pages import Meta, ObjectId, Span, cover
from regioncache.sources import way_id
from regioncache.store.base import WouldBlock


class Explaining:
    """`explain` of `gateway.admin.operations.Watching`."""

    running: Running

    async def explain(self, path: str) -> Explanation:
        """Explains a path. Raises UnknownPath, BadOperation."""
        place = self._place(path)
        oid = ObjectId(place.bucket.id, place.key)
        meta = await self._known(oid)
        page_bytes = place.bucket.page
        pages = cover(Span(0, meta.size), page_bytes) if meta is not None else Span(0, 0)
        read = self.running.recent.of(path)
        waited = read.waited if read is not None else None
        return Explanation(
            path=path,
            mount=place.mount.path,
            bucket=place.bucket.name,
            key=place.key,
            consistency=_consistency(place.mount),
            meta=meta,
            age_seconds=None if meta is None else max(0.0, self.running.wall() - meta.learned_at),
            page_bytes=page_bytes,
            pages_held=0 if meta is None else self._held(oid, meta, page_bytes, pages),
            pages=len(pages),
            ways=self._ways(place),
            rules=self._rules(path),
            last_wait=None if waited is None else LastWait(waited.line, waited.cls, waited.seconds),
        )

    def _place(self, path: str) -> Place:
        try:
            place = self.running.app.resolver.find(path)
        except NamespaceError as wrong:
            raise BadOperation(str(wrong)) from wrong
        if place is None:
            mounts = ", ".join(self.running.app.resolver.topology.mounts) or "none"
            raise UnknownPath(f"no mount has {path!r}; mounts: {mounts}")
        return place

    async def _known(self, oid: ObjectId) -> Meta | None:
        meta = self.running.app.catalog.find(oid)
        if meta is not None:
            return meta
        try:
            return self.running.app.store.recall_now(oid)
        except WouldBlock:
            return await self.running.app.store.recall(oid)

    def _held(self, oid: ObjectId, meta: Meta, page_bytes: int, pages: Span) -> int:
        store = self.running.app.store
        return sum(run.end - run.start for run in store.present(oid, meta.version, page_bytes, pages))

    def _ways(self, place: Place) -> tuple[WayShown, ...]:
        app, region = self.running.app, self.running.settings.region
        shown, chosen = [], False
        for candidate in candidates(app.resolver.topology, place.mount, region):
            way, why = candidate.way, candidate.why
            if way is None:
                shown.append(WayShown("none", region, candidate.what, None, False, why))
                continue
            away = app.health.away(way_id(place.bucket.name, way))
            taken = not away and not chosen
            chosen = chosen or taken
            why = f"{why}; away at present" if away else why
            shown.append(WayShown(way.kind, way.region, candidate.what, way.line, taken, why))
        return tuple(shown)

    def _rules(self, path: str) -> tuple[RuleShown, ...]:
        in_force = self.running.in_force
        if in_force.pair is None:
            return ()
        found, cache = in_force.rules.match(path), in_force.pair.policy.cache
        return tuple(
            RuleShown(setting, str(getattr(found, setting)), str(cache[index].match), in_force.rule_at(index, setting))
            for setting, index in found.by.items()
        )


def _consistency(mount: Mount) -> str:
    match mount.consistency:
        case Immutable():
            return "immutable"
        case MaxAge(seconds):
            return f"max_age {seconds:g}s"
        case _:
            return "validate"
