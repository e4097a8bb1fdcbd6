"""Cache rules of the policy and pins by commands, end to end: what stays in a full cache, and what leaves it."""

import pytest

from gateway.admin.operations import BadOperation, UnknownPath
from policy.errors import Faults
from tests.fakes.ramp import ramp
from tests.fakes.s3server import FakeS3
from tests.flow.journeys import kinds, landed, read
from tests.flow.world import FAR, MIB, NEAR, World, topology, world

pytestmark = pytest.mark.anyio
ADMIN = "admin (127.0.0.1)"
SMALL = "20MiB"
"""Of a cache: some 17 objects of a page each, and their headers."""


async def start(regions: World, s3: FakeS3, *rules: dict[str, object]) -> None:
    await regions.start(NEAR, size=SMALL)
    await put_in_force(regions, s3, *rules)
    await regions.admit(NEAR)


async def put_in_force(regions: World, s3: FakeS3, *rules: dict[str, object]) -> tuple[str, ...]:
    """Applies the topology with these cache rules; returns the warnings."""
    return await regions.apply(NEAR, topology(s3.url, None), {"lines": {}, "cache": list(rules)})


async def bring(regions: World, s3: FakeS3, *keys: str) -> None:
    """Reads objects of one page, which are stored first where they are new."""
    for key in keys:
        if key not in s3.bucket("bucket1").objects:
            s3.bucket("bucket1").put(key, MIB)
        assert await read(regions, key) == ramp(0, MIB)
        await landed(regions)


async def held(regions: World, *keys: str) -> list[str]:
    """Those of the keys that are in the cache whole."""
    found = []
    for key in keys:
        explanation = await regions.nodes[NEAR].operations.explain(f"/ns/train/{key}")
        if explanation.pages and explanation.pages_held == explanation.pages:
            found.append(key)
    return found


async def press(regions: World, s3: FakeS3, beginning: str) -> None:
    """Reads so much, and again what has left, that whatever may leave a cache of this size has left it."""
    await bring(regions, s3, *names(beginning, 60), *names(beginning, 60))


def names(beginning: str, count: int) -> list[str]:
    return [f"{beginning}/{number:03}" for number in range(count)]


async def test_a_pinned_path_survives_a_scan(s3: FakeS3) -> None:
    kept = names("val", 5)
    async with world() as regions:
        await start(regions, s3, {"match": "/ns/train/val/**", "pin": True})
        await bring(regions, s3, *kept)

        await press(regions, s3, "scan")

        assert await held(regions, *kept) == kept
        brought = regions.nodes[NEAR].running.app.tally.brought
        await bring(regions, s3, *kept)
        assert regions.nodes[NEAR].running.app.tally.brought == brought


async def test_what_no_rule_pins_does_not_survive_a_scan(s3: FakeS3) -> None:
    async with world() as regions:
        await start(regions, s3)
        await bring(regions, s3, *names("val", 5))

        await press(regions, s3, "scan")

        assert await held(regions, *names("val", 5)) == []


async def test_a_policy_that_is_applied_pins_what_is_held_already_and_without_a_restart(s3: FakeS3) -> None:
    kept = names("val", 5)
    async with world() as regions:
        await start(regions, s3)
        await bring(regions, s3, *kept)

        await put_in_force(regions, s3, {"match": "/ns/train/val", "pin": True})
        await press(regions, s3, "scan")
        stayed = await held(regions, *kept)
        await put_in_force(regions, s3)
        await press(regions, s3, "scan2")

        assert stayed == kept
        assert await held(regions, *kept) == []


async def test_the_newest_partitions_stay_and_a_newer_one_takes_the_place_of_the_oldest(s3: FakeS3) -> None:
    days = {day: names(f"dt=2026-01-0{day}", 2) for day in range(1, 5)}
    async with world() as regions:
        for day in (1, 2, 3):
            for key in days[day]:
                s3.bucket("bucket1").put(key, MIB)
        await start(regions, s3, {"match": "/ns/train/dt=*", "pin": {"newest": 2}})
        for day in (1, 2, 3):
            await bring(regions, s3, *days[day])

        await press(regions, s3, "scan")
        first = [day for day in days if await held(regions, *days[day])]
        await bring(regions, s3, *days[4])
        await press(regions, s3, "scan2")

        assert first == [2, 3]
        assert [day for day in days if await held(regions, *days[day]) == days[day]] == [3, 4]
        (rule,) = (await regions.nodes[NEAR].operations.pins()).rules
        assert rule.newest == ("/ns/train/dt=2026-01-04", "/ns/train/dt=2026-01-03")


async def test_what_is_read_once_takes_no_room_from_what_is_used(s3: FakeS3) -> None:
    used = names("used", 10)
    async with world() as regions:
        await start(regions, s3, {"match": "/ns/train/scan", "admit": "second_read"})
        await bring(regions, s3, *used)

        await bring(regions, s3, *names("scan", 60))

        assert await held(regions, *used) == used
        assert await held(regions, *names("scan", 60)) == []
        await bring(regions, s3, "scan/000")
        assert await held(regions, "scan/000") == ["scan/000"]


async def test_reads_of_what_is_never_admitted_evict_nothing(s3: FakeS3) -> None:
    used = names("used", 10)
    async with world() as regions:
        await start(regions, s3, {"match": "/ns/train/scan", "admit": "never"})
        await bring(regions, s3, *used)

        await bring(regions, s3, *names("scan", 30), *names("scan", 30))

        assert await held(regions, *used) == used
        assert regions.nodes[NEAR].running.app.store.statistics().evicted_bytes == 0


async def test_a_subtree_does_not_outgrow_its_quota(s3: FakeS3) -> None:
    used = names("used", 8)
    async with world() as regions:
        await start(regions, s3, {"match": "/ns/train/bulk/**", "quota": "5MiB"})
        await bring(regions, s3, *used)

        await bring(regions, s3, *names("bulk", 60))

        assert await held(regions, *used) == used
        assert 3 <= len(await held(regions, *names("bulk", 60))) <= 5


async def test_too_much_to_pin_is_refused_with_rule_line_and_bytes_and_nothing_changes(s3: FakeS3) -> None:
    for key in names("val", 30):
        s3.bucket("bucket1").put(key, MIB)
    async with world() as regions:
        await start(regions, s3)

        with pytest.raises(Faults) as refused:
            await put_in_force(regions, s3, {"match": "/ns/train/val", "pin": True})

        (fault,) = refused.value.faults
        assert str(fault) == (
            "policy.yaml:3:8: cache[0].pin: the rule pins 19 MiB at least and 18 MiB may be pinned, 90% of the cache's"
            " 20 MiB; pin less, or give the cache more room"
        )
        assert len(await regions.nodes[NEAR].operations.history()) == 1


async def test_what_has_grown_since_does_not_keep_anybody_from_another_change(s3: FakeS3) -> None:
    rule: dict[str, object] = {"match": "/ns/train/val", "pin": True}
    async with world() as regions:
        await start(regions, s3, rule)
        for key in names("val", 30):
            s3.bucket("bucket1").put(key, MIB)

        warnings = await put_in_force(regions, s3, rule, {"match": "/ns/train/x", "admit": "never"})

        assert any("the rule pins 19 MiB at least" in warning for warning in warnings)
        assert len(await regions.nodes[NEAR].operations.history()) == 2


async def test_pins_of_an_origin_that_is_away_are_taken_with_a_warning(s3: FakeS3) -> None:
    async with world() as regions:
        await start(regions, s3)
        await s3.away()

        warnings = await put_in_force(regions, s3, {"match": "/ns/train/val", "pin": True})

        assert any("the cache rule of /ns/train/val pins could not be summed" in warning for warning in warnings)
        await s3.back()


async def test_a_path_pinned_by_a_command_stays_through_scans_and_restarts(s3: FakeS3) -> None:
    kept = names("val", 5)
    async with world() as regions:
        await start(regions, s3)
        await bring(regions, s3, *kept)
        made = await regions.nodes[NEAR].operations.pin("/ns/train/val/", ADMIN)
        await bring(regions, s3, *names("scan", 30))

        await regions.stop(NEAR)
        await regions.start(NEAR, size=SMALL)
        await press(regions, s3, "scan2")

        assert (made.pin.path, made.pin.author, made.pin.nbytes) == ("/ns/train/val", ADMIN, 5 * MIB)
        assert await held(regions, *kept) == kept
        pins = await regions.nodes[NEAR].operations.pins()
        assert pins.commands == (made.pin,)
        assert pins.held_bytes >= 5 * MIB
        await regions.nodes[NEAR].operations.unpin("/ns/train/val", ADMIN)
        await press(regions, s3, "scan3")
        assert await held(regions, *kept) == []


async def test_a_command_that_pins_more_than_fits_is_refused(s3: FakeS3) -> None:
    for key in [*names("val", 10), *names("big", 10)]:
        s3.bucket("bucket1").put(key, MIB)
    async with world() as regions:
        await start(regions, s3, {"match": "/ns/train/val", "pin": True})
        operations = regions.nodes[NEAR].operations

        with pytest.raises(BadOperation, match="/ns/train/big is not pinned: 10 MiB at least lie there"):
            await operations.pin("/ns/train/big", ADMIN)
        await operations.pin("/ns/train/big/000", ADMIN)

        assert [pin.path for pin in (await operations.pins()).commands] == ["/ns/train/big/000"]


async def test_what_cannot_be_pinned_or_unpinned_says_why(s3: FakeS3) -> None:
    rules: tuple[dict[str, object], ...] = (
        {"match": "/ns/train/never", "admit": "never"},
        {"match": "/ns/train/val", "pin": True},
    )
    async with world() as regions:
        await start(regions, s3, *rules)
        operations = regions.nodes[NEAR].operations
        await operations.pin("/ns/train/a", ADMIN)

        for path, fault, why in (
            ("/ns/train/never/x", BadOperation, "never admitted to the cache, by the rule at policy.yaml:2"),
            ("/ns/elsewhere", UnknownPath, "no mount has '/ns/elsewhere'; mounts: /ns/train"),
            ("elsewhere", BadOperation, "'elsewhere' is not under /ns"),
        ):
            with pytest.raises(fault, match=why):
                await operations.pin(path, ADMIN)
        for path, fault, why in (
            ("/ns/train/val/x", BadOperation, r"is pinned by the cache rule of /ns/train/val \(policy.yaml:5\)"),
            ("/ns/train/a/x", BadOperation, "is pinned with /ns/train/a: `causeway unpin /ns/train/a`"),
            ("/ns/train/b", UnknownPath, "/ns/train/b is not pinned; pinned by commands: /ns/train/a"),
        ):
            with pytest.raises(fault, match=why):
                await operations.unpin(path, ADMIN)


async def test_explain_tells_how_a_path_is_kept_and_which_line_says_so(s3: FakeS3) -> None:
    rules: tuple[dict[str, object], ...] = (
        {"match": "/ns/train/a/**", "ttl": "1d", "priority": "low"},
        {"match": "/ns/train/dt=*", "pin": {"newest": 1}},
        {"match": "/ns/train/**", "quota": "10MiB"},
    )
    async with world() as regions:
        await start(regions, s3, *rules)
        operations = regions.nodes[NEAR].operations
        await bring(regions, s3, "a/x", "b", "dt=1/x")
        await operations.pin("/ns/train/b", ADMIN)

        low, pinned, newest = [await operations.explain(f"/ns/train/{key}") for key in ("a/x", "b", "dt=1/x")]
        unknown = await operations.explain("/ns/train/dt=9/x")

        assert [(rule.setting, rule.value, rule.match, rule.at) for rule in low.rules] == [
            ("ttl", "1 d", "/ns/train/a/**", "policy.yaml:4"),
            ("quota", "10 MiB", "/ns/train/**", "policy.yaml:9"),
            ("priority", "low", "/ns/train/a/**", "policy.yaml:3"),
        ]
        assert low.keep is not None
        assert (low.keep.priority, low.keep.pinned, low.keep.held_bytes) == ("low", False, MIB)
        assert low.keep.ttl_left_seconds is not None
        assert 86400 - 60 < low.keep.ttl_left_seconds <= 86400
        assert low.keep.quota_bytes == 10 * MIB
        assert 3 * MIB <= low.keep.quota_used_bytes < 4 * MIB
        assert pinned.keep is not None
        assert pinned.keep.pinned
        assert (pinned.rules[-1].setting, pinned.rules[-1].match) == ("pin", "/ns/train/b")
        assert pinned.rules[-1].at.startswith(f"{ADMIN}, 20")
        assert newest.keep is not None
        assert newest.keep.pinned
        assert unknown.keep is not None
        assert unknown.keep.held_bytes == 0
        again = await operations.explain("/ns/train/dt=1/x")
        assert again.keep is not None
        assert again.keep.pinned, "a question about what does not exist unpins nothing"


async def test_what_is_freed_is_gone_at_once_and_pinned_paths_only_when_that_is_said(s3: FakeS3) -> None:
    small = [f"a/small{number}" for number in range(3)]
    async with world() as regions:
        for key in small:
            s3.bucket("bucket1").put(key, 1000)
        await start(regions, s3, {"match": "/ns/train/a/val", "pin": True})
        operations = regions.nodes[NEAR].operations
        await bring(regions, s3, "a/x", "a/val/y", "ab")
        for key in small:
            await read(regions, key)
            await landed(regions)
            await read(regions, key)

        first = await operations.free("/ns/train/a", pinned=False)
        left = await held(regions, "a/x", "a/val/y", "ab", *small)
        second = await operations.free("/ns/train/a", pinned=True)

        assert first.objects == 4
        assert MIB <= first.nbytes < 2 * MIB
        assert MIB <= first.pinned_bytes < 2 * MIB
        assert left == ["a/val/y", "ab"]
        assert (second.objects, second.pinned_bytes) == (1, 0)
        assert await held(regions, "a/x", "a/val/y", "ab") == ["ab"]
        brought = regions.nodes[NEAR].running.app.tally.brought
        for key in small:
            assert await read(regions, key) == ramp(0, 1000)
        assert regions.nodes[NEAR].running.app.tally.brought == brought + 3000, "none of them hides in memory"
        with pytest.raises(UnknownPath, match="no mount has '/ns/elsewhere'"):
            await operations.free("/ns/elsewhere", pinned=False)


async def test_what_has_outlived_its_ttl_is_gone_also_over_restarts_and_what_is_pinned_stays(s3: FakeS3) -> None:
    rules: tuple[dict[str, object], ...] = (
        {"match": "/ns/train/mail", "ttl": "1h"},
        {"match": "/ns/train/mail/val", "pin": True},
    )
    async with world() as regions:
        await start(regions, s3, *rules)
        await bring(regions, s3, "mail/x", "mail/val/x", "other/x")

        left = []
        for later in (3000.0, 3700.0):
            await regions.stop(NEAR)
            regions.ahead = later
            await regions.start(NEAR, size=SMALL)
            await regions.nodes[NEAR].running.app.store.sweep()
            left.append(await held(regions, "mail/x", "mail/val/x", "other/x"))

        assert left == [["mail/x", "mail/val/x", "other/x"], ["mail/val/x", "other/x"]]


async def test_what_lies_beyond_a_line_that_is_new_is_summed_over_it_and_debited(s3: FakeS3) -> None:
    for key in names("val", 30):
        s3.bucket("bucket1").put(key, MIB)
    rules: dict[str, object] = {"lines": {}, "cache": [{"match": "/ns/train/val", "pin": True}]}
    async with world() as regions:
        await regions.start(FAR)
        await regions.start(NEAR, size=SMALL)
        far = regions.peer(FAR)
        await regions.apply(FAR, topology(s3.url, far))

        with pytest.raises(Faults, match="the rule pins 19 MiB at least"):
            await regions.apply(NEAR, topology(s3.url, far), rules)

        assert kinds(regions)["meta"] > 0
        assert regions.nodes[NEAR].operations.lines() == (), "nothing of what was refused is in force"
        await regions.apply(NEAR, topology(s3.url, far))
        assert len(regions.nodes[NEAR].operations.lines()) == 1
