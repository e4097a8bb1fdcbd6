"""Access keys: who may read and list what, on whose account, in which class, until when.

Grants are places under `/ns` and open whole components: `/ns/train` opens `/ns/train/a`, never `/ns/training`, and not
`/ns/train/../a`, which is one name here but another object to a store that tidies keys. A list shows only names under
the grants to read, and the parents that lead to them.
"""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from namespace import fields, paths

CLASSES = ("interactive", "training", "prefetch", "backfill")
"""What traffic is for, the most urgent first (design, section 2)."""
DEFAULT_CLASS = "training"
_ID = re.compile(r"[A-Za-z0-9_-]{3,128}")
_SECRET = re.compile(r"[\x21-\x7e]{16,128}")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """One access key. `until` is seconds since the epoch, the moment from which it opens nothing; None = never."""

    id: str
    secret: str = field(repr=False)
    name: str
    tenant: str
    cls: str = DEFAULT_CLASS
    may_class: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    until: float | None = None
    regions: tuple[str, ...] = ()
    """The regions where it opens anything; none = every trusted one, and no granted one."""
    _beneath_read: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _beneath_write: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self)
        object.__setattr__(self, "_beneath_read", tuple(f"{place}/" for place in self.read))
        object.__setattr__(self, "_beneath_write", tuple(f"{place}/" for place in self.write))

    def may_read(self, path: str) -> bool:
        """Whether the key opens `path` for reading."""
        if "/.." in path:
            return _opened(self._beneath_read, path)
        return path.startswith(self._beneath_read) or path in self.read

    def may_write(self, path: str) -> bool:
        """Whether the key opens `path` for writing."""
        if "/.." in path:
            return _opened(self._beneath_write, path)
        return path.startswith(self._beneath_write) or path in self.write

    def may_show(self, path: str) -> bool:
        """Whether a list may show this name or common prefix: it is under a grant, or leads to one."""
        if self.may_read(path):
            return True
        directory = path if path.endswith("/") else f"{path}/"
        return any(beneath.startswith(directory) for beneath in self._beneath_read)

    def may_list(self, beginning: str) -> bool:
        """Whether a list of the names that begin with `beginning`, whole components or not, may show any."""
        return self.may_read(beginning) or any(beneath.startswith(beginning) for beneath in self._beneath_read)

    def expired(self, now: float) -> bool:
        """Whether the key opens nothing any more at `now` (seconds since the epoch)."""
        return self.until is not None and now >= self.until

    def class_of(self, asked: str | None) -> str:
        """Returns the class of a request that asks for `asked`: that one if the key allows it, else the key's own."""
        return asked if asked is not None and asked in self.may_class else self.cls


class Keys:
    """The access keys in force, by id. Replaced whole, so that a reader sees one set or the other."""

    def __init__(self, keys: Iterable[AccessKey] = ()) -> None:
        self._by_id: dict[str, AccessKey] = {}
        self.adopt(keys)

    def __repr__(self) -> str:
        return f"<Keys: {len(self._by_id)}>"

    def __len__(self) -> int:
        return len(self._by_id)

    def adopt(self, keys: Iterable[AccessKey]) -> None:
        """Puts these keys in force, in place of those before."""
        self._by_id = {key.id: key for key in keys}

    def find(self, key_id: str) -> AccessKey | None:
        """Returns the key of this id, expired or not, or None."""
        return self._by_id.get(key_id)


def new_id() -> str:
    """Returns a fresh access key id: 20 characters, as S3 clients expect one to look."""
    return "CW" + "".join(secrets.choice(_LETTERS) for _ in range(18))


def new_secret() -> str:
    """Returns a fresh secret: 240 random bits in 40 characters that need no quoting."""
    return secrets.token_urlsafe(30)


def until(text: str) -> float:
    """Returns the moment (seconds since the epoch) that `--until` means: a day to its end, or an exact time.

    Without an offset it is UTC. Raises ValueError naming what is accepted.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as invalid:
        raise ValueError(f"{text!r} is no date; write 2026-03-06 or 2026-03-06T18:00+08:00") from invalid
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    whole_day = len(text) in {8, 10} and not {":", "T", " "} & set(text)
    return (moment + timedelta(days=1) if whole_day else moment).timestamp()


def _opened(beneath: tuple[str, ...], path: str) -> bool:
    return any(path.startswith(place) and not paths.climbs(path[len(place) :]) for place in beneath)


def _check(key: AccessKey) -> None:
    if not _ID.fullmatch(key.id):
        raise ValueError("the id of a key is 3 to 128 of A-Z a-z 0-9 _ -")
    if not _SECRET.fullmatch(key.secret):
        raise ValueError("the secret of a key is 16 to 128 printable ASCII characters without spaces")
    fields.name(key.name)
    fields.name(key.tenant)
    for cls in (key.cls, *key.may_class):
        if cls not in CLASSES:
            raise ValueError(f"class {cls!r} is not known; known: {', '.join(CLASSES)}")
    for region in key.regions:
        fields.name(region)
    for place in (*key.read, *key.write):
        paths.check_place(place)
    if not key.read and not key.write:
        raise ValueError(f"key {key.name!r} opens nothing; grant it a path, as --read /ns/train")
