"""Opening beneath a directory: with the kernel's help and without, nothing leads out and nothing waits."""

import errno
import gc
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from regioncache.origins import beneath
from regioncache.origins.beneath import DIRECTORY, FILE, LOOK, OpenFile, open_beneath, open_by_hand

Opens = Callable[[int, str, int], OpenFile]


@pytest.fixture(params=[open_beneath, open_by_hand], ids=["openat2", "by hand"])
def opens(request: pytest.FixtureRequest) -> Opens:
    found: Opens = request.param
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A root with files and links of all kinds, and a secret beside it."""
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file").write_text("deep")
    (root / "file").write_text("shallow")
    links = {
        "to-file": "a/b/file",
        "to-dir": "a/b",
        "a/up": "../file",
        "chain": "to-dir",
        "out": "../secret",
        "out-and-in": "../root/file",
        "a/b/far-out": "../../../secret",
        "absolute": str(root / "file"),
        "circle": "circle",
        "nowhere": "missing",
        "slashed": "a//b/./",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    return root


@pytest.fixture
def root(tree: Path) -> Iterator[int]:
    fd = os.open(tree, os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def read(opened: OpenFile) -> str:
    return os.read(opened.fd, 100).decode()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("file", "shallow"),
        ("a/b/file", "deep"),
        ("to-file", "deep"),
        ("to-dir/file", "deep"),
        ("chain/file", "deep"),
        ("a/up", "shallow"),
        ("slashed/file", "deep"),
    ],
)
def test_links_that_stay_within_are_followed(opens: Opens, root: int, path: str, text: str) -> None:
    assert read(opens(root, path, FILE)) == text


@pytest.mark.parametrize("flags", [FILE, LOOK, DIRECTORY])
@pytest.mark.parametrize("path", ["out", "out-and-in", "a/b/far-out", "absolute", "../secret", "a/../../secret"])
def test_nothing_leads_out(opens: Opens, root: int, path: str, flags: int) -> None:
    with pytest.raises(OSError, match=path.rsplit("/", maxsplit=1)[-1]) as caught:
        opens(root, path, flags)

    assert caught.value.errno in {errno.EXDEV, errno.ENOTDIR}


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("missing", errno.ENOENT),
        ("nowhere", errno.ENOENT),
        ("circle", errno.ELOOP),
        ("file/below", errno.ENOTDIR),
        ("x" * 300, errno.ENAMETOOLONG),
    ],
)
def test_what_is_not_there_is_told_as_the_kernel_tells_it(opens: Opens, root: int, path: str, fault: int) -> None:
    with pytest.raises(OSError) as caught:
        opens(root, path, FILE)

    assert caught.value.errno == fault


def test_what_a_link_leads_to_can_be_looked_at(opens: Opens, root: int) -> None:
    assert stat.S_ISREG(opens(root, "to-file", LOOK).status().st_mode)
    assert stat.S_ISDIR(opens(root, "chain", LOOK).status().st_mode)


def test_the_root_itself_can_be_opened_to_be_read(opens: Opens, root: int) -> None:
    opened = opens(root, ".", DIRECTORY)

    assert "file" in os.listdir(opened.fd)


def test_a_pipe_that_nobody_writes_to_is_opened_at_once(opens: Opens, tree: Path, root: int) -> None:
    os.mkfifo(tree / "pipe")

    assert stat.S_ISFIFO(opens(root, "pipe", FILE).status().st_mode)


def test_a_name_with_nul_is_none(opens: Opens, root: int) -> None:
    with pytest.raises(ValueError, match="null"):
        opens(root, "file\0x", FILE)


@pytest.mark.parametrize("refusal", [errno.ENOSYS, errno.EPERM])
def test_without_the_kernels_help_the_way_is_gone_by_hand(
    monkeypatch: pytest.MonkeyPatch, root: int, refusal: int
) -> None:
    def refused(*_: object) -> int:
        beneath.ctypes.set_errno(refusal)
        return -1

    monkeypatch.setattr(beneath, "_openat2", refused)

    assert read(open_beneath(root, "to-dir/file", FILE)) == "deep"
    with pytest.raises(OSError, match="out"):
        open_beneath(root, "out", FILE)


def test_nothing_stays_open(opens: Opens, root: int) -> None:
    gc.collect()  # or what tests before this one left behind is closed in the midst of it
    before = len(os.listdir("/proc/self/fd"))
    for path in ("to-dir/file", "chain", "a/up"):
        opens(root, path, LOOK)
    with pytest.raises(OSError, match="far-out"):
        opens(root, "a/b/far-out", FILE)

    assert len(os.listdir("/proc/self/fd")) == before
