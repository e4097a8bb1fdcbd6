"""What a region tells of its nodes to other regions: the members that may be asked, and the epoch of the view.

Only what is needed to ask them. A region without a cluster has no view: its addresses are those of the topology.
"""

import json
from dataclasses import dataclass, replace

from regioncache.cluster.members import Addresses, BadMember, Member, member, parsed
from regioncache.errors import BadAnswer
from regioncache.http.ask import Base

MOST_NODES = 256
"""Of a far region; more in an answer are no region's."""
VIEW_BYTES = 128 * 1024
"""An answer of that many nodes, with long names."""


@dataclass(frozen=True, slots=True)
class FarView:
    """The members of a far region at an epoch of its cluster; 0 and none: it has no cluster, or nothing was told."""

    epoch: int = 0
    members: tuple[Member, ...] = ()

    def body(self) -> bytes:
        """Returns it as it is sent: of each member its name, its peer address, its capacity and its state."""
        told = [_told(one).plain() for one in self.members]
        return json.dumps({"epoch": self.epoch, "members": told}, separators=(",", ":")).encode()


def parse_view(body: bytes) -> FarView:
    """Returns what a far region tells of its nodes. Raises BadAnswer."""
    try:
        plain = parsed(body)
        epoch, members = plain["epoch"], plain["members"]
        if not isinstance(epoch, int) or isinstance(epoch, bool) or not 0 <= epoch < 1 << 63:
            raise BadMember(f"{epoch!r} is no epoch")
        if not isinstance(members, list) or len(members) > MOST_NODES:
            raise BadMember(f"a region has at most {MOST_NODES} nodes")
        return FarView(epoch, tuple(_heard(member(one)) for one in members))
    except (BadMember, KeyError, TypeError, ValueError) as wrong:
        raise BadAnswer(f"what a far region tells of its nodes is malformed: {wrong}") from wrong


def _told(one: Member) -> Member:
    return Member(one.name, Addresses(one.addresses.peer), one.capacity, one.process_epoch, one.state)


def _heard(one: Member) -> Member:
    """A member as it is asked: its address is a URL, written as all of them are."""
    return replace(one, addresses=Addresses(str(Base.parse(one.addresses.peer))))
