"""What one worker has of its node."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Address, parse
from gateway.workers.shares import beside, leftover, share

NODE = """\
region: here
node: n1
workers: 4
memory: 4GiB
listen: {peer: "0.0.0.0:9100", control: "0.0.0.0:9300"}
advertise: {peer: "n1.example.com:19100", control: "n1.example.com:19300"}
cache: {paths: [/a, {path: /b, size: 40GiB}], size: 80%}
namespace: {snapshot: /var/lib/causeway}
etcd: [http://10.0.0.11:2379]
"""
WHOLE = parse(NODE, "node.yaml", Path("/"))


def test_a_worker_is_a_member_of_its_own_with_a_part_of_all() -> None:
    second = share(WHOLE, 2)

    assert second.node == "n1/2"
    assert second.memory == 1 << 30
    assert second.cache.size.share == 0.2
    assert second.cache.sizes == (None, 10 << 30)
    assert second.cache.directories == (Path("/a/worker-2"), Path("/b/worker-2"))
    assert second.namespace_directory == Path("/var/lib/causeway/worker-2")
    assert str(second.listen.control.address) == "0.0.0.0:9302"
    assert str(second.advertise.peer) == "n1.example.com:19103"
    assert str(second.advertise.control) == "n1.example.com:19302"


def test_the_first_worker_goes_on_with_what_one_process_kept() -> None:
    first = share(WHOLE, 0)

    assert first.cache.directories == WHOLE.cache.directories
    assert first.namespace_directory == WHOLE.namespace_directory
    assert first.listen.control == WHOLE.listen.control


@given(st.integers(2, 64))
def test_workers_never_share_a_folder_and_take_no_more_than_there_is(workers: int) -> None:
    whole = WHOLE.model_copy(update={"workers": workers})
    shares = [share(whole, number) for number in range(workers)]

    folders = [one for each in shares for one in each.cache.directories]
    assert len(set(folders)) == 2 * workers
    assert sum(each.memory for each in shares) <= whole.memory
    assert sum(each.cache.size.share or 0 for each in shares) <= 0.8 + 1e-9
    assert sum(int(each.cache.sizes[1] or 0) for each in shares) <= 40 << 30


def test_a_port_that_the_kernel_chooses_is_chosen_for_each() -> None:
    assert beside(Address("127.0.0.1", 0), 3) == Address("127.0.0.1", 0)


def test_what_workers_left_that_are_no_more_is_found(tmp_path: Path) -> None:
    for name in ("worker-1", "worker-2", "worker-10", "worker-x", "extents"):
        (tmp_path / name).mkdir()

    assert leftover(tmp_path, 2) == [tmp_path / "worker-10", tmp_path / "worker-2"]
    assert leftover(tmp_path, 1) == [tmp_path / "worker-1", tmp_path / "worker-10", tmp_path / "worker-2"]
