"""What the region keeps on disk: extents, packs of small objects, their index and what leaves first."""
