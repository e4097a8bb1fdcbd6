"""Files named on a command line, read with care."""

from collections.abc import Sequence
from pathlib import Path

from gateway.cli.faults import CommandFault
from gateway.pairs import File
from policy.yamlfile import DEFAULT_LIMITS


def read(paths: Sequence[Path]) -> tuple[File, ...]:
    """Returns the files' texts; no more of each is read than YAML may cost.

    Raises:
        CommandFault: One is no UTF-8.
        OSError: One cannot be read.
    """
    return tuple(File(str(path), _text(path)) for path in paths)


def _text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(DEFAULT_LIMITS.size_bytes + 1)
    try:
        return content.decode()
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        raise CommandFault(f"{path}:{line}: byte {fault.start} is not UTF-8; save the file as UTF-8") from fault
