"""Someone who hears the tidings, to be asked what was told."""

from dataclasses import dataclass, field

from regioncache.tidings import Tidings


@dataclass(slots=True)
class Heard:
    """All tidings so far, in order."""

    warnings: list[str] = field(default_factory=list)
    news: list[str] = field(default_factory=list)

    def tidings(self) -> Tidings:
        """What the part under test is given."""
        return Tidings(self.warnings.append, self.news.append)
