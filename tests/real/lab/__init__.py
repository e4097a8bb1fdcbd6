"""The laboratory: real processes, a counting proxy, a delayed line, raw clients. Everything is torn down on exit.

Every part is a context manager; nothing outlives its `with`. What is missing on this machine skips the test by name.
"""
