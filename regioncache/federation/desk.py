"""The desk at which other regions, granted ones too, learn which nodes this one has, so that they ask the owner."""

from regioncache.cluster.members import State
from regioncache.cluster.ownership import Ownership
from regioncache.federation.farview import MOST_NODES, FarView
from regioncache.http.messages import Reply
from regioncache.peers.desks import Values

JSON = [(b"content-type", b"application/json")]


class NodesDesk:
    """Tells the members of the view in force here: all but those that are not there yet."""

    def __init__(self, ownership: Ownership) -> None:
        self._ownership = ownership

    async def __call__(self, region: str, values: Values) -> Reply:
        """See `Desk`."""
        return Reply(200, JSON, self.view().body())

    def view(self) -> FarView:
        """What is told. A node without a cluster tells of none: who asks has its address."""
        ownership = self._ownership
        members = tuple(one for one in ownership.everyone() if one.state is not State.JOINING)
        return FarView(ownership.epoch, members[:MOST_NODES]) if members else FarView()
