"""Lists of a directory: what S3 would list if every file were an object, page by page, whatever the tree is like."""

import errno
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regioncache.errors import OriginForbids, OriginUnavailable
from regioncache.origins import filenames
from regioncache.origins.base import ListAsk, ListPage
from regioncache.origins.filelist import LAST, PAGE_SECONDS, Walk
from regioncache.origins.filenames import Run, Runs
from regioncache.origins.root import FileCalls, Root
from regioncache.origins.threads import Left, Signs

Put = Callable[..., Path]
WALL = 4_000_000_000.0


class Lister:
    """Lists a directory as the origin does, with the runs that it keeps. `seconds` pass at each look at the clock."""

    def __init__(self, directory: Path, seconds: float = 0.0, wall: float = WALL) -> None:
        self.root = Root(str(directory), "nas", FileCalls())
        self.runs = Runs(self.clock, lambda: wall)
        self.now, self.seconds = 0.0, seconds

    def clock(self) -> float:
        self.now += self.seconds
        return self.now

    def page(self, prefix: str = "", after: str = "", delimiter: str = "", limit: int = 1000) -> ListPage:
        return Walk(self.root, self.runs, ListAsk(prefix, after, delimiter, limit), self.clock, Signs()).page()

    def names(self, prefix: str = "", after: str = "", delimiter: str = "", limit: int = 1000) -> list[str]:
        """All names of a list, page by page, each page in order."""
        found: list[str] = []
        while True:
            page = self.page(prefix, after, delimiter, limit)
            found += sorted([*(entry.key for entry in page.entries), *page.prefixes], key=str.encode)
            if page.next_after is None:
                return found
            assert page.next_after > after, "a list that does not go on never ends"
            after = page.next_after


@pytest.fixture
def lister(directory: Path) -> Lister:
    return Lister(directory)


def s3_names(keys: set[str], prefix: str, after: str, delimiter: str) -> list[str]:
    """What S3 lists of these keys."""
    found: list[str] = []
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix) or key.encode() <= after.encode():
            continue
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        name = key if at < 0 else key[: at + len(delimiter)]
        if name not in found[-1:] and name != after:
            found.append(name)
    return found


def test_keys_come_in_the_order_of_their_bytes(lister: Lister, put: Put) -> None:
    keys = ["a-b", "a.txt", "a/x", "a/x-1/y", "a/x.1", "a/x/1", "a0", "b", "B", "ü/1", "z", "\U0001f600", "\uffee"]
    for key in [*keys, "a/x"][:-1]:
        if key != "a/x":
            put(key)

    assert lister.names(limit=3) == sorted(set(keys) - {"a/x"}, key=str.encode)


_PART = st.text(st.sampled_from("ab-0.\u00fc\U0001f600"), min_size=1, max_size=3).filter(
    lambda part: part not in {".", ".."}
)
_KEYS = st.sets(st.lists(_PART, min_size=1, max_size=4).map("/".join), max_size=25)
_TEXT = st.text(st.sampled_from("ab-0./\u00fc"), max_size=5)


@settings(max_examples=300, deadline=None)
@given(
    keys=_KEYS,
    prefix=_TEXT,
    after=st.one_of(_TEXT, _TEXT.map(lambda text: text + LAST)),
    delimiter=st.sampled_from(["", "/", "-", "a", "a/", "/b", "-0"]),
    limit=st.integers(1, 5),
    run_names=st.sampled_from([1, 2, 65_536]),
    slow=st.booleans(),
)
def test_a_tree_lists_as_s3_lists_its_files(
    keys: set[str], prefix: str, after: str, delimiter: str, limit: int, run_names: int, slow: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(filenames, "RUN_NAMES", run_names)
        patch.setattr(filenames, "WORTH_KEEPING", 0)
        made = {key for key in sorted(keys) if _made(Path(folder), key)}
        (Path(folder) / "~").touch()  # an empty directory would be taken for one that is not mounted
        lister = Lister(Path(folder), PAGE_SECONDS if slow else 0.0)

        found = lister.names(prefix, after, delimiter, limit)

        assert found == s3_names(made | {"~"}, prefix, after, delimiter)


def _made(folder: Path, key: str) -> bool:
    """Writes a file, unless a file stands where it needs a directory, or the other way round."""
    path = folder / key
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError:
        return False
    return path.is_file()


@pytest.mark.parametrize("prefix", ["a//", "./", "../", "/", "a/../", "\0", "missing/", "file/", "out/"])
def test_a_prefix_that_no_key_has_lists_nothing(lister: Lister, put: Put, directory: Path, prefix: str) -> None:
    put("a/b")
    put("file")
    (directory / "out").symlink_to("..")

    assert lister.names(prefix) == []


def test_files_that_are_no_objects_and_links_that_lead_out_are_not_listed(
    lister: Lister, put: Put, directory: Path
) -> None:
    put("file")
    os.mkfifo(directory / "pipe")
    (directory.parent / "beside").mkdir()
    (directory.parent / "beside" / "secret").touch()
    for name, target in {"out": "../beside", "secret": "../beside/secret", "etc": "/etc", "gone": "missing"}.items():
        (directory / name).symlink_to(target)

    assert lister.names() == lister.names(delimiter="/") == ["file"]


def test_links_within_list_as_what_they_lead_to(lister: Lister, put: Put, directory: Path) -> None:
    put("v3/data", b"12345")
    (directory / "latest").symlink_to("v3")
    (directory / "v3" / "same").symlink_to("data")

    assert lister.names() == ["latest/data", "latest/same", "v3/data", "v3/same"]
    assert lister.names(delimiter="/") == ["latest/", "v3/"]
    assert [entry.size for entry in lister.page("v3/").entries] == [5, 5]


def test_links_in_a_circle_end_where_they_began(lister: Lister, put: Put, directory: Path) -> None:
    put("a/b/file")
    (directory / "a" / "b" / "up").symlink_to("..")
    (directory / "a" / "self").symlink_to(".")

    assert lister.names() == ["a/b/file"]


def test_hidden_names_are_names(lister: Lister, put: Put) -> None:
    put(".zarray")
    put(".git/config")

    assert lister.names() == [".git/config", ".zarray"]


def test_names_that_are_not_utf_8_and_keys_too_long_for_s3_are_left_out(lister: Lister, directory: Path) -> None:
    (directory / "good").touch()
    os.close(os.open(os.fsencode(directory) + b"/bad\xff", os.O_CREAT | os.O_WRONLY))
    long = directory
    for _ in range(5):
        long = long / ("d" * 200)
        long.mkdir()
    (long / ("f" * 19)).touch()
    (long / ("f" * 20)).touch()

    assert lister.names() == ["/".join(["d" * 200] * 5 + ["f" * 19]), "good"]


def test_a_file_that_vanishes_while_it_is_listed_is_left_out(put: Put, directory: Path) -> None:
    for number in range(10):
        put(f"{number}")
    lister = Lister(directory)
    lister.clock = lambda: (directory / "5").unlink(missing_ok=True) or 0.0  # type: ignore[method-assign]

    assert lister.names() == [str(number) for number in range(10) if number != 5]


def test_a_file_that_comes_while_pages_are_asked_for_is_on_a_later_page(
    lister: Lister, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filenames, "WORTH_KEEPING", 0)
    for number in range(0, 100, 2):
        put(f"{number:02}")
    first = lister.page(limit=10)

    put("99")

    assert first.next_after is not None
    assert lister.names(after=first.next_after)[-1] == "99"


@pytest.mark.parametrize(("after_change", "kept"), [(1.9, False), (2.1, True), (-5.0, False)])
def test_names_of_a_directory_that_changed_a_moment_ago_are_not_kept(
    directory: Path, after_change: float, kept: bool
) -> None:
    status = directory.stat()
    runs = Runs(lambda: 0.0, lambda: max(status.st_mtime, status.st_ctime) + after_change)
    run = Run("", "", [f"{number:04}" for number in range(filenames.WORTH_KEEPING)], True)

    runs.keep("", status, run)

    assert (runs.find("", status, "", "") is run) == kept


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many names each reading of a directory had."""
    counts: list[int] = []
    read = os.scandir

    def counting(directory: int | str) -> object:
        counts.append(len(os.listdir(directory)))
        return read(directory)

    monkeypatch.setattr(os, "scandir", counting)
    return counts


def test_a_large_directory_is_read_once_for_all_its_pages_and_each_file_looked_at_once(
    lister: Lister, directory: Path, scanned: list[int]
) -> None:
    for number in range(3000):
        (directory / f"{number:05}").touch()

    assert lister.names(limit=100) == [f"{number:05}" for number in range(3000)]

    assert scanned == [3000]


def test_what_is_held_of_a_directory_is_bounded(
    lister: Lister, directory: Path, scanned: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filenames, "RUN_NAMES", 1000)
    monkeypatch.setattr(filenames, "KEPT_NAMES", 2000)
    for number in range(5000):
        (directory / f"{number:05}").touch()

    assert lister.names(limit=100) == [f"{number:05}" for number in range(5000)]

    assert len(scanned) <= 6
    assert lister.runs._names <= 2000


def test_folders_without_files_end_a_page_early_and_the_list_goes_on(directory: Path) -> None:
    for number in range(20):
        (directory / f"{number:02}" / "empty").mkdir(parents=True)
    (directory / "99").touch()
    lister = Lister(directory, seconds=PAGE_SECONDS / 3)

    first = lister.page()

    assert first.entries == ()
    assert first.next_after is not None
    assert lister.names() == ["99"]


@pytest.mark.parametrize(("fault", "told"), [(errno.EIO, OriginUnavailable), (errno.EACCES, OriginForbids)])
def test_a_directory_that_breaks_while_it_is_read_is_told_and_no_names_are_left_out(
    lister: Lister, put: Put, monkeypatch: pytest.MonkeyPatch, fault: int, told: type[Exception]
) -> None:
    monkeypatch.setattr(filenames, "RUN_NAMES", 2)
    for number in range(6):
        put(f"{number}")
    reads = iter([None, OSError(fault, os.strerror(fault))])
    read = os.scandir

    def breaking(directory: int | str) -> object:
        if isinstance(directory, int) and (broken := next(reads)) is not None:
            raise broken
        return read(directory)

    monkeypatch.setattr(os, "scandir", breaking)

    with pytest.raises(told):
        lister.names()


def test_a_walk_that_was_left_stops(lister: Lister, put: Put) -> None:
    put("a")
    signs = Signs()
    signs.left = True

    with pytest.raises(Left):
        Walk(lister.root, lister.runs, ListAsk(), lister.clock, signs).page()


def test_a_directory_that_the_node_may_not_list_is_forbidden_and_beneath_another_left_out(
    put: Put, directory: Path
) -> None:
    put("file")
    put("lost+found/x")
    (directory / "lost+found").chmod(0)
    found: list[object] = []

    def as_nobody() -> None:
        # Of this thread alone: the C library would change them for all.
        import ctypes

        ctypes.CDLL(None).syscall(117, -1, 65534, -1)  # setresuid
        lister = Lister(directory)
        found.append(lister.names())
        try:
            lister.page("lost+found/")
        except OriginForbids as fault:
            found.append(fault)

    if os.geteuid():
        as_nobody()
    else:
        for parent in directory.parents:
            if str(parent).startswith(tempfile.gettempdir() + "/"):
                parent.chmod(0o755)
        thread = threading.Thread(target=as_nobody)
        thread.start()
        thread.join()

    assert found[0] == ["file"]
    assert isinstance(found[1], OriginForbids)
