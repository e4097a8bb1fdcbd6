"""What all gRPC of this program shares: methods, channels, servers, signatures, and what faults are on the wire."""

import os

# Its core writes remarks about connections to stderr, past the log; what matters arrives as a fault of a call.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
