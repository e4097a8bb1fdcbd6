"""The nodes of one far region: which is asked, in which order, and which of them answer. A core: it is told the time.

The owner is asked, by the far region's own view and the same arithmetic as there; where it does not answer, any other
node of the region, which forwards. A node that failed is passed over until a probe of it was answered, and one that was
never heard is probed before a reader is sent to it: its address may be one that cannot be reached from here.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from namespace.contents import PublishedNode
from regioncache.cluster.members import Addresses, Member, State
from regioncache.cluster.ring import Ring
from regioncache.federation.farview import MOST_NODES, FarView
from regioncache.health import Health, WayId

FRESH_SECONDS = 30.0
"""After which a view is asked for again while the region is used, though no reply told of a newer one."""
ANEW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class NodeStanding:
    """How one node fares, for `explain` and metrics: `away_seconds` is None while it is not away."""

    node: Member
    heard: bool
    away_seconds: float | None

    @property
    def state(self) -> str:
        """`up`, `away`, or `unknown` where it never answered yet."""
        if self.away_seconds is not None:
            return "away"
        return "up" if self.heard else "unknown"


class FarNodes:
    """Mutable state: what was told of the region's nodes, by whom; who was heard when, and who is away."""

    def __init__(self, askable: Callable[[str], bool] = lambda address: True) -> None:
        """`askable` says whether an address (URL) may be asked at all: one of TLS needs a certificate here."""
        self._askable = askable
        self.view = FarView()
        self.learned_at: float | None = None
        """When the view was told last; None: never."""
        self._named: tuple[Member, ...] = ()
        self._published: tuple[Member, ...] = ()
        self._ring = Ring(())
        self._everyone: tuple[Member, ...] = ()
        self._health = Health()
        self._heard: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"<FarNodes at epoch {self.view.epoch}, {len(self._everyone)} nodes, {len(self.away())} away>"

    def name(self, addresses: Iterable[str]) -> None:
        """The topology names these addresses (URLs), the best first."""
        self._named = tuple(_of_address(one) for one in dict.fromkeys(addresses))
        self._rebuild()

    def publish(self, nodes: Iterable[PublishedNode]) -> None:
        """The namespace service tells of these nodes: they are whom to ask until one of them has told the view."""
        told = [one for one in nodes if one.addresses.get("peer")]
        # One that says what ails it is asked where there is no other.
        self._published = tuple(map(self._of_published, [one for one in told if not one.fault] or told))[:MOST_NODES]
        self._rebuild()

    def _of_published(self, node: PublishedNode) -> Member:
        secure = self._secure() if self._named else self._askable("https://")
        address = f"{'https' if secure else 'http'}://{node.addresses['peer']}"
        return Member(node.name, Addresses(address), node.capacity)

    def adopt(self, view: FarView, now: float) -> bool:
        """The region has told its view; returns whether that changed who its nodes are.

        An older one changes nothing, unless nobody has told the newer one for a minute: then etcd began anew there.
        """
        if view.epoch < self.view.epoch and self.learned_at is not None and now - self.learned_at < ANEW_SECONDS:
            return False
        self.learned_at = now
        changed = view.members != self.view.members
        self.view = view
        self._rebuild()
        return changed

    def stale(self, now: float) -> bool:
        """Whether the view is to be asked for again; never of a region that has told of none."""
        return self.learned_at is not None and self.view.epoch > 0 and now - self.learned_at > FRESH_SECONDS

    def everyone(self) -> tuple[Member, ...]:
        """All nodes that are known, those of the view first."""
        return self._everyone

    def owner(self, at: bytes) -> Member | None:
        """Who owns a place by what is known; None: nothing is known of owners."""
        return self._ring.owner(at)

    def order(self, at: bytes) -> list[Member]:
        """The nodes that may be asked for a place, in order: its owner, then those who forward to it."""
        return [one for one in self._ranked(at) if self._fit(one)]

    def last_resort(self, at: bytes) -> Member | None:
        """Whom to ask where nobody is fit: one that was never asked, else who has been away for longest."""
        since = {where: at for (_, _, where), at in self._health.away_since().items()}
        known = filter(self._allowed, self._ranked(at))
        return min(known, key=lambda one: since.get(one.addresses.peer, float("-inf")), default=None)

    def answered(self, node: Member, now: float) -> bool:
        """A node has answered, whatever it said; returns whether it was away until now."""
        self._heard[node.addresses.peer] = now
        return self._health.answered(_way(node))

    def failed(self, node: Member, now: float) -> bool:
        """A node refused the connection, or was silent; returns whether it went away now."""
        return self._health.refused(_way(node), now)

    def heard_since(self, node: Member, moment: float) -> bool:
        """Whether a node has answered anything since a moment."""
        return self._heard.get(node.addresses.peer, float("-inf")) >= moment

    def due(self, now: float) -> list[Member]:
        """The nodes to be probed now; whoever takes them does."""
        probed = (one for one in self._everyone if self._allowed(one) and not self._fit(one))
        return [one for one in probed if self._health.may_ask(_way(one), now)]

    def away(self) -> dict[str, float]:
        """The addresses that are away, with since when."""
        return {where: at for (_, _, where), at in self._health.away_since().items()}

    def standings(self, now: float) -> list[NodeStanding]:
        """How each node fares."""
        away = self.away()
        return [
            NodeStanding(
                one,
                one.addresses.peer in self._heard,
                now - away[one.addresses.peer] if one.addresses.peer in away else None,
            )
            for one in self._everyone
        ]

    def _fit(self, node: Member) -> bool:
        """Whether a reader may be sent there: the topology's addresses until they fail, others once they were heard."""
        if self._health.away(_way(node)) or not self._allowed(node):
            return False
        return node.addresses.peer in self._heard or any(one.addresses == node.addresses for one in self._named)

    def _allowed(self, node: Member) -> bool:
        """A region whose nodes are named with https:// is asked by nothing less, whatever is told of it."""
        where = node.addresses.peer
        return self._askable(where) and (where.startswith("https:") or not self._secure())

    def _secure(self) -> bool:
        return any(one.name.startswith("https:") for one in self._named)

    def _ranked(self, at: bytes) -> list[Member]:
        owners = self._ring.ranks(at, len(self._ring))
        ranked = [one for one in owners if one.state is not State.RESTARTING]
        known = {one.name for one in ranked}
        # Who restarts owns on, but its door is closed: any other node waits for it in our place.
        return [*ranked, *(one for one in self._everyone if one.name not in known)]

    def _rebuild(self) -> None:
        told = self.view.members or self._published
        self._ring = Ring(told)
        known = {one.addresses.peer for one in told}
        others = {
            one.addresses.peer: one for one in (*self._named, *self._published) if one.addresses.peer not in known
        }
        self._everyone = (*told, *others.values())
        addresses = known | set(others)
        self._heard = {where: at for where, at in self._heard.items() if where in addresses}
        for way in self._health.away_since():
            if way[2] not in addresses:
                self._health.answered(way)


def _way(node: Member) -> WayId:
    return ("", "node", node.addresses.peer)


def _of_address(address: str) -> Member:
    return Member(address, Addresses(address), 0)
