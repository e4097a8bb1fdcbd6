"""Pins: what may not leave the cache, by rules and by commands; and what shall leave it at once.

A pin is durable before it is in force, and in force before it is answered.
"""

from collections.abc import Awaitable, Collection
from typing import TypeVar

from gateway.admin.answers import FreedShown, Pinned, PinRuleShown, Pins, PinShown, Unpinned
from gateway.admin.operations import BadOperation, UnknownPath
from gateway.files import Files
from gateway.fitting import Fitting, TooLarge
from gateway.operating.looking import ADMIN
from gateway.operating.running import Running
from gateway.pairs import Pair
from gateway.walking import Walk
from namespace import paths
from namespace.errors import KeyExists, NamespaceError, UnknownKey
from namespace.keeping import NamespaceAway, Superseded
from namespace.store.base import PinnedPath
from policy.match import Rules
from policy.model import CacheRule
from policy.units import show_size
from policy.yamlfile import Faults
from regioncache.recent import Recent
from regioncache.store.keeping import PINNED_SHARE

Kept = TypeVar("Kept")


class Pinning:
    """`gateway.admin.operations.Pinning`, and what an apply wants to know of it."""

    running: Running

    async def pins(self) -> Pins:
        """What is pinned, by commands and by rules."""
        running, held = self.running, self.running.app.store.statistics()
        partitions, in_force = running.app.regrouping.partitions, running.in_force
        rules = tuple(
            PinRuleShown(
                str(rule.match), str(rule.pin), in_force.rule_at(index, "pin"), partitions.newest(str(rule.match))
            )
            for index, rule in enumerate(self._cache())
            if rule.pin
        )
        commands = tuple(_shown(pin) for pin in self._commands())
        return Pins(commands, rules, held.pinned_bytes, int(held.limit_bytes * PINNED_SHARE))

    async def pin(self, path: str, author: str) -> Pinned:
        """Pins a path and all beneath it. Raises UnknownPath, BadOperation."""
        running, place = self.running, self._mounted(path)
        match = running.in_force.rules.match(place)
        if match.admit == "never":
            at = running.in_force.rule_at(match.by["admit"], "admit")
            raise BadOperation(f"{place} is never admitted to the cache, by the rule at {at}; change the policy first")
        fitting = self._fitting(running.files, self._commands(), place)
        nbytes = await self._fits(fitting, place)
        async with running.changing:
            pin = PinnedPath(place, author, running.wall(), nbytes)
            await self._kept(running.namespace.add_pin(pin))
        return Pinned(_shown(pin), tuple(fitting.warnings))

    async def unpin(self, path: str, author: str) -> Unpinned:
        """Takes a pin back. Raises UnknownPath, BadOperation."""
        running, place = self.running, _place(path)
        async with running.changing:
            removed = await self._kept(running.namespace.remove_pin(place, author, running.wall()))
        still = self._pinned_by(place)
        if removed is None and still:
            raise BadOperation(f"{place} is pinned {still}")
        if removed is None:
            known = ", ".join(pin.path for pin in self._commands()) or "none"
            raise UnknownPath(f"{place} is not pinned; pinned by commands: {known}")
        return Unpinned(_shown(removed), still)

    async def free(self, path: str, *, pinned: bool) -> FreedShown:
        """Drops what is cached at a path and beneath it, now. Raises UnknownPath, BadOperation."""
        place, app = self._mounted(path), self.running.app
        shown = app.regrouping.shown
        freed = await app.store.free(
            lambda oid: any(paths.covers(place, shows) for shows in shown.paths(oid)), pinned=pinned
        )
        return FreedShown(place, freed.objects, freed.nbytes, freed.pinned_bytes, freed.paths_out)

    async def check_pins(self, pair: Pair) -> tuple[str, ...]:
        """Returns warnings about what a pair's rules pin.

        Raises:
            Faults: It is more than fits, by a rule that is new or covers other mounts than before.
        """
        running, cache, before = self.running, pair.policy.cache, self.running.in_force.pair
        if not any(rule.pin for rule in cache) or (before is not None and before.digest == pair.digest):
            return ()
        resolver, lists = running.app.trial(pair.topology, pair.policy)
        try:
            rules = Rules(cache)
            files = Files(resolver, lambda: rules, running.app.cache, lists, Recent())
            fitting = self._fitting(files, self._commands())
            large = await fitting.rules(cache)
        finally:
            await lists.stop()
        if large is None:
            return tuple(fitting.warnings)
        if before is not None and _pins(before) == _pins(pair):
            # What has grown at the origin must not keep an operator from changing something else.
            return (*fitting.warnings, self._told(pair, large))
        raise Faults([pair.documents["policy"].fault(("cache", large.rule, "pin"), large.message)])

    def _told(self, pair: Pair, large: TooLarge) -> str:
        return str(pair.documents["policy"].fault(("cache", large.rule, "pin"), large.message))

    async def _fits(self, fitting: Fitting, place: str) -> int | None:
        """The bytes at a path that is to be pinned; raises BadOperation where they do not fit."""
        beside = fitting.total
        nbytes = await fitting.path(place)
        if any(paths.covers(command, place) for command in fitting.commands):
            return nbytes  # pinned already, with a wider path
        fitting.commands = (*fitting.commands, place)
        if fitting.total <= fitting.room and await fitting.rules(self._cache()) is None:
            return nbytes
        others, room = fitting.total - beside - (nbytes or 0), show_size(fitting.room)
        raise BadOperation(
            f"{place} is not pinned: {show_size(nbytes or 0)} at least lie there, commands pin {show_size(beside)}"
            f" already, cache rules {show_size(others)} at least, and {room} may be pinned, {PINNED_SHARE:.0%} of the"
            f" cache's {show_size(fitting.cache_bytes)}; unpin something, or give the cache more room"
        )

    def _fitting(self, files: Files, commands: Collection[PinnedPath], place: str = "") -> Fitting:
        """A check that begins with what commands pin, but for what lies beneath `place`, which is to be pinned."""
        beside = [pin for pin in commands if not place or not paths.covers(place, pin.path)]
        outermost = [
            pin for pin in beside if not any(pin != other and paths.covers(other.path, pin.path) for other in beside)
        ]
        total = sum(pin.nbytes or 0 for pin in outermost)
        walk = Walk(lambda ask: files.list(ADMIN, ask))
        limit = self.running.app.store.statistics().limit_bytes
        return Fitting(walk, limit, total, [pin.path for pin in outermost], [])

    def _commands(self) -> tuple[PinnedPath, ...]:
        return self.running.namespace.newest().pins

    async def _kept(self, change: Awaitable[Kept]) -> Kept:
        """Waits for a change of the namespace, and until it is in force here. Raises BadOperation."""
        try:
            kept = await change
        except (KeyExists, UnknownKey, Superseded, NamespaceAway):
            raise
        except (NamespaceError, ValueError) as wrong:
            raise BadOperation(str(wrong)) from wrong
        await self.running.following.catch_up()
        return kept

    def _pinned_by(self, place: str) -> str:
        """What pins a path, in words that say how to change it; empty for nothing."""
        running = self.running
        if command := running.app.regrouping.now.command_over(place):
            return f"with {command}: `causeway unpin {command}`"
        match = running.in_force.rules.match(place)
        if match.pin:
            rule = self._cache()[match.by["pin"]]
            return f"by the cache rule of {rule.match} ({running.in_force.rule_at(match.by['pin'], 'pin')})"
        return ""

    def _cache(self) -> tuple[CacheRule, ...]:
        pair = self.running.in_force.pair
        return () if pair is None else pair.policy.cache

    def _mounted(self, path: str) -> str:
        """The place that is meant; raises BadOperation, and UnknownPath where nothing is mounted."""
        place, resolver = _place(path), self.running.app.resolver
        try:
            known = resolver.find(place) is not None or resolver.table.mounts_under(place)
        except NamespaceError as wrong:
            raise BadOperation(str(wrong)) from wrong
        if not known:
            mounts = ", ".join(resolver.topology.mounts) or "none"
            raise UnknownPath(f"no mount has {place!r}; mounts: {mounts}")
        return place


def _place(path: str) -> str:
    """A path without the slash at its end: what lies beneath it is meant too."""
    place = path.removesuffix("/")
    try:
        paths.check(place)
    except NamespaceError as wrong:
        raise BadOperation(str(wrong)) from wrong
    return place


def _shown(pin: PinnedPath) -> PinShown:
    return PinShown(pin.path, pin.author, pin.at, pin.nbytes)


def _pins(pair: Pair) -> object:
    """What decides about the size of the rules' pins, beside what lies at the origin."""
    return [(rule.match.text, rule.pin) for rule in pair.policy.cache if rule.pin is not None], pair.topology.mounts
