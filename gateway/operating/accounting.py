"""What moved over lines in a time: this node's ledger and those of all other members of the region, summed.

The node that is asked asks the others at their peer doors; one that cannot be asked is named, never passed over.
"""

import asyncio
import json
from collections.abc import Sequence

from gateway.accounts import Period, account
from gateway.admin.answers import Moved
from gateway.admin.operations import BadOperation, Unavailable
from gateway.operating.running import Running
from regioncache.cluster.members import Member
from regioncache.errors import BadAnswer, CacheError
from regioncache.history.file import HistoryBroken, Row
from regioncache.http.client import Base
from regioncache.http.messages import Reply
from regioncache.peers.desks import Questioner, Values
from regioncache.peers.wire import BadPeerRequest

OPERATION = "lines"
MOST_ROWS = 100_000
"""Of one ledger: some seconds of work and 16 MiB of answer. By slot that is a week of fifty counters."""
MOST_BYTES = 64 * 1024 * 1024
SECONDS = 10.0
"""For a member's answer: a month by slot takes a second of its disk."""


class Accounting:
    """`gateway.admin.operations.Watching.moved`, and the desk at which members ask for it."""

    running: Running

    async def moved(self, since: str, until: str, by: str) -> Moved:
        """Who moved what in a time; see `Period.of`.

        Raises: BadOperation (no such time or name, or more than an answer can hold), Unavailable (no history).
        """
        try:
            period = Period.of(since, until, by, self.running.wall())
            mine = await self._mine(period.since, period.until, period.columns)
        except HistoryBroken as fault:
            raise Unavailable(str(fault), 5.0) from fault
        except ValueError as wrong:
            raise BadOperation(str(wrong)) from wrong
        members = self.running.app.settings.ownership.members()
        found = await asyncio.gather(*(self._asked(one, period) for one in members))
        parts, unasked = {self.running.settings.node: mine}, []
        for member, rows in zip(members, found, strict=True):
            if isinstance(rows, CacheError):
                unasked.append((member.name, str(rows)))
            else:
                parts[member.name] = rows
        prices = {name: line.price_per_gb for name, line in self.running.app.resolver.topology.lines.items()}
        return await asyncio.to_thread(account, period, parts, prices, unasked)

    async def lines_desk(self, _asker: str, values: Values) -> Reply:
        """Answers another member: this node's own rows. Raises BadPeerRequest."""
        try:
            since, until, columns = int(values["since"]), int(values["until"]), tuple(values["by"].split(","))
            rows = await self._mine(since, until, columns)
        except (ValueError, KeyError, BadOperation) as fault:
            raise BadPeerRequest(str(fault)) from fault
        except HistoryBroken as fault:
            return Reply(503, body=str(fault).encode())
        body = await asyncio.to_thread(_written, rows)
        return Reply(200, [(b"content-type", b"application/json")], body)

    async def _mine(self, since: int, until: int, columns: Sequence[str]) -> list[Row]:
        rows = await self.running.app.history.rows(since, until, columns, MOST_ROWS)
        if len(rows) > MOST_ROWS:
            raise BadOperation(f"that is more than {MOST_ROWS} rows; ask for a shorter time, or by fewer names")
        return rows

    async def _asked(self, one: Member, period: Period) -> list[Row] | CacheError:
        settings = self.running.app.settings
        questioner = Questioner(settings.region, settings.secrets, self.running.app.peer_client, settings.wall)
        values = {"since": str(period.since), "until": str(period.until), "by": ",".join(period.columns)}
        try:
            base = Base.parse(one.addresses.peer)
            body = await questioner.ask(
                base, settings.region, OPERATION, values, seconds=SECONDS, most_bytes=MOST_BYTES
            )
            return await asyncio.to_thread(_read, body, len(period.columns))
        except CacheError as fault:
            return fault
        except ValueError as fault:  # of a version that says its address in another way
            return BadAnswer(f"its peer address {one.addresses.peer!r} cannot be used: {fault}")


def _written(rows: Sequence[Row]) -> bytes:
    return json.dumps({"rows": [(*row.names, row.nbytes) for row in rows]}, separators=(",", ":")).encode()


def _read(body: bytes, width: int) -> list[Row]:
    try:
        rows = [Row(tuple(names), int(nbytes)) for *names, nbytes in json.loads(body)["rows"]]
        if any(len(row.names) != width for row in rows):
            raise ValueError("a row has another number of names")
    except (ValueError, KeyError, TypeError) as fault:
        raise BadAnswer(f"a member's rows are malformed: {fault}") from fault
    return rows
