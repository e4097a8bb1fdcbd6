"""A region's cluster: its members, the view of them that all share, and who owns an extent by it."""
