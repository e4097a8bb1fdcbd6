"""What other members hold of an extent: asked by its owner before a line, and remembered as long as the view stands.

In one view nobody but its owner brings anything of an extent, so that what others held when they were asked can only
grow less. A core; its memory is bounded: who is forgotten is asked once more.
"""

import json
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from regioncache.cluster.members import Member
from regioncache.errors import BadAnswer
from regioncache.pages import Meta, ObjectId, Span, Version
from regioncache.peers.wire import facts, parse_facts

MOST_HOLDINGS = 16_384
"""Extents of which it is remembered what others hold; some 8 MB."""
MOST_ABSENT = 65_536
"""Objects of which it is remembered that a member has nothing; some 15 MB."""
SILENT_SECONDS = 2.0
"""A member that gave no answer is not asked what it holds for so long: each object would wait for it again."""


@dataclass(frozen=True, slots=True)
class Held:
    """What one member says: the view it goes by, the newest version it knows, which pages of it are here or landing.

    `opening`: it is asking a source for the object at this moment, and will know more. `doubted`: what it knows is not
    to be believed, whatever its age.
    """

    epoch: int
    meta: Meta | None = None
    doubted: bool = False
    opening: bool = False
    runs: tuple[Span, ...] = ()

    def body(self, wall: float) -> bytes:
        """Returns it as it is sent; `wall` is now, epoch seconds."""
        age = 0.0 if self.meta is None else max(0.0, wall - self.meta.learned_at)
        told = None if self.meta is None else facts(self.meta, Span(0, 0), age).decode("ascii")
        runs = [(run.start, run.end) for run in self.runs]
        value = {
            "epoch": self.epoch,
            "object": told,
            "doubted": self.doubted,
            "opening": self.opening,
            "runs": runs,
        }
        return json.dumps(value, separators=(",", ":")).encode("ascii")


def parse_held(body: bytes, asked_at: float) -> Held:
    """Returns what a member says; `asked_at` is when it was asked, epoch seconds. Raises BadAnswer."""
    try:
        value = json.loads(body)
        told = value.get("object")
        return Held(
            int(value["epoch"]),
            None if told is None else parse_facts(str(told).encode("ascii"), asked_at)[0],
            bool(value.get("doubted", False)),
            bool(value.get("opening", False)),
            tuple(Span(int(start), int(end)) for start, end in value.get("runs", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as fault:
        raise BadAnswer(f"what a member says it holds is malformed: {fault}") from fault


@dataclass(frozen=True, slots=True)
class Holding:
    """What others hold of one extent: the newest version that any of them knows, and who has which pages of it."""

    meta: Meta | None = None
    doubted: bool = False
    runs: tuple[tuple[Span, Member], ...] = ()

    @classmethod
    def of(cls, told: Iterable[tuple[Member, Held]]) -> "Holding":
        """Returns what several say together, whoever comes first being preferred where two have the same pages."""
        known = [(member, held, held.meta) for member, held in told if held.meta is not None]
        if not known:
            return cls()
        _, newest, meta = max(known, key=lambda one: (not one[1].doubted, one[2].learned_at))
        runs = [(run, member) for member, held, of in known if of.version == meta.version for run in held.runs]
        return cls(meta, newest.doubted, tuple(runs))

    def at(self, version: Version | None, page: int) -> tuple[Span, Member] | None:
        """The run of this version that has a page, and who holds it."""
        if self.meta is None or self.meta.version != version:
            return None
        return next(((run, member) for run, member in self.runs if run.start <= page < run.end), None)

    def following(self, version: Version | None, page: int) -> int | None:
        """The first page behind `page` that somebody holds."""
        if self.meta is None or self.meta.version != version:
            return None
        return min((run.start for run, _ in self.runs if run.start > page), default=None)

    def without(self, member: Member) -> "Holding":
        """The same, but for what this member holds."""
        left = tuple(pair for pair in self.runs if pair[1].name != member.name)
        return Holding(self.meta, self.doubted, left)


@dataclass(slots=True)
class Holdings:
    """What is remembered, of one view. Mutable state: all of it; a newer view empties it."""

    epoch: int = 0
    _holdings: OrderedDict[tuple[ObjectId, int], Holding] = field(default_factory=OrderedDict)
    _absent: OrderedDict[tuple[str, ObjectId], None] = field(default_factory=OrderedDict)
    _silent: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._holdings)

    def look(self, epoch: int) -> None:
        """Goes by this view from now on."""
        if epoch != self.epoch:
            self.epoch = epoch
            self._holdings.clear()
            self._absent.clear()
            self._silent.clear()

    def find(self, oid: ObjectId, extent: int) -> Holding | None:
        """What others hold, None where they have not been asked."""
        return self._holdings.get((oid, extent))

    def keep(self, oid: ObjectId, extent: int, holding: Holding) -> None:
        """Others have been asked."""
        self._holdings[oid, extent] = holding
        self._holdings.move_to_end((oid, extent))
        if len(self._holdings) > MOST_HOLDINGS:
            self._holdings.popitem(last=False)

    def gone(self, oid: ObjectId, extent: int, member: Member) -> None:
        """A member does not give what it said it holds."""
        found = self._holdings.get((oid, extent))
        if found is not None:
            self._holdings[oid, extent] = found.without(member)

    def nothing(self, member: Member, oid: ObjectId) -> None:
        """A member has nothing of an object."""
        self._absent[member.name, oid] = None
        if len(self._absent) > MOST_ABSENT:
            self._absent.popitem(last=False)

    def silent(self, member: Member, now: float) -> None:
        """A member gave no answer; `now` is monotonic."""
        self._silent[member.name] = now

    def to_ask(self, members: Iterable[Member], oid: ObjectId, now: float) -> list[Member]:
        """Those of them that may have something of the object, and may answer."""
        return [
            one
            for one in members
            if (one.name, oid) not in self._absent and now - self._silent.get(one.name, float("-inf")) > SILENT_SECONDS
        ]
