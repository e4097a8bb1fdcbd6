"""Where the namespace lies in etcd.

What is small and followed lies under `live/`, each item at its own name; the files and the checked form of a revision
lie in chunks under `revisions/N/`, and `live/current` says which of them is in force. A chunk that no head names is of
an apply that died.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from namespace.store.base import Revision

ROOT = b"/causeway/ns/"
LIVE = ROOT + b"live/"
CLUSTER = LIVE + b"cluster"
CURRENT = LIVE + b"current"
REVISIONS = ROOT + b"revisions/"
HISTORY = ROOT + b"history/"
NAMES = ROOT + b"names/"
CHANGES = ROOT + b"changes/"
CHUNK_BYTES = 512 * 1024
"""A third of what etcd takes in one request: two of them and their keys always fit."""
PARTS = ("files", "items", "difference")


@dataclass(frozen=True, slots=True)
class Head:
    """One revision and where its chunks are. `base` is the revision that `difference` begins at; 0: it has none.

    `sum` is of the items (`items.sum_of`); `nbytes` of all chunks.
    """

    revision: Revision
    draft: str
    base: int
    chunks: Mapping[str, int]
    sum: int
    nbytes: int

    def encode(self) -> bytes:
        """As it lies in etcd."""
        one = self.revision
        plain = {
            "revision": [one.number, one.author, one.at, one.digest],
            "draft": self.draft,
            "base": self.base,
            "chunks": dict(self.chunks),
            "sum": self.sum,
            "bytes": self.nbytes,
        }
        return json.dumps(plain, ensure_ascii=False, sort_keys=True).encode()

    @classmethod
    def decode(cls, text: bytes) -> "Head":
        """The way back. Raises ValueError."""
        try:
            plain = json.loads(text)
            revision = Revision(*plain["revision"])
            return cls(revision, plain["draft"], plain["base"], plain["chunks"], plain["sum"], plain["bytes"])
        except (KeyError, TypeError, ValueError) as wrong:
            raise ValueError(f"the head of a revision is not what this version writes: {wrong}") from wrong

    @property
    def place(self) -> bytes:
        """Beneath which its chunks lie."""
        return place_of(self.revision.number, self.draft)


def place_of(number: int, draft: str) -> bytes:
    """Beneath which the chunks of a draft of revision `number` lie."""
    return REVISIONS + b"%012d/%s/" % (number, draft.encode())


def begun(place: bytes) -> bytes:
    """The key that says that a draft is whole, or on its way; without it nothing of it may come into force."""
    return place + b"begun"


def draft_of(key: bytes) -> tuple[int, str]:
    """The number and draft of a chunk's key. Raises ValueError."""
    number, draft, _ = key.removeprefix(REVISIONS).decode().split("/", 2)
    return int(number), draft


def history_key(number: int) -> bytes:
    """Where the head of a revision is remembered."""
    return HISTORY + b"%012d" % number


def chunked(place: bytes, part: str, content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields keys and values of a part of a revision."""
    for index, start in enumerate(range(0, len(content), CHUNK_BYTES)):
        yield place + f"{part}/{index:06d}".encode(), content[start : start + CHUNK_BYTES]
