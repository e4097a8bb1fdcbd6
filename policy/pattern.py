"""Patterns of paths: `*` within a component, `**` any depth; a pattern covers what it matches and all beneath it.

Compiled to a regular expression that never goes back: a wildcard that is followed by anything at all is best matched at
the first place that fits, so each is atomic, and no path can make a pattern slow.
"""

import re
from dataclasses import dataclass, field

from policy.errors import PatternError, shown

_ACCEPTED = "accepted is for example '/ns/train/**' or '/ns/notes/dt=*'"
_END = r"(?=/|\Z)"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern as written, and the source of a regular expression that matches the beginning of what it covers."""

    text: str
    regex: str = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: object) -> "Pattern":
        """Returns the pattern that `text` is.

        Raises:
            PatternError: No path can ever be covered by it.
        """
        if not isinstance(text, str) or not (text == "/ns" or text.startswith("/ns/")):
            raise PatternError(f"{shown(text)} is not a pattern: it begins with /ns; {_ACCEPTED}")
        parts = text.removesuffix("/").split("/")[1:]
        for part in parts:
            if part in {"", ".", ".."}:
                raise PatternError(f"the pattern {shown(text)} has an empty, . or .. component; {_ACCEPTED}")
            if "**" in part and part != "**":
                raise PatternError(f"in the pattern {shown(text)} ** is not a whole component; {_ACCEPTED}")
        return cls(text, _regex(parts))

    def __str__(self) -> str:
        return self.text

    @property
    def parts(self) -> tuple[str, ...]:
        """The components behind `/ns`, each a name, one with `*`, or `**`."""
        return tuple(self.text.removesuffix("/").split("/")[2:])

    def touches(self, place: str) -> bool:
        """Whether the pattern may cover anything at `place` or beneath it."""
        for part, name in zip(self.parts, place.split("/")[2:], strict=False):
            if part == "**":
                return True
            if not names(part, name):
                return False
        return True

    def partition(self, path: str) -> str | None:
        """Returns the beginning of `path` that the pattern matches, None where it does not cover it.

        Without `**` there is one such beginning at most: a partition, of as many components as the pattern has.
        """
        found = re.match(self.regex, path)
        return None if found is None else found[0]


def names(part: str, name: str) -> bool:
    """Whether a component of a pattern, none of them `**`, matches one of a path."""
    return re.fullmatch(_component(part), name) is not None


def _regex(parts: list[str]) -> str:
    """Joins runs of components between `**`; a `**` at the end adds nothing, all beneath is covered anyway."""
    runs: list[list[str]] = [[]]
    for part in parts:
        if part == "**":
            runs.append([])
        else:
            runs[-1].append(part)
    first, *others = ("".join(f"/{_component(part)}" for part in run) for run in runs)
    return first + _END + "".join(rf"(?>(?:/[^/]*)*?{run}{_END})" for run in others if run)


def _component(part: str) -> str:
    first, *others = (re.escape(piece) for piece in part.split("*"))
    if not others:
        return first
    *inner, last = others
    middle = "".join(f"(?>[^/]*?{piece})" for piece in inner if piece)
    return f"{first}{middle}(?>[^/]*?{last}{_END})" if last else f"{first}{middle}[^/]*+"
