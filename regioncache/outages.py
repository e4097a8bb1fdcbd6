"""Tells that a way to a bucket is away, and that it is back: once each, however many reads find it out.

The nodes of a region are the same for all of its buckets: they are told of once, at the first bucket and at the last.
"""

from collections.abc import Container, Iterable

from regioncache.health import FIRST_PROBE_SECONDS, LAST_PROBE_SECONDS, WayId
from regioncache.tidings import Tidings

_Thing = tuple[str, str]
"""What is told of: a region's nodes, or one bucket's endpoint."""


class Outages:
    """Mutable state: `_away`, the ways that are away with since when (monotonic), by what is told of; `_unmended`."""

    def __init__(self, tidings: Tidings) -> None:
        self._tidings = tidings
        self._away: dict[_Thing, dict[WayId, float]] = {}
        self._unmended: set[WayId] = set()

    def refuses(self, way: WayId, why: Exception) -> None:
        """A way answers, but what an operator must mend keeps it from answering well."""
        if way not in self._unmended:
            self._unmended.add(way)
            self._tidings.warning(f"{why}; meanwhile what is cached is served")

    def accepts(self, way: WayId) -> None:
        """A way has answered well."""
        if way in self._unmended:
            self._unmended.discard(way)
            self._tidings.news(f"{_named(way)} can be read again")

    def gone(self, way: WayId, line: str | None, why: Exception, known: Iterable[WayId], now: float) -> None:
        """A way was taken as away because of `why`.

        Args:
            line: that its bytes cross, or None.
            known: the ways that are left to this region and answer, of any bucket.
            now: monotonic seconds.
        """
        ways = self._away.setdefault(_thing(way), {})
        ways[way] = now
        if len(ways) == 1:
            over = "" if line is None else f" over line {line}"
            self._tidings.warning(f"{_named(way)}{over} is away: {why}; {_instead(way, known)}")

    def back(self, way: WayId, now: float) -> None:
        """A way that was away has answered."""
        thing = _thing(way)
        ways = self._away.get(thing, {})
        since = ways.pop(way, None)
        if since is None or ways:
            return
        del self._away[thing]
        self._tidings.news(f"{_named(way)} is back, {max(0.0, now - since):.1f} s after it was found away")

    def keep(self, known: Container[WayId]) -> None:
        """From now on only these ways are; of others nothing more is told."""
        kept = {thing: {way: at for way, at in ways.items() if way in known} for thing, ways in self._away.items()}
        self._away = {thing: ways for thing, ways in kept.items() if ways}
        self._unmended = {way for way in self._unmended if way in known}


def _thing(way: WayId) -> _Thing:
    bucket, kind, where = way
    return ("", where) if kind == "region" else (bucket, where)


def _named(way: WayId) -> str:
    bucket, kind, where = way
    return f"region {where} (bucket {bucket})" if kind == "region" else f"bucket {bucket} at {where}"


def _instead(way: WayId, known: Iterable[WayId]) -> str:
    others = [f"{'region ' if kind == 'region' else ''}{where}" for bucket, kind, where in known if bucket == way[0]]
    rest = f"its other ways are asked: {', '.join(others)}" if others else "what is not cached is answered 503"
    return (
        f"meanwhile what is cached is served, {rest}; "
        f"it is tried again after {FIRST_PROBE_SECONDS:g} to {LAST_PROBE_SECONDS:g} s"
    )
