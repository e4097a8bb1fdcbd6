"""What can go wrong in the cache, each saying what the caller can do. HTTP codes live in the doors' own tables."""


class CacheError(Exception):
    """Base of all faults of this package."""


class NoSuchObject(CacheError):
    """The origin says that there is no such key (or bucket); remembered for 1 to 2 s."""


class KeyRefused(NoSuchObject):
    """The store takes no such key (400), so nothing is there: ask by another name."""


class OriginForbids(CacheError):
    """The origin refused our credentials for this object; an operator must mend the bucket's credentials."""


class NotGranted(OriginForbids):
    """The region that asks was granted other paths only; whether there is such an object is not said."""


class OriginUnavailable(CacheError):
    """No source could be asked, and nothing cached may answer; ask again after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(OriginUnavailable):
    """Nobody listens there: refused, unreachable, or no such name."""


class Unanswered(OriginUnavailable):
    """The question was sent and no answer came in time, or the connection broke before one."""


class OriginTried(OriginUnavailable):
    """A node on the way has tried again and again and could not: to ask it once more at once is no use."""


class NotOwner(OriginUnavailable):
    """Asked as an owner, the process is none by its view, that of `epoch`: look at the view again."""

    def __init__(self, message: str, epoch: int, retry_after: float = 1.0) -> None:
        super().__init__(message, retry_after)
        self.epoch = epoch


class NodeStopping(OriginUnavailable):
    """The node is about to stop: ask it again when it is back, or another one."""


class NotHeld(OriginTried):
    """Asked for what it holds, the process neither holds it nor is bringing it."""


class OriginNeedsMending(OriginUnavailable):
    """A bucket's credentials, address or clock must be mended before anything comes from there; asking is no use.

    What is cached is served meanwhile; the message names the remedy.
    """


class SlowDown(CacheError):
    """There is no room soon enough (line, memory, origin); ask again after `retry_after` seconds."""

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotSoon(SlowDown):
    """The line serves others first and is not expected to come to this request soon: come again for what it brings."""


class OriginBusy(SlowDown):
    """The source itself asks to slow down: somebody is there."""


class VersionChanged(CacheError):
    """The object was overwritten while it was read: open it again."""


class RangeOutside(CacheError):
    """The range lies outside the object of `size` bytes (416)."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the range lies outside the object of {size} bytes")
        self.size = size


class NoSuchPart(RangeOutside):
    """The object of `size` bytes has no part of that number (416)."""

    def __init__(self, message: str, size: int) -> None:
        super().__init__(size)
        self.args = (message,)


class BadAnswer(CacheError):
    """A source answered what the protocol does not allow (short body, wrong ETag, 200 to a range); it is not used."""


class WrongVersion(BadAnswer):
    """A source sent another version than the one it was asked for; asked again it may do better, or it has changed."""


class NotSupported(CacheError):
    """This version does not do that."""
