"""Leases of lines: the office that grants them, the node's side that asks for them, and how the one finds the other."""
