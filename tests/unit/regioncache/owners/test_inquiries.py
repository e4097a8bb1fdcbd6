"""Many are asked for in one question: who goes with which, what an owner may say, and what becomes of one that says
nothing."""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from regioncache.cluster.members import Addresses, Member
from regioncache.errors import CacheError, OriginUnavailable
from regioncache.http.limits import Limits
from regioncache.owners.inquiries import MOST, OPERATION, Inquiries, Untold, desk
from regioncache.owners.memberroutes import MemberRoutes
from regioncache.peers.wire import BadPeerRequest
from regioncache.store.whereabouts import Sought, Whereabout, Whereabouts

pytestmark = pytest.mark.anyio
OWNER = Member("n1/1", Addresses("http://127.0.0.1:1"), 1)
ROOTS = (Path("/c"),)


@dataclass(slots=True)
class Owner:
    """Keeps everything with an even hash; says so once its `gate` is open, or that it cannot be asked."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    questions: list[list[int]] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    told: bytes | None = None
    fault: CacheError | None = None

    def of(self, sought: Sought) -> Whereabout | None:
        self.questions[-1].append(sought.digest)
        return None if sought.digest % 2 else place(sought.digest)

    async def ask(self, member: Member, operation: str, values: dict[str, str], **_: Any) -> bytes:
        assert (member, operation) == (OWNER, OPERATION)
        self.questions.append([])
        self.lengths.append(len(values["of"]))
        reply = await desk("here", cast(Whereabouts, self))[OPERATION]("here", values)
        await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        return bytes(reply.body) if self.told is None else self.told


def place(number: int) -> Whereabout:
    return Whereabout(f"/c/worker-1/packs/{number % 8}.seg", number, 100, 5.5)


def of(owner: Owner) -> Inquiries:
    return Inquiries(cast(MemberRoutes, owner), ROOTS)


async def test_what_is_asked_for_while_a_question_is_under_way_goes_with_the_next_one() -> None:
    owner = Owner()
    inquiries = of(owner)
    answers = [inquiries.where(OWNER, Sought(number)) for number in (1, 2)]
    while not owner.questions:
        await asyncio.sleep(0)
    answers += [inquiries.where(OWNER, Sought(number)) for number in (3, 4, 5)]

    owner.gate.set()
    told = await asyncio.gather(*answers)

    assert told == [None, place(2), None, place(4), None]
    assert owner.questions == [[1, 2], [3, 4, 5]]
    assert len(inquiries) == 0


async def test_no_question_is_of_more_than_the_owner_answers_or_longer_than_a_request_may_be() -> None:
    owner = Owner()
    owner.gate.set()
    long = bytes(1000)
    sought = [Sought(number) for number in range(MOST + 3)] + [Sought(number, long) for number in range(100)]

    inquiries = of(owner)
    told = await asyncio.gather(*(inquiries.where(OWNER, one) for one in sought))

    assert told == [None if one.digest % 2 else place(one.digest) for one in sought]
    assert max(map(len, owner.questions)) == MOST
    assert max(owner.lengths) <= Limits().head_bytes * 3 // 4


async def test_an_owner_that_does_not_answer_is_waited_for_once_by_all_who_ask_by_then() -> None:
    owner = Owner(fault=OriginUnavailable("nobody answers"))
    inquiries = of(owner)
    answers = [inquiries.where(OWNER, Sought(1))]
    while not owner.questions:
        await asyncio.sleep(0)
    answers += [inquiries.where(OWNER, Sought(2))]
    owner.gate.set()

    told = await asyncio.gather(*answers)
    owner.fault = None
    later = await inquiries.where(OWNER, Sought(2))

    assert told == [Untold.SILENT, Untold.SILENT]
    assert owner.questions == [[1], [2]]
    assert later == place(2)


async def test_who_has_left_is_not_in_the_way_of_others() -> None:
    owner = Owner()
    inquiries = of(owner)
    left, waits = inquiries.where(OWNER, Sought(2)), inquiries.where(OWNER, Sought(4))
    left.cancel()

    owner.gate.set()

    assert await waits == place(4)


async def test_at_the_end_nobody_waits_for_an_answer() -> None:
    owner = Owner()
    inquiries = of(owner)
    answers = [inquiries.where(OWNER, Sought(1))]
    while not owner.questions:
        await asyncio.sleep(0)
    answers += [inquiries.where(OWNER, Sought(2))]

    await inquiries.stop()

    assert all(answer.cancelled() for answer in answers)


@pytest.mark.parametrize(
    "told",
    [
        '[["/etc/passwd", 0, 0, 0.0]]',
        '[["/c/../etc/passwd", 0, 0, 0.0]]',
        '[["/c/x", -1, 5, 0.0]]',
        '[["/c/x", 0, 999999, 0.0]]',
        '[["/c/x"]]',
        "[[]]",
        "[{}]",
        "[]",
        "[null, null]",
        "{",
        "7",
    ],
)
async def test_nothing_outside_the_nodes_folders_is_ever_opened(told: str) -> None:
    owner = Owner(told=told.encode())
    owner.gate.set()

    assert await of(owner).where(OWNER, Sought(2)) is None


@pytest.mark.parametrize("asked", ["", "x.", "1.x", "1._", "_".join(["1."] * (MOST + 1))])
async def test_a_malformed_question_and_one_of_too_many_are_refused(asked: str) -> None:
    with pytest.raises(BadPeerRequest):
        await desk("here", cast(Whereabouts, Owner()))[OPERATION]("here", {"of": asked})


async def test_only_members_of_the_region_are_told_where_things_lie() -> None:
    reply = await desk("here", cast(Whereabouts, Owner()))[OPERATION]("far", {"of": "1."})

    assert (reply.status, json.loads(bytes(reply.body) or b"0")) == (403, 0)
