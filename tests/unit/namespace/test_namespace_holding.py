"""A node's copy of the namespace: on disk before anybody is asked, and replaced by later ones of the same alone."""

import asyncio
import errno
from dataclasses import replace
from pathlib import Path

import pytest

from namespace import contents, forms
from namespace.holding import AGAIN_SECONDS, Holding
from namespace.items import Difference, Snapshot, difference
from namespace.keys import AccessKey
from namespace.knowing import Knowing
from namespace.model import Bucket, Endpoint, Endpoints, Mount, Region, Topology
from namespace.sealing import KEYS, Seal
from namespace.snapshots import SnapshotFiles
from namespace.store.base import PinnedPath, Revision

pytestmark = pytest.mark.anyio

SEAL = Seal(b"the seal of these tests", KEYS)
KEY = AccessKey("CWID", "0123456789abcdef", "reader", "rec", read=("/ns/a",))


def topology(*mounts: str) -> Topology:
    bucket = Bucket(
        name="b", provider="s3", bucket="real", region="a",
        endpoints=Endpoints(internal=Endpoint(url="http://10.0.0.1:9000", scope="internal")),
    )  # fmt: skip
    made = {path: Mount(path=path, bucket="b") for path in mounts}
    return Topology(regions={"a": Region(name="a")}, buckets={"b": bucket}, mounts=made)


def snapshot(serial: int, number: int, *mounts: str, **more: str) -> Snapshot:
    revision = {contents.REVISION: contents.revision_item(Revision(number, "ann", 1.0, f"digest {number}"))}
    return Snapshot("cluster", serial, {**forms.items_of(topology(*mounts)), **revision, **more})


class Told(list[str]):
    """What was warned of."""


@pytest.fixture
def told() -> Told:
    return Told()


def holding(directory: Path, told: Told, seal: Seal | None = SEAL) -> Holding:
    return Holding(SnapshotFiles(directory, told.append), Knowing("a", seal), told.append)


async def test_what_was_held_is_known_again_after_a_restart_without_anybody_else(tmp_path: Path, told: Told) -> None:
    before = holding(tmp_path, told)
    await before.offer(snapshot(5, 1, "/ns/a", **{contents.key_name(KEY): contents.key_item(KEY, SEAL)}))
    before.save_now()

    again = holding(tmp_path, told)
    await again.restore()

    known = again.newest()
    assert known == before.newest()
    assert (known.serial, known.keys, known.topology) == (5, (KEY,), topology("/ns/a"))
    assert told == []


async def test_a_change_makes_anew_what_changed_alone(tmp_path: Path, told: Told) -> None:
    held = holding(tmp_path, told)
    first, second = snapshot(5, 1, "/ns/a", "/ns/b"), snapshot(6, 2, "/ns/a", "/ns/c")
    await held.offer(first)
    before = held.newest().topology
    assert before is not None

    await held.offer(second, first, difference(first.items, second.items))

    after = held.newest().topology
    assert after == topology("/ns/a", "/ns/c")
    assert after.mounts["/ns/a"] is before.mounts["/ns/a"]


async def test_a_difference_of_another_base_is_not_taken_for_ours(tmp_path: Path, told: Told) -> None:
    held = holding(tmp_path, told)
    await held.offer(snapshot(5, 1, "/ns/a"))
    missed, second = snapshot(6, 2, "/ns/b"), snapshot(7, 3, "/ns/b", "/ns/c")

    await held.offer(second, missed, difference(missed.items, second.items))

    assert held.newest().topology == topology("/ns/b", "/ns/c")


async def test_one_of_another_namespace_is_refused_loudly_once_and_asked_for_by_a_remedy(
    tmp_path: Path, told: Told
) -> None:
    held = holding(tmp_path, told)
    await held.offer(snapshot(5, 3, "/ns/a"))
    other = replace(snapshot(900, 9, "/ns/b"), cluster="other")

    assert not await held.offer(other)
    assert not await held.offer(other)

    assert held.newest().topology == topology("/ns/a")
    assert len(told) == 1
    assert "causeway up --adopt" in told[0]
    assert "it is another namespace (id other, revision 9) than the one known here" in held.concern()


async def test_a_lower_revision_is_refused_and_a_later_one_ends_that(tmp_path: Path, told: Told) -> None:
    held = holding(tmp_path, told)
    await held.offer(snapshot(50, 3, "/ns/a"))

    assert not await held.offer(snapshot(60, 2, "/ns/old"))
    assert "its newest revision is 2, here 3 is known already" in held.concern()

    assert await held.offer(snapshot(61, 3, "/ns/a"))
    assert held.concern() == ""


async def test_a_key_that_does_not_open_is_no_key_and_is_told(tmp_path: Path, told: Told) -> None:
    held = holding(tmp_path, told)
    stranger = contents.key_item(replace(KEY, id="CWOTHER", name="other"), Seal(b"another seal entirely", KEYS))

    await held.offer(snapshot(5, 1, **{contents.key_name(KEY): contents.key_item(KEY, SEAL), "key/CWOTHER": stranger}))

    assert held.newest().keys == (KEY,)
    assert "1 access keys do not open, the first is CWOTHER: a key's secret does not open" in held.concern()


async def test_keys_of_other_regions_and_pins_of_other_regions_are_not_ours(tmp_path: Path, told: Told) -> None:
    held = holding(tmp_path, told)
    theirs, ours = replace(KEY, regions=("b",)), PinnedPath("/ns/a", "ann", 1.0, None)
    pins = {contents.pin_name(region, "/ns/a"): contents.pin_item(ours) for region in ("a", "b")}

    await held.offer(snapshot(5, 1, **{contents.key_name(theirs): contents.key_item(theirs, SEAL), **pins}))

    assert held.newest().keys == ()
    assert held.newest().pins == (ours,)


async def test_what_this_version_cannot_read_leaves_what_is_held(tmp_path: Path, told: Told) -> None:
    held = holding(tmp_path, told)
    await held.offer(snapshot(5, 1, "/ns/a"))

    with pytest.raises(ValueError, match="colour"):
        await held.offer(snapshot(6, 2, **{"mount//ns/b": '{"bucket":"b","colour":1}'}))

    assert held.newest().topology == topology("/ns/a")
    assert held.snapshot.serial == 5


async def test_that_a_node_is_well_or_not_is_not_written_to_disk_each_time(tmp_path: Path, told: Told) -> None:
    held = holding(tmp_path, told)
    first = snapshot(5, 1, "/ns/a")
    await held.offer(first)
    held.save_now()
    node = contents.PublishedNode("b", "n1", {"peer": "10.0.0.1:9100"})
    changed = Difference({contents.node_name(node): contents.node_item(node)})

    await held.offer(first.changed(6, changed), first, changed)
    held.save_now()

    assert held.newest().nodes == (node,)
    again = holding(tmp_path, told)
    await again.restore()
    assert again.newest().serial == 5


class FullDisk(SnapshotFiles):
    """Refuses as many writes as it is told to, as a disk without room does."""

    refusals = 1

    def write(self, snapshot: Snapshot) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(snapshot)


async def test_a_snapshot_that_could_not_be_written_is_written_by_the_next_call(tmp_path: Path, told: Told) -> None:
    held = Holding(FullDisk(tmp_path, told.append), Knowing("a", SEAL), told.append)
    await held.offer(snapshot(5, 1, "/ns/a"))

    with pytest.raises(OSError, match="No space left"):
        held.save_now()
    held.save_now()

    again = holding(tmp_path, told)
    await again.restore()
    assert again.newest().serial == 5


async def test_what_could_not_be_written_is_tried_again_without_another_change_and_told_once(
    tmp_path: Path, told: Told
) -> None:
    files = FullDisk(tmp_path, told.append)
    files.refusals = 3
    waits, room, end = list[str](), asyncio.Event(), asyncio.Event()

    async def wait(seconds: float) -> None:
        assert seconds == AGAIN_SECONDS
        waits.append(held.concern())
        if not files.refusals:
            room.set()
            await end.wait()

    held = Holding(files, Knowing("a", SEAL), told.append, wait)
    await held.offer(snapshot(5, 1, "/ns/a"))

    async with asyncio.TaskGroup() as tasks:
        saving = tasks.create_task(held.save())
        await room.wait()
        end.set()
        while held.concern():
            await asyncio.sleep(0)
        saving.cancel()

    assert len(waits) == 3
    assert told == waits[:1]
    assert "cannot be written" in told[0]
    again = holding(tmp_path, told)
    await again.restore()
    assert again.newest().serial == 5


async def test_an_empty_namespace_is_adopted_only_where_that_is_said(tmp_path: Path, told: Told) -> None:
    before = holding(tmp_path, told)
    await before.offer(snapshot(5, 3, "/ns/a"))
    before.save_now()
    empty, other = Snapshot("other", 1, {}), replace(snapshot(9, 1, "/ns/b"), cluster="other")

    kept, taking = holding(tmp_path, told), holding(tmp_path, told)
    await kept.restore("filled")
    assert not await kept.offer(empty)
    assert kept.newest() == before.newest()
    assert "it is empty, as after a loss: put it back by `causeway namespace restore`" in kept.concern()
    await taking.restore("empty")
    assert await taking.offer(empty)

    filled = holding(tmp_path, told)
    await filled.restore("filled")
    assert await filled.offer(other)
    assert filled.newest().topology == topology("/ns/b")
