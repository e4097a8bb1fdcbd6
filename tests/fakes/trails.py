"""Trails that are kept in memory: what was begun within what, what was said of it, and how it ended."""

from dataclasses import dataclass, field

from regioncache.http.messages import Header
from regioncache.tracing import Attributes


@dataclass(slots=True)
class FakeTrail:
    """One stretch."""

    name: str
    said: dict[str, object] = field(default_factory=dict)
    within: list["FakeTrail"] = field(default_factory=list)
    link: "FakeTrail | None" = None
    events: list[str] = field(default_factory=list)
    ended: int = 0
    fault: BaseException | None = None

    def begin(self, name: str, attributes: Attributes, link: "FakeTrail | None" = None) -> "FakeTrail":
        made = FakeTrail(name, dict(attributes), link=link)
        self.within.append(made)
        return made

    def note(self, attributes: Attributes) -> None:
        assert not self.ended, f"{self.name} is over"
        self.said |= attributes

    def mark(self, event: str) -> None:
        self.events.append(event)

    def headers(self) -> list[Header]:
        return [(b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]

    def end(self, fault: BaseException | None = None) -> None:
        self.fault = self.fault if self.ended else fault
        self.ended += 1
