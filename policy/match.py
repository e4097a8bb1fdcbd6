"""Which cache rule covers a path: for each key the first rule in the file that covers the path and sets the key wins.

All rules that set a key are one regular expression, so a look-up costs one match per key that any rule sets.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from policy.model import CacheRule, Pin

_REMEMBERED = 4096
"""Different outcomes that are kept ready; far more than the rules of any sane file combine to."""
Admit = Literal["always", "second_read", "never"]
KEYS = ("pin", "ttl", "admit", "quota", "priority")


@dataclass(frozen=True, slots=True)
class Match:
    """What holds for a path. `by` tells for each key that a rule set the index of that rule in the file."""

    admit: Admit = "always"
    pin: Pin | None = None
    ttl: float | None = None
    quota: int | None = None
    priority: Literal["high", "normal", "low"] = "normal"
    by: Mapping[str, int] = field(default_factory=dict)


class Rules:
    """The cache rules of one policy. Mutable: only `_matches`, one for each set of rules seen together."""

    def __init__(self, cache: Sequence[CacheRule], keys: Sequence[str] = KEYS) -> None:
        """`keys` are those that are asked about; of the others nothing is found."""
        self._cache = tuple(cache)
        self._finders = tuple(finder for key in keys if (finder := _Finder.of(key, self._cache)))
        self._matches: dict[tuple[int, ...], Match] = {}

    def __repr__(self) -> str:
        return f"Rules({len(self._cache)} rules)"

    def match(self, path: str) -> Match:
        """Returns what holds for `path` (exact, from `/ns` on)."""
        chosen = tuple([finder.find(path) for finder in self._finders])
        found = self._matches.get(chosen)
        return found if found is not None else self._remember(chosen)

    def _remember(self, chosen: tuple[int, ...]) -> Match:
        by = {finder.key: rule for finder, rule in zip(self._finders, chosen, strict=True) if rule >= 0}
        match = Match(**{key: getattr(self._cache[rule], key) for key, rule in by.items()}, by=MappingProxyType(by))
        if len(self._matches) < _REMEMBERED:
            self._matches[chosen] = match
        return match


@dataclass(frozen=True, slots=True)
class _Finder:
    key: str
    pattern: re.Pattern[str]
    rules: tuple[int, ...]

    @classmethod
    def of(cls, key: str, cache: Sequence[CacheRule]) -> "_Finder | None":
        setting = tuple(index for index, rule in enumerate(cache) if getattr(rule, key) is not None)
        if not setting:
            return None
        # An alternation is tried in its order: the group that matched is the first rule that covers the path.
        return cls(key, re.compile("|".join(f"({cache[index].match.regex})" for index in setting)), setting)

    def find(self, path: str) -> int:
        """The index of the rule that sets the key for `path`, or -1."""
        found = self.pattern.match(path)
        return self.rules[found.lastindex - 1] if found is not None and found.lastindex is not None else -1
