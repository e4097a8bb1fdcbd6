"""As what a process is asked for an object's bytes: by a reader, as their owner, or for what it happens to hold.

Between members of a cluster the standing travels with the request, so that none is forwarded twice and none runs in a
loop: who is asked as owner reads from a source or says that it is not the owner, who is asked for what it holds gives
that and asks nobody.
"""

from enum import StrEnum


class Standing(StrEnum):
    """The standing of a read."""

    READER = ""
    """Of a client, or of a node of another region: it is read through the owner, where that is another member."""
    OWNER = "owner"
    """A member's, whose view says that the owner is asked."""
    HELD = "held"
    """Of an owner, or one to be: gives what is present or landing."""
