"""The demonstration: two regions, a line between them, and somebody outside who counts what crosses it."""
