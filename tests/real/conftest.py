"""What the real tests note: rows of a table that the run ends with (`tests/conftest.py`)."""

from collections.abc import Callable

Note = Callable[[str, str, str], None]
"""Notes one row: what was measured, the figure, and what is asked of it."""
