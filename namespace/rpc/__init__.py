"""What all gRPC of this program shares: methods, channels, servers, signatures, and what faults are on the wire."""
