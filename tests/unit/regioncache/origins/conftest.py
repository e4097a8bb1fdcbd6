"""What the tests of origins share: a directory with objects in it, and the file origin over it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from regioncache.origins.file import FileOrigin

NAME = "bucket nas at file:///mnt/nas"
Put = Callable[..., Path]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "nas"
    made.mkdir()
    return made


@pytest.fixture
def put(directory: Path) -> Put:
    """Writes a file beneath the directory."""

    def write(key: str, body: bytes = b"x", modified: float | None = None) -> Path:
        path = directory / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        if modified is not None:
            os.utime(path, (modified, modified))
        return path

    return write


@pytest.fixture
def nas(directory: Path) -> FileOrigin:
    return FileOrigin(NAME, str(directory))
