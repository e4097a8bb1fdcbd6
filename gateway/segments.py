"""Which parts of which mounts make up a list of paths. A core: the table and the key go in, segments come out.

A list of the paths that begin with some string is the merge, in key order, of one segment a mount (or, where the key's
grants reach into a mount, one a grant). A mount hides its parent's keys beneath it and shows as a common prefix.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from namespace import paths
from namespace.model import Mount
from namespace.table import Table

LAST = "\U0010ffff"
"""Behind every character that a key may hold: `prefix + LAST` is behind everything beneath a prefix."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Names that begin with `beginning`, which are keys of `mount` that begin with `prefix`.

    `grant`: only this place and what lies beneath it may be seen; None: all of the segment. `rolled`: the whole segment
    shows as this one common prefix, and no bucket need be asked. `hidden`: keys that, with all beneath them, belong to
    other mounts.
    """

    mount: Mount
    beginning: str
    prefix: str
    hidden: tuple[str, ...] = ()
    grant: str | None = None
    rolled: str | None = None

    @property
    def whole(self) -> bool:
        """Whether every key is shown."""
        return self.grant is None and not self.hidden

    def shows(self, key: str) -> bool:
        """Whether this key or rolled-up prefix may be seen here."""
        return self.hides(key) is None and (self.grant is None or paths.covers(self.grant, self.path(key)))

    def key(self, path: str) -> str:
        """The key after which the bucket is asked, for names after `path`."""
        if not path.startswith(self.beginning):
            return ""
        return self.prefix + path[len(self.beginning) :]

    def path(self, key: str) -> str:
        """The path of one of this segment's keys."""
        return self.beginning + key[len(self.prefix) :]

    def over(self, after: str) -> bool:
        """Whether no name of this segment comes after `after`."""
        return after > self.beginning and not after.startswith(self.beginning)

    def straddles(self, prefix: str, delimiter: str) -> bool:
        """Whether a delimiter behind `prefix` may begin in `beginning` and end in the key, unseen by the bucket."""
        end = len(self.beginning)
        first = max(len(prefix), end - len(delimiter) + 1)
        return any(delimiter.startswith(self.beginning[at:]) for at in range(first, end))

    def hides(self, key: str) -> str | None:
        """The hidden place that this key or prefix lies in, or None."""
        for place in self.hidden:
            if key.startswith(place) and (len(key) == len(place) or key[len(place)] == "/"):
                return place
        return None

    def beyond_hidden(self, after: str) -> str:
        """Where a list goes on that would go on after this key: behind everything hidden, if that begins there."""
        hidden = self.hides(after)
        return after if hidden is None or after == hidden else f"{hidden}/{LAST}"


def segments(table: Table, read: Sequence[str], prefix: str, delimiter: str) -> list[Segment]:
    """Returns the segments of the list of `prefix`, in order, as far as who may read these places may see them."""
    within = table.within(prefix)
    found: list[Segment] = []
    if within.mount is not None:
        found.append(Segment(within.mount, prefix, within.prefix, table.hidden(within.mount)))
    for mount in within.mounts:
        found.append(Segment(mount, f"{mount.path}/", mount.prefix, table.hidden(mount)))
    grants = [place for place in read if not any(place != other and paths.covers(other, place) for other in read)]
    granted = [part for segment in found for part in _granted(segment, grants)]
    return sorted((_roll(part, prefix, delimiter) for part in granted), key=lambda part: part.beginning)


def _granted(segment: Segment, grants: list[str]) -> Iterator[Segment]:
    """What the grants, none of which covers another, open of a segment."""
    beginning = segment.beginning
    if any(beginning.startswith(f"{place}/") for place in grants):
        yield segment
        return
    for place in grants:
        key = segment.key(place)
        if place.startswith(beginning) and segment.hides(key) is None:
            yield replace(segment, beginning=place, prefix=key, grant=place)


def _roll(segment: Segment, prefix: str, delimiter: str) -> Segment:
    at = segment.beginning.find(delimiter, len(prefix)) if delimiter else -1
    return segment if at < 0 else replace(segment, rolled=segment.beginning[: at + len(delimiter)])
