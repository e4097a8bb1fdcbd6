"""How each object is to be kept: cache rules are of paths, pages of objects, and this leads from one to the other.

An object may show under several paths. It is pinned if any of them is, by a rule or by a command; everything else is
said by the rules for the path of the narrowest mount. Objects under the same rules are one group, named by the patterns
of those rules; a partition of which the newest are pinned is a group of its own, so that it is unpinned at once.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence

from xxhash import xxh3_128_hexdigest

from policy.match import Rules
from policy.model import CacheRule
from regioncache.pages import ObjectId
from regioncache.partitions import Partitions
from regioncache.places import Shown
from regioncache.store.groups import PLAIN, Keep, Quota

_COMMAND, _WHOLE, _NEWEST = "command", "pin", "newest"
_VALUES = ("ttl", "quota", "priority")
_REMEMBERED = 65_536
"""Groups kept ready: as many as the store tells apart."""

_Part = tuple[str, ...]
"""Of a group's name: what is set, by which pattern or path; for a partition also its path."""


class RuleGrouping:
    """`store.groups.Grouping` of one policy, topology and set of pins.

    Mutable state: `_keeps`, what was worked out; `partitions`, which learns from what is kept.
    """

    def __init__(
        self,
        cache: Sequence[CacheRule],
        shown: Shown,
        pins: Collection[str],
        partitions: Partitions,
        on_newest: Callable[[], None] = lambda: None,
    ) -> None:
        """Args:
        cache: the rules, in the order of the file.
        pins: paths that commands have pinned, with all beneath them.
        partitions: where newest partitions are looked up; it follows the rules from here on.
        on_newest: told that other partitions are the newest now, from within `keep_of`.
        """
        self._cache = tuple(cache)
        self._rules = Rules(cache, ("pin", *_VALUES))
        self._patterns = tuple(str(rule.match) for rule in cache)
        self._shown = shown
        self._commands = frozenset(pins)
        self._partitions = partitions
        self._on_newest = on_newest
        self._keeps: dict[tuple[_Part, ...], Keep] = {}
        self._first: dict[_Part, CacheRule] = {}
        for rule in self._cache:
            for key in ("pin", *_VALUES):
                if getattr(rule, key) is not None:
                    self._first.setdefault((key, str(rule.match)), rule)
        partitions.adopt(self.newest_counts())
        self.pins = bool(self._commands) or any(rule.pin for rule in self._cache)
        self.digest = self._digest()

    def __repr__(self) -> str:
        return f"RuleGrouping({len(self._cache)} rules, {len(self._commands)} pins, {self._partitions!r})"

    def newest_counts(self) -> dict[str, int]:
        """How many partitions are pinned, by pattern."""
        rules = (rule for (key, _), rule in self._first.items() if key == "pin")
        return {str(rule.match): rule.pin.newest for rule in rules if rule.pin and rule.pin.newest}

    def keep_of(self, oid: ObjectId) -> Keep:
        """How the object is to be kept; its partition is known from here on."""
        return self._keep(oid, learn=True)

    def look(self, oid: ObjectId) -> Keep:
        """How the object would be kept: it may not exist, so nothing is learned from it."""
        return self._keep(oid, learn=False)

    def _keep(self, oid: ObjectId, *, learn: bool) -> Keep:
        paths = self._shown.paths(oid) if self.digest else ()
        if not paths:
            return PLAIN
        by = self._rules.match(paths[0]).by
        values = tuple([(key, self._patterns[by[key]]) for key in _VALUES if key in by])
        parts = (*self._pinned_by(paths, by, learn=learn), *values) if self.pins else values
        if not parts:
            return PLAIN
        keep = self._keeps.get(parts)
        if keep is None:
            if len(self._keeps) >= _REMEMBERED:
                self._keeps.clear()
            keep = self._keeps[parts] = self._meaning(parts)
        return keep

    def named(self, name: str) -> Keep | None:
        """What a group of this name means now; what is no longer set is not meant by it."""
        if not name:
            return PLAIN
        parts = _parts(name)
        if parts is None:
            return None
        for part in parts:
            if part[0] == _NEWEST and self._partitions.seen(part[1], part[2]):
                self.changed()
        return self._meaning(parts)

    def changed(self) -> None:
        """Other partitions are the newest now: what was worked out is worked out anew."""
        self._keeps.clear()
        self._on_newest()

    def command_over(self, path: str) -> str | None:
        """The pinned path that covers this one, the outermost if there are several."""
        if not self._commands:
            return None
        at = len("/ns")
        while path[:at] not in self._commands:
            if at == len(path):
                return None
            at = path.find("/", at + 1)
            at = len(path) if at < 0 else at
        return path[:at]

    def _pinned_by(self, paths: Sequence[str], first: Mapping[str, int], *, learn: bool) -> tuple[_Part, ...]:
        """What pins any of the paths; `first` is what holds for the first of them."""
        newest: tuple[_Part, ...] = ()
        for path in paths:
            if command := self.command_over(path):
                return ((_COMMAND, command),)
        for path in paths:
            index = (first if path is paths[0] else self._rules.match(path).by).get("pin")
            if index is None or not (rule := self._cache[index]).pin:
                continue
            assert rule.pin is not None
            if rule.pin.newest is None:
                return ((_WHOLE, self._patterns[index]),)
            partition = rule.match.partition(path)
            if partition is not None:
                newest = (*newest, (_NEWEST, self._patterns[index], partition))
                if learn and self._partitions.seen(self._patterns[index], partition):
                    self.changed()
        return newest

    def _meaning(self, parts: tuple[_Part, ...]) -> Keep:
        pinned, ttl, quota, priority = False, None, None, PLAIN.priority
        for kind, where, *partition in parts:
            rule = self._first.get((kind, where))
            if kind == _COMMAND:
                pinned = pinned or where in self._commands
            elif kind == _NEWEST:
                pinned = pinned or self._partitions.is_newest(where, *partition)
            elif rule is None:
                continue
            elif kind == _WHOLE:
                pinned = pinned or bool(rule.pin and rule.pin.newest is None)
            elif kind == "ttl":
                ttl = rule.ttl
            elif kind == "quota" and rule.quota is not None:
                quota = Quota(where, rule.quota)
            elif kind == "priority":
                priority = rule.priority or priority
        name = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
        return Keep(name, pinned, ttl, quota, priority)

    def _digest(self) -> str:
        """Of what names depend on: values are looked up by name, and may change without it."""
        keys = [
            (str(rule.match), _pin_kind(rule), *(key for key in _VALUES if getattr(rule, key) is not None))
            for rule in self._cache
        ]
        if not self._commands and not any(len(key) > 2 or key[1] for key in keys):
            return ""
        depends = json.dumps([keys, self._shown.digest, sorted(self._commands)], ensure_ascii=False)
        return xxh3_128_hexdigest(depends.encode())


def _parts(name: str) -> tuple[_Part, ...] | None:
    """What a name is made of; None where it is none of ours (another version wrote it, or the disk is damaged)."""
    try:
        parts = json.loads(name)
    except ValueError:
        return None
    if not isinstance(parts, list):
        return None
    for part in parts:
        if not isinstance(part, list) or not all(isinstance(word, str) for word in part):
            return None
        if len(part) != (3 if part[:1] == [_NEWEST] else 2):
            return None
    return tuple(tuple(part) for part in parts)


def _pin_kind(rule: CacheRule) -> str:
    if rule.pin is None:
        return ""
    return _NEWEST if rule.pin.newest else _WHOLE if rule.pin else "nothing"
