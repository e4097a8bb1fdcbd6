"""Where bytes came from, counted where they are handed on: plain integers that the metrics read."""


class Tally:
    """Bytes handed to readers by source, and bytes that flights brought in."""

    __slots__ = ("brought", "read", "version_changed")

    def __init__(self) -> None:
        self.read: dict[str, int] = {"page": 0, "sibling": 0, "peer": 0, "line": 0, "origin": 0}
        self.brought = 0
        """Payload bytes that flights received, whatever became of them."""
        self.version_changed = 0
        """Reads that ended short because the object was overwritten under them."""
