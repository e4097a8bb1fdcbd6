"""The two crossings: one that keeps the account of a request on a line, and one where no line lies between."""

from collections.abc import Callable
from dataclasses import dataclass

from policy.shares import Leaf
from regioncache.ledger import Entry, Ledger
from regioncache.lines.account import Account, Runs
from regioncache.lines.buffers import SMALL_REQUEST, quantum
from regioncache.lines.gate import Gate
from regioncache.lines.prepaid import Room
from regioncache.lines.waiting import Ask
from regioncache.lines.waits import Waits
from regioncache.origins.base import Payer


@dataclass(frozen=True, slots=True)
class Books:
    """Where the crossings of one direction of a line are counted."""

    line: str
    direction: str
    ledger: Ledger
    waits: Waits


class LineCrossing:
    """One request over a line. Mutable state: its account, its room, the debit it waits for, and the wait."""

    def __init__(
        self, gate: Gate, books: Books, payer: Callable[[], Payer], bucket: str, kind: Callable[[], str]
    ) -> None:
        self._gate = gate
        self._books = books
        self._payer = payer
        self._bucket = bucket
        self._kind = kind
        # The overhead of its first byte goes for all: what is credited must be what was debited.
        self._overhead = gate.terms.overhead
        self._account: Account | None = None
        self._buffer_asked = 0
        self._room: Room | None = None
        self._ask: Ask | None = None
        self._asker = payer()
        self._sent_at: float | None = None
        self._waited = 0.0
        self._waiting_since: float | None = None
        self._closed = False
        self.patient = False
        """Whether it waits however long it takes."""

    def __repr__(self) -> str:
        state = "closed" if self._closed else "waiting" if self._waiting_since is not None else "open"
        return f"<LineCrossing {self._books.line} {self._asker.tenant}/{self._asker.cls} {state} {self._account}>"

    @property
    def waited(self) -> float:
        """Seconds that this crossing has waited for the line so far."""
        since = self._waiting_since
        return self._waited + (self._gate.clock() - since if since is not None else 0.0)

    @property
    def holds_up(self) -> bool:
        """Whether it holds room on the line that others wait for."""
        return self._room is not None and self._room.state == "running" and self._gate.statistics().prepaid.waiting > 0

    def request_wanted(self, length: int) -> int:
        """How many of `length` bytes one request should ask for now."""
        return self._gate.request_wanted(self._gate.leaf(self._payer()), length)

    def buffer_wanted(self, length: int, known: bool = True) -> int:
        """The receive buffer to set before connect."""
        self._buffer_asked = self._gate.buffer_wanted(self._gate.leaf(self._payer()), length, known)
        return self._buffer_asked

    def lanes(self, mine: int) -> int:
        """How many requests a reader with `mine` under way should keep under way."""
        return self._gate.lanes(self._gate.leaf(self._payer()), mine)

    async def prepay(self, length: int, buffer: int, round_trip: float = 0.0) -> None:
        """Waits until the request may be sent; cancelled or refused, nothing stays taken."""
        if self._account is not None:
            raise RuntimeError("a crossing is the account of one request; open another one for the next")
        if round_trip:
            self._gate.answered(round_trip)
        if self._buffer_asked:
            self._gate.got_buffer(self._buffer_asked, buffer)
        account = self._account = Account(length, buffer)
        self._waiting_since = self._gate.clock()
        try:
            if length:
                await self._enter(account, length <= SMALL_REQUEST)
                while account.debited < account.first:
                    await self._debit(account, min(account.first - account.debited, self._gate.terms.piece))
        except BaseException:
            self._stop_waiting()
            self.close()
            raise
        self._stop_waiting()
        account.sent = True
        self._sent_at = self._gate.clock()

    def learned(self, length: int) -> None:
        """The reply has `length` payload bytes."""
        account = self._opened()
        if self._sent_at is not None:
            self._gate.answered(self._gate.clock() - self._sent_at)
            self._sent_at = None
        self._credit(account.resize(length))
        # More than was asked for may be on its way already: it is owed, so that the ledger is never below the wire.
        if unasked := account.missing(0):
            self._asker = self._payer()
            self._gate.owe(self._leaf(), unasked * self._overhead)
            self._count(account, unasked)
        self._hold(account)

    def ready(self, nbytes: int) -> int:
        """How many of `nbytes` are debited already."""
        return self._opened().readable(nbytes)

    async def room(self, nbytes: int) -> int:
        """Waits until at least one byte may be read."""
        account = self._opened()
        if account.left <= 0:
            # A reply whose head told no length goes on beyond what was expected.
            account.length += nbytes
        if ready := account.readable(nbytes):
            return ready
        self._waiting_since = self._gate.clock()
        try:
            spare = quantum(account.buffer) + int(self._gate.spare() / self._overhead)
            missing = account.missing(min(nbytes, self._gate.terms.piece, spare))
            self._hold(account, missing)
            await self._debit(account, missing)
        finally:
            self._stop_waiting()
            self._hold(account)
        return account.readable(nbytes)

    def read(self, nbytes: int) -> None:
        """`nbytes` of payload were read from the socket."""
        account, kind = self._opened(), self._kind()
        for entry, count in account.receive(nbytes, kind):
            self._books.ledger.move(entry, kind, count)
        self._hold(account)

    def spoil(self, nbytes: int, kind: str) -> None:
        """The last `nbytes` read count as `kind`."""
        if self._account is None:
            return
        for entry, count in self._account.spoil(nbytes):
            self._books.ledger.move(entry, kind, count)

    def promote(self) -> None:
        """Asks who pays now, and lets what waits go on for them."""
        before, self._asker = self._leaf(), self._payer()
        leaf = self._leaf()
        if leaf == before:
            return
        for ticket in (self._room, self._ask):
            if ticket is not None:
                self._gate.promote(ticket, leaf)

    def again(self) -> None:
        """The request is over, and the same question is put once more."""
        self._end()
        self._account = self._room = self._sent_at = None

    def close(self) -> None:
        """The request is over."""
        if not self._closed:
            self._closed = True
            self._end()

    def _end(self) -> None:
        lost = 0
        if self._account is not None:
            closing = self._account.close()
            self._credit(closing.credited)
            for entry, count in closing.over_read:
                self._books.ledger.move(entry, "over_read", count)
                lost += count
            self._books.waits.observe(self._leaf().cls, self._waited)
        if self._room is not None:
            self._gate.release(self._room, lost * self._overhead)

    def _opened(self) -> Account:
        if self._account is None or self._closed:
            raise RuntimeError("nothing may be read on a crossing before `prepay` or after `close`")
        return self._account

    def _leaf(self) -> Leaf:
        return self._gate.leaf(self._asker)

    async def _enter(self, account: Account, small: bool) -> None:
        self._asker = self._payer()
        leaf, gate, overhead = self._leaf(), self._gate, self._overhead
        if not gate.limited:
            return
        control = self._kind() == "meta"
        first, reserve = account.first * overhead, account.reserve * overhead
        gate.check_room(leaf, first, reserve, small, patient=self.patient, control=control)
        self._room = gate.reserve(leaf, account.reserve * overhead, account.left * overhead, small, control)
        await gate.enter(self._room)

    async def _debit(self, account: Account, nbytes: int) -> None:
        """Waits for a debit of `nbytes` and counts it for who paid in the end."""
        self._asker = self._payer()
        if self._gate.limited:
            self._ask = self._gate.ask(self._leaf(), nbytes * self._overhead, self._kind() == "meta")
            try:
                await self._gate.debit(self._ask)
            finally:
                self._ask = None
        self._count(account, nbytes)

    def _count(self, account: Account, nbytes: int) -> None:
        books, payer = self._books, self._asker
        entry = Entry(books.line, books.direction, payer.tenant, payer.cls, self._bucket, self._kind())
        books.ledger.raise_(entry, nbytes)
        account.debit(entry, nbytes)

    def _credit(self, runs: Runs) -> None:
        for entry, count in runs:
            self._books.ledger.lower(entry, count)
            if self._gate.limited:
                self._gate.give(self._gate.leaf(Payer(entry.tenant, entry.cls)), count * self._overhead)

    def _hold(self, account: Account, coming: int = 0) -> None:
        """Tells what the request holds, with the debit that it is about to wait for."""
        if self._room is not None:
            held = max(account.reserve, account.prepaid + coming)
            self._gate.hold(self._room, held * self._overhead, account.left * self._overhead)

    def _stop_waiting(self) -> None:
        if self._waiting_since is not None:
            self._waited += self._gate.clock() - self._waiting_since
            self._waiting_since = None


class NoLine:
    """The crossing where no line lies between: it counts, and never waits. One serves any number of requests."""

    def __init__(self) -> None:
        self.bytes_read = 0
        """Payload bytes that passed."""
        self.patient = False

    def __repr__(self) -> str:
        return f"<NoLine {self.bytes_read} B read>"

    @property
    def waited(self) -> float:
        """Always 0."""
        return 0.0

    @property
    def holds_up(self) -> bool:
        """Never."""
        return False

    def request_wanted(self, length: int) -> int:
        return length

    def buffer_wanted(self, length: int, known: bool = True) -> int:
        return 0

    def lanes(self, mine: int) -> int:
        return 1

    async def prepay(self, length: int, buffer: int, round_trip: float = 0.0) -> None:
        return

    def learned(self, length: int) -> None:
        return

    def ready(self, nbytes: int) -> int:
        return nbytes

    async def room(self, nbytes: int) -> int:
        return nbytes

    def read(self, nbytes: int) -> None:
        self.bytes_read += nbytes

    def spoil(self, nbytes: int, kind: str) -> None:
        return

    def promote(self) -> None:
        return

    def again(self) -> None:
        return

    def close(self) -> None:
        return
