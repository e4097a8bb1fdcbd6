"""Does what is to be pinned fit? Its objects are listed at the origin and summed, before anything is put in force.

The sum stops as soon as it is too much. What cannot be listed, or not in time, is told and not refused: pins must not
hang on an origin that is away.
"""

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from gateway.walking import Walk
from namespace import paths
from policy.match import Rules
from policy.model import CacheRule
from policy.pattern import Pattern
from policy.units import show_size
from regioncache.errors import CacheError
from regioncache.store.keeping import PINNED_SHARE

LISTING_SECONDS = 20.0
"""For all listings of one check: a million objects at a near origin; the command line waits for a minute."""


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A rule, by its index, with which more is pinned than fits."""

    rule: int
    message: str


@dataclass(slots=True)
class Fitting:
    """One check. Mutable state: `total`, bytes summed so far, and `warnings`."""

    walk: Walk
    cache_bytes: int
    """Of all cache paths."""
    total: int
    """Bytes; those that commands have pinned to begin with."""
    commands: Collection[str]
    """Paths that they pinned: what lies beneath is counted already."""
    warnings: list[str]

    @property
    def room(self) -> int:
        """Bytes that may be pinned."""
        return int(self.cache_bytes * PINNED_SHARE)

    async def rules(self, cache: Sequence[CacheRule], seconds: float = LISTING_SECONDS) -> TooLarge | None:
        """Returns the first rule with which more is pinned than fits; what could not be summed is in `warnings`."""
        pinning = [index for index, rule in enumerate(cache) if rule.pin]
        rules = Rules(cache)
        try:
            async with asyncio.timeout(seconds):
                for index in pinning:
                    before = self.total
                    if await self._rule(rules, cache[index], index):
                        return TooLarge(index, self._too_large(self.total - before, before))
        except TimeoutError:
            self.warnings.append(
                f"what the cache rules pin could not be summed within {seconds:g} s ({show_size(self.total)} so far):"
                f" if it is more than {show_size(self.room)}, what is pinned last is not kept"
            )
        return None

    async def path(self, path: str, seconds: float = LISTING_SECONDS) -> int | None:
        """Returns the bytes beneath a path, as far as they fit; None where they could not be summed, with a warning."""
        before = self.total
        try:
            async with asyncio.timeout(seconds), aclosing(self.walk.objects(path)) as objects:
                async for entry in objects:
                    self.total += entry.size
                    if self.total > self.room:
                        break
        except (CacheError, TimeoutError) as fault:
            why = str(fault) or f"not within {seconds:g} s"
            self.warnings.append(f"what lies beneath {path} could not be summed: {why}")
            return None
        return self.total - before

    async def _rule(self, rules: Rules, rule: CacheRule, index: int) -> bool:
        """Adds what a rule pins; returns whether it is too much."""
        try:
            async with aclosing(self._roots(rule)) as roots:
                async for root in roots:
                    if await self._root(rules, index, root):
                        return True
        except CacheError as fault:
            self.warnings.append(f"what the cache rule of {rule.match} pins could not be summed: {fault}")
        return False

    async def _root(self, rules: Rules, index: int, root: str) -> bool:
        async with aclosing(self.walk.objects(root)) as objects:
            async for entry in objects:
                if rules.match(entry.key).by.get("pin") != index:
                    continue
                if any(paths.covers(command, entry.key) for command in self.commands):
                    continue
                self.total += entry.size
                if self.total > self.room:
                    return True
        return False

    async def _roots(self, rule: CacheRule) -> AsyncGenerator[str]:
        """The paths beneath which lies what the rule pins."""
        assert rule.pin is not None
        parts = rule.match.parts
        plain = parts.index("**") if "**" in parts else len(parts)
        if not any("*" in part for part in parts[:plain]):
            yield "/".join(("/ns", *parts[:plain]))
            return
        left = rule.pin.newest
        async with aclosing(self.walk.matching(Pattern.parse("/".join(("/ns", *parts[:plain]))))) as found:
            async for path in found:
                yield path
                left = None if left is None else left - 1
                if left == 0:
                    return

    def _too_large(self, nbytes: int, before: int) -> str:
        beside = f", beside {show_size(before)} that are pinned before it," if before else ""
        return (
            f"the rule pins {show_size(nbytes)} at least{beside} and {show_size(self.room)} may be pinned,"
            f" {PINNED_SHARE:.0%} of the cache's {show_size(self.cache_bytes)}; pin less, or give the cache more room"
        )
