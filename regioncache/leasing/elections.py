"""Offices by election: of the nodes of a region that has etcd one is a line's office, as long as its session lives."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from namespace.etcdclient.client import Etcd
from namespace.etcdclient.election import Election, Leader
from namespace.etcdclient.errors import EtcdError
from namespace.etcdclient.session import Session
from namespace.etcdclient.values import Delete, Put, created_at
from regioncache.errors import OriginUnavailable
from regioncache.leasing.finding import Place
from regioncache.leasing.tenure import NotInOffice, OfficeFile, Record, TenureUnkept, next_epoch, parsed, plain

SESSION_SECONDS = 8.0
"""As a member's: an office that was killed is replaced within it."""
QUESTION_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Keys:
    """Where a line's office is in a region's etcd."""

    region: str
    line: str

    @property
    def election(self) -> bytes:
        """The prefix of those who stand."""
        return f"/causeway/{self.region}/offices/{self.line}/".encode()

    @property
    def record(self) -> bytes:
        """What an office leaves its successor."""
        return f"/causeway/{self.region}/rosters/{self.line}".encode()


@dataclass(frozen=True, slots=True)
class Standee:
    """Who stands: where others reach its control port, the member's name, and its process epoch, as told now."""

    address: str
    node: str
    process: Callable[[], int]

    def said(self) -> bytes:
        """Returns what an office shows of itself."""
        return json.dumps({"address": self.address, "node": self.node, "process": self.process()}).encode()

    def follows(self, value: bytes) -> bool:
        """Whether what another one shows is of a former process of this name: that is dead (line-rules, Lost)."""
        try:
            shown = json.loads(value)
            return bool(shown["node"] == self.node and 0 < shown["process"] < self.process())
        except (ValueError, KeyError, TypeError):
            return False


def shown(leader: Leader | None, line: str) -> Place:
    """Returns where an elected office is; raises OriginUnavailable where there is none now."""
    try:
        address = "" if leader is None else json.loads(leader.value)["address"]
    except (ValueError, KeyError, TypeError):
        address = ""
    if not isinstance(address, str) or not address:
        raise OriginUnavailable(f"line {line} has no lease office now: an election is under way", 1.0)
    return Place(address)


@dataclass(frozen=True, slots=True)
class Elected:
    """Finds the office of a line of one's own region."""

    etcd: Etcd
    keys: Keys

    async def find(self) -> Place:
        """Returns where it is; raises OriginUnavailable."""
        try:
            async with asyncio.timeout(QUESTION_SECONDS):
                return shown(await Election(self.etcd, self.keys.election).leader(), self.keys.line)
        except (EtcdError, TimeoutError) as fault:
            raise OriginUnavailable(
                f"etcd does not say where the office of {self.keys.line} is: {fault}", 1.0
            ) from fault


class ElectedTenure:
    """Of one that was elected. What it keeps is written only while its key in the election is there."""

    session_seconds = SESSION_SECONDS

    def __init__(self, etcd: Etcd, keys: Keys, leader: Leader, session: Session, record: Record) -> None:
        self._etcd = etcd
        self._keys = keys
        self._leader = leader
        self._session = session
        self.record = record

    @classmethod
    async def begin(
        cls, etcd: Etcd, keys: Keys, leader: Leader, session: Session, file: OfficeFile, above: int, first: int
    ) -> "ElectedTenure":
        """Takes office under an epoch that is higher than any before, and than `above`; `first` where none is known.

        `file` is what this machine remembers, and `above` what it holds: where etcd knows nothing of a line that had an
        office, its roster was lost.

        Raises: NotInOffice, TenureUnkept.
        """
        try:
            kept = await etcd.get(keys.record)
        except EtcdError as fault:
            raise TenureUnkept(str(fault)) from fault
        remembered = file.record(keys.line)
        found = Record(0, None if remembered.epoch or above else {}) if kept is None else parsed(kept.value)
        epoch = next_epoch(found.epoch, max(remembered.epoch, above), first)
        tenure = cls(etcd, keys, leader, session, Record(epoch, found.rosters))
        await tenure.keep(tenure.record)
        await file.keep(keys.line, Record(epoch, {}))
        return tenure

    def left(self, now: float) -> float:
        """Returns the seconds for which nobody else can be elected."""
        return self._session.left(now)

    async def keep(self, record: Record) -> None:
        """Keeps what a successor must know; raises NotInOffice, TenureUnkept."""
        guard = created_at(self._leader.key, self._leader.epoch)
        put = Put(self._keys.record, json.dumps(plain(record)).encode())
        try:
            outcome = await self._etcd.transact([guard], [put], repeatable=True)
        except EtcdError as fault:
            raise TenureUnkept(str(fault)) from fault
        if not outcome.succeeded:
            raise NotInOffice(f"line {self._keys.line} has another lease office by now")

    async def over(self) -> None:
        """Returns when the session is lost."""
        await self._session.lost()


class Standing:
    """Stands for one line's office, again and again. Mutable state: the session, and the leadership."""

    def __init__(self, etcd: Etcd, keys: Keys, standee: Standee, file: OfficeFile) -> None:
        self._etcd = etcd
        self._keys = keys
        self._standee = standee
        self._file = file
        self._session: Session | None = None
        self._leader: Leader | None = None

    async def elected(self, above: Callable[[], int], first: Callable[[], int]) -> ElectedTenure:
        """Waits until this node is elected, and takes office; the figures are those of `ElectedTenure.begin` then.

        Raises: EtcdError, NotInOffice, TenureUnkept.
        """
        if self._session is None:
            self._session = await Session.open(self._etcd, SESSION_SECONDS)
        elif not self._session.alive:
            await self._session.renew()
        await self._bury()
        election = Election(self._etcd, self._keys.election)
        self._leader = await election.campaign(self._session, self._standee.said())
        etcd, keys, file = self._etcd, self._keys, self._file
        return await ElectedTenure.begin(etcd, keys, self._leader, self._session, file, above(), first())

    async def _bury(self) -> None:
        """Takes former processes of this name out of the election: else their sessions would run out first.

        Raises: EtcdError.
        """
        for item in (await self._etcd.snapshot(self._keys.election)).items:
            if self._standee.follows(item.value):
                await self._etcd.transact([created_at(item.key, item.created)], [Delete(item.key)], repeatable=True)

    async def resign(self) -> None:
        """Makes way at once: nobody has to wait for the session to run out."""
        leader, self._leader = self._leader, None
        if leader is None:
            return
        try:
            async with asyncio.timeout(QUESTION_SECONDS):
                await Election(self._etcd, self._keys.election).resign(leader)
        except (EtcdError, TimeoutError):
            return

    async def close(self) -> None:
        """Ends the session, and with it the office."""
        await self.resign()
        if self._session is not None:
            await self._session.close()
