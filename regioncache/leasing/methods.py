"""The method by which nodes and a line's lease office talk, as both ends write it."""

from namespace.rpc.methods import Talk
from regioncache.leasing.proto import leases_pb2 as pb

SERVICE = "causeway.leases.v1.Leases"
HOLD = Talk(SERVICE, "Hold", pb.FromNode, pb.FromOffice)

SILENCE_SECONDS = 3.0
"""Either side says something each second; after so long without a word the other is gone, or the link is half open."""
