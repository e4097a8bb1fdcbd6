"""One client: where it comes from, how it is driven, what it does not do, and what it shall have seen."""

import hashlib
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.real.clients.objects import KEYS, PREFIXES
from tests.real.lab.process import TOOLS

HERE = Path(__file__).parent
PLACE = TOOLS.parent / "clients"
PATH, VIRTUAL = STYLES = ("path", "virtual-host")
OPERATIONS = ("list", "pages", "read", "ranges", "conditions")


@dataclass(frozen=True, slots=True)
class Client:
    """One row of the table.

    It is the `package` that the lock of its environment names, or a `program` of the system. What it does not do
    stands in `lacks`, by operation or style, and what is odd in its ways in `notes`, both in the words of the table's
    notes. `unlisted` and `unread` are keys that it cannot name; without its `device` it does not run.
    """

    name: str
    driver: str
    expects: Callable[["Client"], dict[str, Any]]
    package: str = ""
    program: str = ""
    lacks: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    device: str = ""

    @property
    def styles(self) -> list[str]:
        return [style for style in STYLES if style not in self.lacks]

    @property
    def operations(self) -> list[str]:
        return [operation for operation in OPERATIONS if operation not in self.lacks]

    @property
    def listed(self) -> list[str]:
        return [key for key in KEYS if key not in self.unlisted]

    @property
    def prefixes(self) -> list[str]:
        """The prefixes beneath which it can name anything."""
        return [prefix for prefix in PREFIXES if any(key.startswith(prefix) for key in self.listed)]

    @property
    def keys(self) -> list[str]:
        """The keys that it can read."""
        return [key for key in KEYS if key not in self.unread]

    @property
    def lock(self) -> list[Path]:
        """The files that say which versions are meant; none for a program of the system."""
        if self.program:
            return []
        if self.driver.endswith(".mjs"):
            return [HERE / self.name / "package.json", HERE / self.name / "package-lock.json"]
        if self.driver.endswith(".java"):
            return [HERE / self.name / "pom.xml"]
        return [HERE / "requirements" / f"{self.name}.txt"]

    @property
    def version(self) -> str:
        """The version that is meant, or whose it is."""
        if self.program:
            return "the system's"
        named = rf'{re.escape(self.package)}(?:==|": "|</artifactId>\s*<version>)([^\s"<]+)'
        found = re.search(named, self.lock[0].read_text())
        if found is None:
            raise LookupError(f"{self.lock[0]} does not lock {self.package}")
        return found[1]

    def command(self) -> list[str] | None:
        """What runs its driver; None where it is not installed, or not in the version that is meant."""
        driver = str(HERE / self.driver)
        if self.program:
            there = shutil.which(self.program) and (not self.device or Path(self.device).exists())
            return [sys.executable, driver] if there else None
        stamp = PLACE / self.name / "causeway-setup"
        wanted = hashlib.sha256(b"".join(path.read_bytes() for path in self.lock)).hexdigest()
        if not stamp.exists() or stamp.read_text().split()[:1] != [wanted]:
            return None
        if driver.endswith(".java"):
            return ["java", "-cp", str(PLACE / self.name / "lib" / "*"), driver]
        return ["node", driver] if driver.endswith(".mjs") else [str(PLACE / self.name / "bin" / "python"), driver]
