"""The cache of a region: pages, flights, lines, origins and the peers of other regions."""
